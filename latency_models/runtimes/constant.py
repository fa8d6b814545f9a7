"""A null backend for tests: every kernel takes as long as its table says, nothing is run."""

from collections.abc import Sequence

from latency_models.kernel import Kernel, Layer
from latency_models.runtime import Run, drop_free


class Constant:
    name = "constant"

    def fuse(self, layers: Sequence[Layer]) -> list[Layer]:
        return drop_free(layers, {"flatten", "identity", "dropout"})

    def prepare(self, kernel: Kernel, threads: int) -> Run | None:
        return lambda: None

    def version(self) -> str:
        return "1"


RUNTIME = Constant()
