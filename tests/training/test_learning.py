"""Learned merges: errors fall and beat their start; banks are reused."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from merges.graph import propagate_shapes
from merges.network import Network, analyse
from tests import networks
from tests.networks import Basic, Inverted, Modern, Next
from training.blocks.bank import Bank
from training.blocks.bottom_up import assemble, following, relearn
from training.blocks.distill import error_of, learn_block
from training.blocks.runner import walk
from training.blocks.task import BlockTask, Recipe
from training.errors import ExportError
from training.export import to_onnx
from training.export_check import Agreement, Gap, check, compare
from training.metrics import accuracy, outputs_of
from training.progress import Progress, quiet
from training.store import WeightStore

RECIPE = Recipe(images=80, steps=40, batch=8)


def images(count: int = 80) -> Tensor:
    """Smooth random images: neighbouring pixels are alike, as in photos."""
    coarse = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=[24, 24], mode="bilinear")


def everything(network: Network) -> dict[str, str]:
    return {site.id: site.names[1] for site in network.sites}


def test_every_option_learns_and_beats_its_own_start(network: Network, tmp_path: Path) -> None:
    bank = Bank(network, images(), WeightStore(tmp_path), "d", RECIPE)
    for block in network.blocks:
        for site in block.sites:
            for option in site.names[1:]:
                entry = bank.get(block, {site.id: option})
                start, *_, end = entry.errors
                assert end <= start, (site.id, option)
                if not entry.weights:  # nothing is left to learn
                    continue
                if start > 0.01:  # a start as good as exact has little to learn
                    assert end < start, (site.id, option)
                assert end < 0.9, (site.id, option)


def test_reducers_keep_the_channels_that_are_active(tmp_path: Path) -> None:
    model = networks.mixed()
    reducer, reader = model.get_submodule("block.reduce3"), model.get_submodule("block.three")
    assert isinstance(reducer, nn.Conv2d)
    assert isinstance(reader, nn.Conv2d)
    assert reducer.bias is not None
    with torch.no_grad():  # the channels of the largest weights are never active: weight norms alone mislead
        reducer.weight[:6] *= 3
        reducer.bias[:6] = -1e3
    network = analyse("mixed", model, (3, 24, 24))
    bank = Bank(network, images(), WeightStore(tmp_path), "d", RECIPE)
    block = next(b for b in network.blocks if any(s.id == "reducer:block.reduce3" for s in b.sites))
    choices = {"reducer:block.reduce3": "0.75"}
    blind, _ = network.rebuild(block, choices)
    seeing, _ = network.rebuild(block, choices, bank.energies(block))
    task = bank.task(block)
    errors = [error_of(student, task.inputs, task.targets) for student in (blind, seeing)]
    assert errors[1] < 1e-6 < errors[0]


def test_a_wide_stem_copies_a_maximum_better_than_a_narrow_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    stem = nn.Sequential(nn.Conv2d(3, 8, 5, 2, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    network = analyse("stem", nn.Sequential(stem, nn.AdaptiveAvgPool2d(1), nn.Flatten()), (3, 24, 24))
    site = next(site for site in network.sites if site.rule == "streamline")
    assert site.names[1:] == ("merge 5x5", "merge 9x9", "merge 7x7 2x wide", "merge 7x7 4x wide")
    bank = Bank(network, images(), WeightStore(tmp_path), "d", RECIPE)
    errors = [bank.get(network.blocks[0], {site.id: option}).errors[-1] for option in site.names[1:]]
    assert errors[3] < 0.9 * min(errors[:2])


def test_the_bank_learns_an_entry_once_and_again_when_its_file_is_damaged(
    network: Network, tmp_path: Path
) -> None:
    block = network.blocks[-1]
    choices = {block.sites[0].id: block.sites[0].names[1]}
    first = Bank(network, images(), WeightStore(tmp_path), "d", RECIPE).get(block, choices)
    (path,) = tmp_path.rglob("*.safetensors")
    stamp = path.stat().st_mtime_ns
    again = Bank(network, images(), WeightStore(tmp_path), "d", RECIPE).get(block, choices)
    assert path.stat().st_mtime_ns == stamp
    assert all(torch.equal(first.weights[k], again.weights[k]) for k in first.weights)
    path.write_bytes(path.read_bytes()[:100])
    relearned = Bank(network, images(), WeightStore(tmp_path), "d", RECIPE).get(block, choices)
    assert relearned.errors == first.errors


def test_a_pass_from_bottom_to_top_brings_the_whole_network_closer(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    bank = Bank(network, images(), WeightStore(tmp_path), "d", RECIPE)
    wanted = outputs_of(network.teacher, images())
    plan = everything(network)
    untrained, independent, relearned = (
        network.merged(plan),
        assemble(bank, plan, 0),
        assemble(bank, plan, 40),
    )
    errors = [
        float((outputs_of(m, images()) - wanted).square().mean()) for m in (untrained, independent, relearned)
    ]
    assert errors[2] < errors[1] < errors[0]


@pytest.mark.parametrize("kind", [partial(Inverted, 16, 32), partial(Next, 16), partial(Basic, 16)])
def test_what_stands_before_branches_that_are_left_out_gives_what_they_gave(
    kind: Callable[[], nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = analyse("n", Modern(kind(), kind(), kind()).eval(), (3, 24, 24))
    _, *left_out = (site.id for site in network.sites if site.rule == "skip")
    plan = dict.fromkeys(left_out, "identity")
    bank = Bank(network, images(), WeightStore(tmp_path), "d", RECIPE)
    relearned = assemble(bank, plan)
    relearn(relearned, network, plan, following(network, images(), half=False), replace(RECIPE, steps=3))
    wanted = outputs_of(network.teacher, images())
    left, at_once, in_passing = (
        float((outputs_of(made, images()) - wanted).square().mean())
        for made in (assemble(bank, plan), assemble(bank, plan, 3), relearned)
    )
    assert max(at_once, in_passing) < 0.05 * left


class ChannelsLast(nn.Module):
    """A part of a network whose channels stay last."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.relu())


def test_a_linear_layer_whose_channels_stay_last_is_learned() -> None:
    torch.manual_seed(0)
    teacher, student = (fx.symbolic_trace(ChannelsLast()) for _ in range(2))
    for part in (teacher, student):
        propagate_shapes(part, (1, 6, 5, 16))
    inputs = torch.randn(80, 6, 5, 16)
    errors = learn_block(student, BlockTask(inputs, inputs, outputs_of(teacher, inputs), teacher), RECIPE)
    assert errors[-1] < 0.01


class Towers(nn.Module):
    """Two rows of residual blocks that run in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.large, self.small, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(3, 16, 3), nn.Linear(32, 8)
        self.left, self.right = (nn.ModuleList(Basic(16) for _ in range(3)) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        one, other = self.large(x).relu(), self.small(F.avg_pool2d(x, 2)).relu()
        for left, right in zip(self.left, self.right, strict=True):
            one, other = left(one), right(other)
        return self.head(torch.cat([one.mean((2, 3)), other.mean((2, 3))], 1))


def test_branches_are_left_out_of_towers_that_run_in_turn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = analyse("n", Towers().eval(), (3, 24, 24))
    skips = [site.id for site in network.sites if site.rule == "skip"]
    assert len(skips) == 6
    plan = dict.fromkeys(skips[2:], "identity") | {skips[0]: "keep"}
    bank = Bank(network, images(), WeightStore(tmp_path), "d", RECIPE)
    merged, wanted = assemble(bank, plan), outputs_of(network.teacher, images())
    before = (outputs_of(merged, images()) - wanted).square().mean()
    relearn(merged, network, plan, following(network, images(), half=False), replace(RECIPE, steps=3))
    assert (outputs_of(merged, images()) - wanted).square().mean() <= before


def test_assembling_repeats_and_leaves_the_teacher_alone(network: Network, tmp_path: Path) -> None:
    before = outputs_of(network.teacher, images(4))
    plans = [
        assemble(Bank(network, images(), WeightStore(tmp_path / str(i)), "d", RECIPE), everything(network), 5)
        for i in (0, 1)
    ]
    one, other = (outputs_of(m, images(4)) for m in plans)
    assert torch.equal(one, other)
    assert torch.equal(outputs_of(network.teacher, images(4)), before)


def test_an_interrupted_pass_goes_on_behind_the_last_block(network: Network, tmp_path: Path) -> None:
    bank, plan, kept = (
        Bank(network, images(), WeightStore(tmp_path / "b"), "d", RECIPE),
        everything(network),
        tmp_path / "k",
    )

    def relearned(store: WeightStore | None, told: Progress = quiet) -> dict[str, Tensor]:
        merged = assemble(bank, plan)
        task = following(network, images(), half=False)
        relearn(merged, network, plan, task, replace(RECIPE, steps=5), told, store)
        return merged.state_dict()

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    whole = assemble(bank, plan, 5).state_dict()
    with pytest.raises(KeyboardInterrupt):
        relearned(WeightStore(kept), stop)
    (first,) = kept.iterdir()
    before = first.stat().st_mtime_ns
    resumed = relearned(WeightStore(kept))
    assert first.stat().st_mtime_ns == before
    first.write_bytes(first.read_bytes()[:100])
    mended = relearned(WeightStore(kept))
    for weights in (resumed, mended, relearned(None)):
        assert all(torch.equal(value, whole[name]) for name, value in weights.items())


def test_relearning_in_half_precision_brings_the_whole_network_closer(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    plan, recipe = everything(network), replace(RECIPE, steps=40, half=True)
    merged = assemble(Bank(network, images(), WeightStore(tmp_path), "d", replace(RECIPE, steps=0)), plan)
    wanted = outputs_of(network.teacher, images())
    before = (outputs_of(merged, images()) - wanted).square().mean()
    seen = images().bfloat16()
    relearn(merged, network, plan, following(network, seen, half=True), recipe)
    assert {weight.dtype for weight in merged.parameters()} == {torch.float32}
    assert (outputs_of(merged, images()) - wanted).square().mean() < 0.7 * before


def test_walking_gives_the_networks_own_outputs(network: Network) -> None:
    assert torch.allclose(
        walk(network.skeleton(), images(10), ["output"])["output"], network.teacher(images(10)), atol=1e-5
    )


def test_the_error_of_the_teacher_is_zero_and_of_a_constant_is_one(network: Network) -> None:
    block = network.blocks[0]
    original = network.original(block)
    inputs = images() if block.entry == "x" else torch.rand(8, *network.shape_of(block.entry)[1:])
    targets = outputs_of(original, inputs)
    assert error_of(original, inputs, targets) < 1e-10
    constant = targets.mean(dim=(0, 2, 3), keepdim=True)
    flat = torch.nn.Identity()
    flat.forward = lambda x: constant.expand(len(x), *targets.shape[1:])  # type: ignore[method-assign]
    assert error_of(flat, inputs, targets) == pytest.approx(1, rel=1e-3)


def test_accuracy_counts_the_best_and_the_five_best() -> None:
    logits = torch.eye(10)[:4] + torch.arange(10) * 1e-3
    labels = torch.tensor([0, 1, 2, 9])
    got = accuracy(logits, labels)
    assert (got.top1, got.top5) == (75, 100)
    assert 0 < got.expected < 100
    sure = accuracy(logits * 1e4, labels)
    assert sure.expected == pytest.approx(sure.top1)


def test_exported_networks_answer_as_the_pytorch_ones(network: Network, tmp_path: Path) -> None:
    for plan in ({}, everything(network)):
        merged = network.merged(plan)
        to_onnx(merged, network.input_shape, tmp_path / "m.onnx")
        agreement = compare(merged, tmp_path / "m.onnx", images(16))
        check(agreement)
        assert agreement.top1_agreement == 100
    with pytest.raises(ExportError, match="answers differently"):
        check(Agreement({"scores": Gap(0.5, 10)}, 16, 90))
    with pytest.raises(ExportError, match="answers differently"):
        check(Agreement({"scores": Gap(float("nan"), 10), "boxes": Gap(0, 1)}, 16))
