"""Ctrl-C while a database is at work: kept, never lost."""

import signal

import pytest

from search.study.interrupts import uninterrupted


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_it_waits_for_the_outermost_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        with uninterrupted():
            interrupt()
            done.append("inner")
        done.append("outer")
    assert done == ["inner", "outer"]


def test_an_error_does_not_lose_it() -> None:
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        interrupt()
        raise ValueError("the database said no")


def test_it_acts_as_before_afterwards() -> None:
    with uninterrupted():
        pass
    with pytest.raises(KeyboardInterrupt):
        interrupt()
