"""Full training: it learns, in both recipes, and resumes exactly."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from merges.network import Network, analyse
from search.space.presets import preset
from tests import networks
from tests.training.test_learning import everything, images
from training.errors import BadInputError, DivergedError
from training.finetune.deep_rebirth import stages, train_as_deep_rebirth
from training.finetune.fit import Fit, Inputs, Log, fit
from training.finetune.objectives import Distillation, LabelTraining
from training.finetune.short import distance, finetune
from training.metrics import evaluate, outputs_of
from training.optim import Descent
from training.workbench import structure


def fitted(
    network: Network, how: Fit, path: Path, watch: Callable[[int, int], None], rate: float = 1e-3
) -> nn.Module:
    data, merged = images(32), network.merged(everything(network))
    blocks = [block.name for block in network.blocks]

    def changed(index: Tensor) -> Tensor:
        return data[index] + 0.1 * torch.randn(len(index), 1, 1, 1)

    fit(
        merged,
        Distillation(network.skeleton(), blocks, rate),
        Inputs(changed, len(data)),
        how,
        Log(path, lambda _: watch),
    )
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
    how = Fit(epochs=12, batch=8, average=0.5, half=half)
    end = fitted(network, how, tmp_path, lambda *_: None, rate=5e-3)
    errors = [float((outputs_of(m, images(32)) - wanted).square().mean()) for m in (start, end)]
    assert errors[1] < 0.8 * errors[0]


def test_a_short_training_keeps_little_of_its_beginning(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    wanted, start = outputs_of(network.teacher, images(32)), network.merged(everything(network))
    ends = [
        fitted(network, Fit(5, 8, average), tmp_path / f"{average}", lambda *_: None, 1e-2)
        for average in (0.0, 0.98)
    ]
    first, last, averaged = (
        float((outputs_of(m, images(32)) - wanted).square().mean()) for m in (start, *ends)
    )
    assert averaged - last < 0.2 * (first - last)


def test_labels_are_learned_beside_the_teachers_answers(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    data, how = images(32), Fit(epochs=12, batch=8, average=0.5)
    labels = (outputs_of(network.teacher, data).argmax(1) + 1) % 10  # what the teacher does not say
    errors = []
    for name, given in (("without", None), ("with", labels)):
        merged = network.merged(everything(network))
        objective = Distillation(network.skeleton(), [], 5e-3, labels=given)
        fit(merged, objective, Inputs(data.__getitem__, len(data)), how, Log(tmp_path / name))
        errors.append(float(nn.functional.cross_entropy(outputs_of(merged, data), labels)))
    assert errors[1] < 0.95 * errors[0]


def test_distillation_drops_nothing_out_and_leaves_dropout_as_it_was() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2)).train()
    inputs = torch.ones(1, 4, 1, 1)
    with Distillation(nn.Identity(), [], 1e-3).watching(network, torch.device("cpu")):
        assert torch.equal(network(inputs), network(inputs))
    assert network.get_submodule("1").p == 0.5


def test_a_resumed_run_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    whole = fine_tuned(tmp_path / "a", network, None)
    resumed = fine_tuned(tmp_path / "b", network, 10)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    told: list[tuple[int, int]] = []
    fitted(network, Fit(epochs=4, batch=8), tmp_path / "a", lambda *far: told.append(far))
    assert told == [(16, 16)], "a finished run says so, and trains no more"


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    fine_tuned(tmp_path, network, None)
    with pytest.raises(BadInputError, match="was made with epochs 4, not 9, batch 8, not 32; give"):
        fitted(network, Fit(epochs=9), tmp_path, lambda *_: None)
    whole = torch.load(tmp_path / "checkpoint-whole.pt", weights_only=True)
    lacking = [{n: v for n, v in whole.items() if n != name} for name in ("model", "optimiser", "done")]
    for other in (*lacking, whole | {"model": {"weight": torch.zeros(1)}}, whole | {"done": {"losses": 3}}):
        torch.save(other, tmp_path / "checkpoint-whole.pt")
        with pytest.raises(BadInputError, match=r"lacks parts.*remove it to start again"):
            fine_tuned(tmp_path, network, None)
    (tmp_path / "checkpoint-whole.pt").write_bytes(b"half")
    with pytest.raises(BadInputError, match="damaged"):
        fitted(network, Fit(epochs=4, batch=8), tmp_path, lambda *_: None)


def test_training_stops_where_nothing_gets_better_and_keeps_the_best_epoch(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    seen: list[dict[str, Tensor]] = []

    def judge(merged: nn.Module) -> float:
        seen.append({name: value.clone() for name, value in merged.state_dict().items()})
        return [1.0, 3.0, 2.0, 2.5, 9.0][len(seen) - 1]

    merged, how = network.merged(everything(network)), Fit(epochs=9, batch=8, patience=2)
    objective = Distillation(network.skeleton(), [], 1e-3)
    losses = fit(merged, objective, Inputs(images(16).__getitem__, 16), how, Log(tmp_path), judge)
    assert len(losses) == len(seen) == 4
    assert all(torch.equal(value, seen[1][name]) for name, value in merged.state_dict().items())


def learned_as_paper(network: Network, how: Fit, folder: Path, stop_after: int | None = None) -> nn.Module:
    data = images(64)
    labels = outputs_of(network.teacher, data).argmax(1)
    steps = 0

    def watch(_: str) -> Callable[[int, int], None]:
        def count(done: int, total: int) -> None:
            nonlocal steps
            steps += 1
            if steps == stop_after:
                raise KeyboardInterrupt

        return count

    plan = everything(network)
    return train_as_deep_rebirth(
        network, plan, (), Inputs(data.__getitem__, len(data), labels), how, Log(folder, watch)
    )[0]


def test_the_papers_recipe_learns_from_labels_alone(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    labels = outputs_of(network.teacher, images(64)).argmax(1)

    def loss(merged: nn.Module) -> float:
        return float(nn.functional.cross_entropy(outputs_of(merged, images(64)), labels))

    count = len(stages(network, everything(network)))
    assert count > 1
    losses = [
        loss(learned_as_paper(network, Fit(epochs, 8, average=0.5), tmp_path / str(epochs)))
        for epochs in (count, 8 * count)
    ]
    assert losses[1] < 0.9 * losses[0]


def test_the_papers_recipe_resumes_exactly_in_mid_stage(tmp_path: Path) -> None:
    network = analyse("n", networks.with_batch_norm(), (3, 24, 24))
    how = Fit(epochs=2 * len(stages(network, everything(network))), batch=8)
    whole = learned_as_paper(network, how, tmp_path / "a").state_dict()
    with suppress(KeyboardInterrupt):
        learned_as_paper(network, how, tmp_path / "b", stop_after=27)  # 8 steps an epoch: in the second stage
    assert (tmp_path / "b" / "checkpoint-stage-2.pt").exists()
    resumed = learned_as_paper(network, how, tmp_path / "b").state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_new_layers_learn_ten_times_as_fast() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1))
    groups = LabelTraining(torch.zeros(1), ["1"]).optimiser(network).param_groups
    assert [(group["lr"], len(group["params"])) for group in groups] == [(1e-3, 2), (1e-2, 2)]


def test_layers_named_together_are_learned_at_once() -> None:
    network = structure("bvlc_googlenet")
    plan = preset("paper", network)
    alone = stages(network, plan)
    together = stages(network, plan, [("4b", "4c", "4d")])
    assert len(together) == len(alone) - 2
    assert sorted(len(stage) for stage in together)[-1] == 3
    order = [block.name for stage in together for block in stage]
    assert order == [block.name for stage in alone for block in stage]
    with pytest.raises(BadInputError, match="9z"):
        stages(network, plan, [("9z",)])
    with pytest.raises(BadInputError, match="another"):
        stages(network, plan, [("4b", "4c"), ("4c", "4d")])


def test_a_training_that_diverges_is_named(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    inputs, targets = torch.randn(40, 3, 2, 2), torch.randn(40, 3)

    def error(scores: Tensor, index: Tensor) -> Tensor:
        return distance(scores, targets[index], True)

    finetune(network, inputs.__getitem__, error, 40, Descent(4, 8, 1e-4), 0)
    inputs[:] = torch.nan
    with pytest.raises(DivergedError, match="training diverged: the loss after 0 of 9 steps is not finite"):
        finetune(network, inputs.__getitem__, error, 40, Descent(9, 8, 1e-4), 0)
    with pytest.raises(DivergedError, match="an answer of the network is not finite"):
        evaluate(network, inputs.__getitem__, torch.zeros(40, dtype=torch.int64))
