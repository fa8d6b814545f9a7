"""A null backend for tests: every kernel takes as long as its table says, nothing is run."""

from collections.abc import Sequence

from latency_models.kernel import Kernel, Layer
from latency_models.runtime import Job, Runtime, drop_free
from latency_models.target import Target


class Constant:
    name = "constant"

    def on(self, target: Target) -> Runtime:
        return self

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        return drop_free(layers, {"flatten", "identity", "part", "dropout"})

    def job(self, kernel: Kernel) -> Job | None:
        return Job({}, {"us": 1.0})

    def probes(self) -> dict[str, bytes]:
        return {}

    def version(self) -> str:
        return "1"


RUNTIME = Constant()
