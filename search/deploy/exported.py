"""What an export has written, and what is known of it."""

from dataclasses import asdict, dataclass
from typing import Any

from search.deploy.timings import Timing
from training.export_check import Agreement


@dataclass(frozen=True)
class Exported:
    """A checked ONNX file, with latencies.

    `ncnn` is the parameter file for ncnn, where the target runs that; `is_here` says whether this machine
    is the target. `preprocess` is what is done to an image (see `Preprocess.steps`). `free` are the ONNX
    file's free sizes (of "batch", "height" and "width"); `fixed` are sizes that were free in the original
    file and are not in this one.
    """

    onnx: str
    ncnn: str | None
    target: str
    is_here: bool
    input_shape: tuple[int, int, int]
    preprocess: dict[str, Any]
    agreement: Agreement
    agreement_ncnn: Agreement | None
    timings: list[Timing]
    free: list[str]
    fixed: list[str]

    @property
    def measured(self) -> Timing:
        """The last row: the files for the target's runtime, on this machine."""
        return self.timings[-1]

    def answer(self) -> dict[str, Any]:
        """The ``--json`` form."""
        here = self.measured
        return {
            "onnx": self.onnx,
            "ncnn": self.ncnn,
            "target": self.target,
            "input_shape": self.input_shape,
            "preprocess": self.preprocess,
            "max_abs_error": self.agreement.max_abs_error,
            "outputs": {name: gap.error for name, gap in self.agreement.outputs.items()},
            "top1_agreement": self.agreement.top1_agreement,
            "images": self.agreement.images,
            "ncnn_max_abs_error": self.agreement_ncnn.max_abs_error if self.agreement_ncnn else None,
            "latency_ms": {"original": here.original_ms, "merged": here.merged_ms},
            "speedup": here.speedup,
            "threads": here.threads,
            "timings": [asdict(timing) | {"speedup": timing.speedup} for timing in self.timings],
            "free": self.free,
            "kind": "measured",
        }
