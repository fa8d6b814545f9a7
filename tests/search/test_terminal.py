"""Progress without a terminal, and the number of threads."""

import pytest
import torch

from search.commands import terminal
from training import threads


def test_without_a_terminal_what_takes_long_is_told_at_once_and_every_half_minute() -> None:
    now, said = 0.0, list[str]()
    lines = terminal.Lines(said.append, lambda: now)

    def pass_by(seconds: int) -> None:
        nonlocal now
        for _ in range(seconds):
            now += 1
            lines.tick()

    quick = lines.watch("reading images")
    pass_by(1)
    quick(1, 1)
    assert not said, "what is short is not worth a line"
    long = lines.watch("training the teacher")
    for step in range(1, 100):
        pass_by(1)
        long(step, 100)
    assert said[0] == "training the teacher: 1 of 100, 2 s, about 198 s left"
    assert 4 <= len(said) <= 5
    pass_by(60)
    assert len(said) >= 6, "also where nothing is heard of it"
    long(100, 100)
    assert said[-1] == "training the teacher: done in 159 s"
    pass_by(40)
    assert said[-1].startswith("preparing")


def test_what_is_resumed_is_not_told_to_end_sooner_than_it_does() -> None:
    now, said = 0.0, list[str]()
    lines = terminal.Lines(said.append, lambda: now)
    resumed = lines.watch("training")
    resumed(500, 1000)  # was done before
    for step in range(501, 504):
        now += 1
        resumed(step, 1000)
        lines.tick()
    assert said == ["training: 502 of 1000, 2 s, about 498 s left"]


def test_threads_are_as_many_as_wanted_or_as_cores_are_unused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = torch.get_num_threads()
    monkeypatch.setattr(threads.psutil, "cpu_percent", lambda seconds: 50.0)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 8)
    for limit, expected in ((8, 4), (3, 3), (1, 1)):
        monkeypatch.setattr(threads, "cpu_count", lambda limit=limit: limit)
        assert threads.unused() == expected
    monkeypatch.setattr(threads.psutil, "cpu_percent", lambda seconds: 100.0)
    assert threads.unused() == 1
    terminal.take_threads(2)
    assert torch.get_num_threads() == 2
    threads.take(before)
