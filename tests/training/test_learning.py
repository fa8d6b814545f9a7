"""Learned merges: errors fall and beat their start; banks are reused; runs resume exactly."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from merges.network import Network, analyse
from tests import networks
from training.bank import Bank
from training.distill import error_of
from training.errors import BadInputError, ExportError
from training.export import Agreement, check, compare, to_onnx
from training.finetune import accuracy, assemble
from training.fit import Fit, fit
from training.lesson import Recipe
from training.walk import outputs_of, walk

RECIPE = Recipe(images=80, steps=40, batch=8)


def images(count: int = 80) -> Tensor:
    """Smooth random images: neighbouring pixels are alike, as in photos."""
    coarse = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.interpolate(coarse, size=[24, 24], mode="bilinear")


def everything(network: Network) -> dict[str, str]:
    return {site.id: site.options[1] for site in network.sites}


def test_every_option_learns_and_beats_its_own_start(network: Network, tmp_path: Path) -> None:
    bank = Bank(network, images(), tmp_path, "d", RECIPE)
    for block in network.blocks:
        for site in block.sites:
            for option in site.options[1:]:
                start, *_, end = bank.get(block, {site.id: option}).errors
                assert end <= start, (site.id, option)
                if start > 1e-3:  # a start as good as exact has nothing to learn
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
    bank = Bank(network, images(), tmp_path, "d", RECIPE)
    block = next(b for b in network.blocks if any(s.id == "reducer:block.reduce3" for s in b.sites))
    choices = {"reducer:block.reduce3": "0.75"}
    blind, _ = network.rebuild(block, choices)
    seeing, _ = network.rebuild(block, choices, bank.energies(block))
    lesson = bank.lesson(block)
    errors = [error_of(student, lesson.inputs, lesson.targets) for student in (blind, seeing)]
    assert errors[1] < 1e-6 < errors[0]


def test_the_bank_learns_an_entry_once_and_again_when_its_file_is_damaged(
    network: Network, tmp_path: Path
) -> None:
    block = network.blocks[-1]
    choices = {block.sites[0].id: block.sites[0].options[1]}
    first = Bank(network, images(), tmp_path, "d", RECIPE).get(block, choices)
    (path,) = tmp_path.rglob("*.safetensors")
    stamp = path.stat().st_mtime_ns
    again = Bank(network, images(), tmp_path, "d", RECIPE).get(block, choices)
    assert path.stat().st_mtime_ns == stamp
    assert all(torch.equal(first.weights[k], again.weights[k]) for k in first.weights)
    path.write_bytes(path.read_bytes()[:100])
    relearned = Bank(network, images(), tmp_path, "d", RECIPE).get(block, choices)
    assert relearned.errors == first.errors


def test_a_pass_from_bottom_to_top_brings_the_whole_network_closer(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    bank = Bank(network, images(), tmp_path, "d", RECIPE)
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


def test_assembling_repeats_and_leaves_the_teacher_alone(network: Network, tmp_path: Path) -> None:
    before = outputs_of(network.teacher, images(4))
    plans = [
        assemble(Bank(network, images(), tmp_path / str(i), "d", RECIPE), everything(network), 5)
        for i in (0, 1)
    ]
    one, other = (outputs_of(m, images(4)) for m in plans)
    assert torch.equal(one, other)
    assert torch.equal(outputs_of(network.teacher, images(4)), before)


def test_walking_gives_the_networks_own_outputs(network: Network) -> None:
    assert torch.allclose(
        walk(network.skeleton(), images(10))["output"], network.teacher(images(10)), atol=1e-5
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


def fitted(network: Network, how: Fit, path: Path, watch: Callable[[int, int], None]) -> nn.Module:
    data, merged = images(32), network.merged(everything(network))
    blocks = [block.name for block in network.blocks]

    def changed(index: Tensor) -> Tensor:
        return data[index] + 0.1 * torch.randn(len(index), 1, 1, 1)

    fit(merged, network.skeleton(), blocks, changed, len(data), how, path / "checkpoint.pt", watch)
    return merged


def fine_tuned(tmp_path: Path, network: Network, interrupt_after: int | None) -> dict[str, Tensor]:
    how = Fit(epochs=4, batch=8)
    tmp_path.mkdir(exist_ok=True)

    def stop(done: int, total: int) -> None:
        if done == interrupt_after:
            raise KeyboardInterrupt

    with suppress(KeyboardInterrupt):
        return fitted(network, how, tmp_path, stop).state_dict()
    return fitted(network, how, tmp_path, lambda *_: None).state_dict()


@pytest.mark.parametrize("half", [False, True])
def test_fine_tuning_brings_answers_and_features_closer(tmp_path: Path, half: bool) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    wanted = outputs_of(network.teacher, images(32))
    start = network.merged(everything(network))
    how = Fit(epochs=12, batch=8, rate=5e-3, average=0.5, half=half)
    end = fitted(network, how, tmp_path, lambda *_: None)
    errors = [float((outputs_of(m, images(32)) - wanted).square().mean()) for m in (start, end)]
    assert errors[1] < 0.8 * errors[0]


def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    whole = fine_tuned(tmp_path / "a", network, None)
    resumed = fine_tuned(tmp_path / "b", network, 10)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    fine_tuned(tmp_path, network, None)
    with pytest.raises(BadInputError, match="another --out"):
        fitted(network, Fit(epochs=9), tmp_path, lambda *_: None)
    (tmp_path / "checkpoint.pt").write_bytes(b"half")
    with pytest.raises(BadInputError, match="damaged"):
        fitted(network, Fit(epochs=4, batch=8), tmp_path, lambda *_: None)


def test_exported_networks_answer_as_the_pytorch_ones(network: Network, tmp_path: Path) -> None:
    for plan in ({}, everything(network)):
        merged = network.merged(plan)
        to_onnx(merged, network.input_shape, tmp_path / "m.onnx")
        agreement = compare(merged, tmp_path / "m.onnx", images(16))
        check(agreement)
        assert agreement.top1_agreement == 100
    with pytest.raises(ExportError, match="answers differently"):
        check(Agreement(max_abs_error=0.5, scale=10, top1_agreement=90, images=16))
    with pytest.raises(ExportError, match="answers differently"):
        check(Agreement(max_abs_error=float("nan"), scale=10, top1_agreement=90, images=16))
