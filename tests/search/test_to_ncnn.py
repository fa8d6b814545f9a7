"""Networks that order channels anew, and such as ncnn's converter takes wrongly, in ncnn."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from latency_models import pnnx
from merges.network import analyse
from search.deploy.to_ncnn import compare, to_ncnn
from training.errors import ExportError
from training.export import to_onnx
from training.export_check import check

SHAPE = (4, 8, 8)
MEAN, DEVIATION = (torch.arange(1.0, 5.0).view(4, 1, 1) / number for number in (10, 3))
ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "list": lambda x: x[:, [2, 1, 0, 3]],
    "standardised": lambda x: (x[:, [2, 1, 0, 3]] / 255 - MEAN) / DEVIATION,
    "last first": lambda x: x[:, [-1, 0, 1, 3]],
    "flip": lambda x: x.flip(1),
    "rows": lambda x: x[:, :, [3, 2, 1, 0, 4, 5, 6, 7]],
    "every second channel": lambda x: torch.cat([x[:, ::2], x[:, 1::2]], 1),
    "every second place": lambda x: torch.cat([x[..., ::2, ::2], x[..., 1::2, 1::2]], 1)[:, 2:6],
    "shuffled": lambda x: nn.functional.channel_shuffle(x, 2),
}


class Ordering(nn.Module):
    """Two convolutions, and something before each."""

    def __init__(self, order: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.order = order
        self.first, self.second = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 6, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        first: Tensor = self.first(self.order(x)).relu()
        answers: Tensor = self.second(self.order(first) if first.shape[-1] == SHAPE[-1] else first)
        return answers


def converted(order: str, folder: Path) -> tuple[nn.Module, Path]:
    torch.manual_seed(0)
    network = analyse("ordering", Ordering(ORDERS[order]), SHAPE).teacher
    onnx, param = folder / "m.onnx", folder / "m.param"
    to_onnx(network, SHAPE, onnx)
    to_ncnn(onnx, SHAPE, param)
    return network, param


@pytest.mark.parametrize("order", ORDERS)
def test_ncnn_answers_as_the_network_whatever_the_order_of_channels(order: str, tmp_path: Path) -> None:
    check(compare(*converted(order, tmp_path), 5 * torch.randn(3, *SHAPE)), "ncnn")


@pytest.mark.parametrize("order", ["list", "standardised", "every second channel"])
def test_what_ncnn_cannot_run_is_said_and_ends_nothing(
    order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pnnx, "rewritten", lambda content: content)
    network, param = converted(order, tmp_path)
    with pytest.raises(ExportError, match=r"ncnn (crashed|cannot read|answers|file answers)"):
        check(compare(network, param, 5 * torch.randn(3, *SHAPE)), "ncnn")
