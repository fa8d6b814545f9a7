"""What a trial may cost: as many steps of fine-tuning as fit into the seconds that the user gives."""

import time
from collections.abc import Callable
from dataclasses import replace

from search.evaluation.fine_tuned import FineTuned
from search.proxy import Proxy
from search.space.additive import Estimates
from search.space.warm_start import ladder
from training.errors import BadInputError

_TIMED_STEPS = 2


def carried_on(begun: float | None, steps: int, proxy: Proxy, seconds: float) -> Proxy:
    """The proxy with as many steps as the study that is continued, which was begun with such seconds: all its
    plans are judged alike.

    Raises
    ------
    BadInputError
        It was begun with other seconds.
    """
    if begun != seconds:
        with_what = f"`proxy_seconds` {begun:g}" if begun else "`proxy_steps`"
        raise BadInputError(
            f"`proxy_seconds` is {seconds:g}, but the study was begun with {with_what}; "
            "give the same, or another `study`"
        )
    return replace(proxy, finetune_steps=steps)


def paced(evaluator: FineTuned, estimates: Estimates, seconds: float, note: Callable[[str], None]) -> Proxy:
    """The proxy with the most steps with which a trial takes about `seconds` here, its blocks once learned.

    Measured on the plan with the most merges, which has the most to relearn, and on the untouched network,
    whose steps take longest: other plans take less.

    Raises
    ------
    BadInputError
        A trial without any fine-tuning takes longer.
    """
    most = next(ladder(estimates, 1))
    evaluator.assembled(most)  # learns its blocks, once for all trials
    start = time.perf_counter()
    evaluator.accuracy_of(evaluator.assembled(most))
    fixed = time.perf_counter() - start
    if fixed > seconds:
        raise BadInputError(
            f"`proxy_seconds` is {seconds:g}, but a trial takes {fixed:.1f} s without any fine-tuning; "
            "give more seconds, or fewer `relearn_steps`"
        )
    untouched = evaluator.bench.network.skeleton()
    evaluator.tune(untouched, 1)
    start = time.perf_counter()
    evaluator.tune(untouched, _TIMED_STEPS)
    a_step = (time.perf_counter() - start) / _TIMED_STEPS
    steps = int((seconds - fixed) / a_step)
    note(f"a trial relearns and judges in {fixed:.1f} s, a step takes {a_step:.2f} s: `proxy_steps` {steps}")
    return replace(evaluator.proxy, finetune_steps=steps)
