"""The additive problem against trying everything."""

import itertools
import signal
from dataclasses import replace
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from search.space.additive import OptionEstimate, least_loss, spread

items = st.tuples(st.sampled_from("abcd"), st.sampled_from("xyz"))
worth = st.builds(
    OptionEstimate,
    st.integers(0, 20).map(float),
    st.integers(0, 20).map(float),
    st.frozensets(items, max_size=2),
)
Problem = dict[str, dict[str, OptionEstimate]]


def barring_others(problem: Problem) -> Problem:
    """The same without conflicts between the options of one site, of which one at most is taken anyway."""
    return {
        site: {
            o: replace(w, conflicts=frozenset(b for b in w.conflicts if b[0] != site))
            for o, w in found.items()
        }
        for site, found in problem.items()
    }


problems = st.dictionaries(
    st.sampled_from("abcd"), st.dictionaries(st.sampled_from("xyz"), worth, min_size=1), min_size=1
).map(barring_others)


@given(problems, st.integers(0, 60))
def test_no_other_choice_saves_enough_and_loses_less(problem: Problem, wanted: int) -> None:
    def total(plan: dict[str, str]) -> tuple[float, float]:
        taken = [problem[site][option] for site, option in plan.items()]
        return sum(w.saved_ms for w in taken), sum(w.loss for w in taken)

    def possible(plan: dict[str, str]) -> bool:
        others = {item: plan.items() - {item} for item in plan.items()}
        return not any(
            problem[site][option].conflicts & others[site, option] for site, option in plan.items()
        )

    every = [
        {site: option for site, option in zip(problem, options, strict=True) if option}
        for options in itertools.product(*([None, *found] for found in problem.values()))
    ]
    every = [plan for plan in every if possible(plan)]
    needed = min(wanted, max(total(plan)[0] for plan in every))
    found = least_loss(problem, wanted)
    saved, loss = total(found)
    assert possible(found)
    assert saved >= needed - 1e-6
    assert loss <= min(total(plan)[1] for plan in every if total(plan)[0] >= needed) + 1e-6


def test_more_fractions_begin_with_the_fewer() -> None:
    assert list(spread(6)) == [1, 0.5, 0.25, 0.75, 0.125, 0.625]
    assert list(islice(spread(100), 6)) == list(spread(6))
    assert len(set(spread(100))) == 100
    assert list(spread(0)) == []


def test_the_solver_leaves_ctrl_c_to_python() -> None:
    """Its own handler would be replaced by none at all: Ctrl-C then kills the process."""
    heard: list[int] = []
    usual = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        least_loss({"s": {"o": OptionEstimate(1.0, 0.1)}}, 1.0)
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, usual)
    assert heard == [signal.SIGINT]
