"""Fits the proxy into a time budget: as many steps of fine-tuning as a trial has time for."""

import time
from dataclasses import replace

from search.evaluation.fine_tuned import FineTuned
from search.proxy import Proxy
from search.space.additive import Estimates
from search.space.warm_start import ladder
from training.errors import BadInputError
from training.progress import Note

_TIMED_STEPS = 2


def carried_on(begun: float | None, steps: int, proxy: Proxy, seconds: float) -> Proxy:
    """The proxy of a continued study: all its plans must be judged alike.

    `begun` and `steps` are the study's seconds and steps.

    Raises
    ------
    BadInputError
        The study was begun with another time per trial.
    """
    if begun != seconds:
        with_what = f"`proxy_seconds` {begun:g}" if begun else "`proxy_steps`"
        raise BadInputError(
            f"`proxy_seconds` is {seconds:g}, but the study was begun with {with_what}; "
            "give the same, or another `study`"
        )
    return replace(proxy, finetune_steps=steps)


def paced(evaluator: FineTuned, estimates: Estimates, seconds: float, note: Note) -> Proxy:
    """The proxy with the most steps that a trial of about `seconds` allows, once its blocks are learned.

    Measured on the plan with the most merges, which relearns most, and on the untouched network, whose steps
    are slowest: other plans take less time.

    Raises
    ------
    BadInputError
        A trial takes longer even without fine-tuning.
    """
    most = next(ladder(estimates, 1))
    evaluator.assembled(most)  # learns its blocks, once for all trials
    start = time.perf_counter()
    evaluator.judged(evaluator.assembled(most))
    fixed = time.perf_counter() - start
    if fixed > seconds:
        raise BadInputError(
            f"`proxy_seconds` is {seconds:g}, but a trial takes {fixed:.1f} s even without fine-tuning; "
            "give more seconds, or fewer `relearn_steps`"
        )
    a_step = seconds_a_step(evaluator)
    steps = int((seconds - fixed) / a_step)
    note(f"relearning and judging take {fixed:.1f} s, a step {a_step:.2f} s: `proxy_steps` {steps}")
    return replace(evaluator.proxy, finetune_steps=steps)


def seconds_a_step(evaluator: FineTuned) -> float:
    """What a step of fine-tuning takes here, for the untouched network: others are quicker."""
    untouched = evaluator.bench.network.skeleton()
    evaluator.tune(untouched, 1)
    start = time.perf_counter()
    evaluator.tune(untouched, _TIMED_STEPS)
    return (time.perf_counter() - start) / _TIMED_STEPS
