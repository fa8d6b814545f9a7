"""Norms that are there while a network learns."""

from pathlib import Path

import torch
from torch import Tensor, nn

from merges.network import Network
from training.finetune import norms
from training.store import WeightStore, weights_of


class Gated(nn.Module):
    """Convolutions with and without bias, one of them grouped, and a gate that works on single values."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.apart = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.gate = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.apart(self.first(x).relu())
        x = x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        made: Tensor = self.head(x.mean((2, 3)))
        return made


def made() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return Gated().eval(), 50 * torch.randn(48, 3, 9, 9) + 20


@torch.no_grad()
def answers(network: nn.Module, images: Tensor) -> Tensor:
    answered: Tensor = network.eval()(images)
    return answered


def test_norms_change_nothing_where_they_are_put() -> None:
    network, images = made()
    before = answers(network, images)
    norms.put(network, images.__getitem__, 48)
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules()) == 2  # none in the gate
    torch.testing.assert_close(answers(network, images), before, rtol=1e-4, atol=1e-4)


def test_what_was_learned_with_norms_is_kept_without_them() -> None:
    network, images = made()
    plain = {name: weight.shape for name, weight in network.named_parameters()}
    norms.put(network, images.__getitem__, 48)
    descent = torch.optim.SGD(network.parameters(), 0.05)
    for _ in range(5):
        network.train()(images).square().mean().backward()
        descent.step()
        descent.zero_grad()
    learned = answers(network, images)
    norms.fold(network)
    torch.testing.assert_close(answers(network, images), learned, rtol=1e-4, atol=1e-4)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
    shapes = {name: weight.shape for name, weight in network.named_parameters()}
    assert shapes == plain | {"first.bias": torch.Size([8])}


def test_every_merged_network_takes_back_what_was_learned_with_norms(
    network: Network, tmp_path: Path
) -> None:
    """Whatever rule made its layers, and whether they had biases."""
    images, store = torch.randn(4, *network.input_shape), WeightStore(tmp_path)
    for site in {site.rule: site for site in network.sites}.values():
        learned = network.merged({site.id: site.names[-1]})
        norms.put(learned, images.__getitem__, 4)
        learned.train()(images)  # moves the norms, which leave biases
        norms.fold(learned)
        store.write("merged", weights_of(learned))
        again = network.merged({site.id: site.names[-1]})
        assert norms.read_folded(store, "merged", again) is not None, site.id
        torch.testing.assert_close(answers(again, images), answers(learned, images))


@torch.no_grad()
def test_a_narrowed_networks_channels_have_the_moments_of_the_wide_ones() -> None:
    teacher, images = made()
    network = Gated().eval()
    network.load_state_dict(teacher.state_dict())
    kept = {name: torch.tensor([0, 2, 5, 6]) for name in ("first", "apart")}
    network.first = nn.Conv2d(3, 4, 3, padding=1, bias=False)
    network.apart = nn.Conv2d(4, 4, 3, padding=1, groups=4)
    network.gate, network.head = nn.Conv2d(4, 4, 1), nn.Linear(4, 4)
    norms.put_like(network, teacher, kept, images.__getitem__, 48)
    wanted, got = teacher.first(images)[:, kept["first"]], network.eval().first(images)  # type: ignore[operator]
    spread = wanted.std((0, 2, 3))
    assert bool(((got.mean((0, 2, 3)) - wanted.mean((0, 2, 3))).abs() < 0.05 * spread).all())
    torch.testing.assert_close(got.std((0, 2, 3)), spread, rtol=5e-2, atol=0)
    norms.fold(network)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())
