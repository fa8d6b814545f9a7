"""Claims: one holder each, taken over only from the dead."""

import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from search.engine.claims import Claims, open_engine
from tests.mariadb import MariaDB

GRACE = 0.2


@pytest.fixture(scope="module", params=["sqlite", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('claims') / 'claims.db'}"
    elif MariaDB.is_here():
        server = MariaDB()
        yield server.url
        server.remove()
    else:
        pytest.skip("MariaDB is not installed (apt-get install mariadb-server)")


@pytest.fixture
def engine(url: str) -> Engine:
    found = open_engine(url)
    with found.begin() as connection:
        connection.execute(text("delete from rebirth_claims"))
    return found


def test_one_of_many_gets_a_claim(engine: Engine) -> None:
    workers = [Claims(engine, "s") for _ in range(8)]
    won: list[str] = []

    def grab(worker: Claims) -> None:
        won.extend(key for key in map(str, range(10)) if worker.claim("slot", key))

    threads = [threading.Thread(target=grab, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won, key=int) == [str(n) for n in range(10)]


def test_a_silent_worker_loses_its_claim_and_learns_of_it(engine: Engine) -> None:
    dead, heir = Claims(engine, "s", GRACE), Claims(engine, "s", GRACE)
    assert dead.claim("plan", "p", 3)
    assert not heir.claim("plan", "p", 4)
    time.sleep(2 * GRACE)
    assert heir.claim("plan", "p", 4)
    assert not dead.note_trial("plan", "p", 3)
    assert not dead.finish("plan", "p")
    assert heir.finish("plan", "p")
    time.sleep(2 * GRACE)
    assert not dead.claim("plan", "p", 5), "what is done stays done"


def test_the_living_keep_their_claims_and_give_up_the_rest_at_the_end(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.engine.claims._BEAT", GRACE / 4)
    worker, other = Claims(engine, "s", GRACE), Claims(engine, "s", GRACE)
    with worker.alive():
        assert worker.claim("slot", "0", 1)
        assert worker.claim("slot", "1", 2)
        worker.finish("slot", "0")
        time.sleep(3 * GRACE)
        assert not other.claim("slot", "1")
    assert other.claim("slot", "1")
    assert not other.claim("slot", "0")


def test_studies_do_not_share_claims(engine: Engine) -> None:
    assert Claims(engine, "a").claim("slot", "0")
    assert Claims(engine, "b").claim("slot", "0")
    assert Claims(engine, "a").rows("plan") == {}


def test_what_a_crew_left_is_given_up_and_nothing_else(engine: Engine) -> None:
    ours, theirs = Claims(engine, "s", GRACE, crew="ours"), Claims(engine, "s", GRACE, crew="theirs")
    assert ours.claim("slot", "0", 3)
    assert ours.finish("slot", "0")
    assert ours.claim("slot", "1", 4)
    assert theirs.claim("slot", "2", 5)
    theirs.give_up("ours")
    assert {key: trial for key, (trial, *_) in theirs.rows("slot").items()} == {"0": 3, "2": 5}


def test_the_plan_of_a_dead_worker_can_be_tried_again(engine: Engine) -> None:
    dead, heir = Claims(engine, "s"), Claims(engine, "s")
    assert dead.claim("plan", "p", 3)
    assert dead.claim("plan", "q", 2)
    assert dead.finish("plan", "q")
    heir.abandon(3)
    heir.abandon(2)
    assert heir.claim("plan", "p", 4)
    assert not heir.claim("plan", "q", 5), "what is done stays done"
