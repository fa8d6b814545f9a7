"""How good a finished run's network is, beside its teacher."""

from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from torch import fx

from training.judging import Judged
from training.metrics import by_class, evaluate
from training.workbench import Workbench


@dataclass(frozen=True)
class Trained:
    """A finished run: how good teacher and merged network are on the test split, by the metric.

    Where labels judge, `agreement` is the share of images with the same best class (percent), and `classes`
    maps each class with test images to their number, the teacher's top-1 and the merged network's.
    """

    metric: str
    images: int
    teacher: Judged
    merged: Judged
    losses: list[float]
    test_is_proxy: bool
    agreement: float | None = None
    classes: dict[str, tuple[int, float, float]] = field(default_factory=dict)

    @property
    def drop(self) -> float:
        """What the merged network loses: of top-1 where labels judge, else by the metric."""
        if self.teacher.accuracy and self.merged.accuracy:
            return self.teacher.accuracy.top1 - self.merged.accuracy.top1
        return self.teacher.value - self.merged.value

    def answer(self) -> dict[str, Any]:
        """The ``--json`` form."""
        values = asdict(self) | {"drop": self.drop}
        for name, accuracy in (("teacher", self.teacher.accuracy), ("merged", self.merged.accuracy)):
            values[name] |= values[name].pop("accuracy") or {}
            if accuracy:
                for metric in ("top1", "top5"):
                    share = getattr(accuracy, metric)
                    values[name][f"{metric}_interval"] = accuracy.interval(share)
        return values


def judged(bench: Workbench, merged: fx.GraphModule, losses: list[float]) -> Trained:
    """Teacher and merged network on the test images."""
    test, judge, networks = bench.data.test, bench.judge, (bench.network.untouched, merged)
    trained = partial(Trained, bench.metric, len(test), losses=losses, test_is_proxy=bench.data.test_is_proxy)
    if not judge.by_labels:
        return trained(*(judge.judge(network, test) for network in networks))
    evaluated = [evaluate(network, bench.inputs(test), test.labels) for network in networks]
    answers = [scores for _, scores in evaluated]
    same = 100 * float((answers[0].argmax(1) == answers[1].argmax(1)).float().mean())
    found = by_class(answers, test.labels)
    classes = {bench.data.classes[n]: (count, one, other) for n, (count, (one, other)) in found.items()}
    return trained(*(judge.of(accuracy) for accuracy, _ in evaluated), agreement=same, classes=classes)
