"""Ctrl-C and SIGTERM while a database is at work: kept, never lost."""

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from search.study.interrupts import end_by_sigterm, noticed, uninterrupted

Interrupt = Callable[[], None]


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def interrupt(request: pytest.FixtureRequest) -> Iterator[Interrupt]:
    before = signal.getsignal(signal.SIGTERM)
    end_by_sigterm()
    yield partial(signal.raise_signal, request.param)
    signal.signal(signal.SIGTERM, before)


def test_it_waits_for_the_outermost_block(interrupt: Interrupt) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        with uninterrupted():
            interrupt()
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]


def test_an_error_does_not_lose_it(interrupt: Interrupt) -> None:
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        interrupt()
        raise ValueError("the database said no")


def test_it_acts_as_before_afterwards(interrupt: Interrupt) -> None:
    with uninterrupted():
        pass
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_it_is_noticed_though_a_destructor_swallows_it(interrupt: Interrupt) -> None:
    with noticed() as interrupts:
        with suppress(KeyboardInterrupt):
            interrupt()
        assert interrupts


def test_a_program_that_ignores_ctrl_c_still_ends_by_sigterm() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN), signal.getsignal(signal.SIGTERM)
    try:
        end_by_sigterm()
        with pytest.raises(KeyboardInterrupt), uninterrupted():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
