"""Make a plan's network whole: bank, a pass from bottom to top, then the teacher's answers."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from scipy.stats import binomtest
from torch import Tensor, fx, nn

from training.bank import Bank
from training.distill import learn_block
from training.files import save_weights, weights_of
from training.optim import descend
from training.walk import outputs_of, walk

Progress = Callable[[int, int], None]
_TEMPERATURE = 2.0


@dataclass(frozen=True)
class Accuracy:
    """Percent of images whose class is the best (or among the five best) answer.

    `expected` is the mean probability that the network gives to the right class, in percent: the top-1
    accuracy to expect if it drew its answers from its own probabilities. Every image counts by how
    sure its answer is, so plans differ where a few hundred images give many of them the same top-1.
    """

    top1: float
    top5: float
    images: int
    expected: float

    def interval(self, percent: float) -> tuple[float, float]:
        """95 % confidence interval of a share of the images, in percent (Wilson 1927)."""
        found = binomtest(round(percent * self.images / 100), self.images).proportion_ci(method="wilson")
        return 100 * float(found.low), 100 * float(found.high)

    @property
    def error(self) -> float:
        """Standard error of top-1, in points."""
        share = self.top1 / 100
        return 100 * (share * (1 - share) / max(self.images, 1)) ** 0.5


def accuracy(logits: Tensor, labels: Tensor) -> Accuracy:
    """Accuracy of answers (n, classes) against class numbers (n,)."""
    best = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
    return Accuracy(
        100 * float(best[:, 0].float().mean()),
        100 * float(best.any(dim=1).float().mean()),
        len(labels),
        100 * float(logits.softmax(dim=1).gather(1, labels[:, None]).mean()),
    )


def by_class(answers: Collection[Tensor], labels: Tensor) -> dict[int, tuple[int, list[float]]]:
    """For every class that has images: how many, and the top-1 of several networks' answers, in percent."""
    right = torch.stack([(logits.argmax(1) == labels).float() for logits in answers])
    found: dict[int, tuple[int, list[float]]] = {}
    for number in labels.unique().tolist():
        of_class = labels == number
        found[number] = int(of_class.sum()), [100 * float(r[of_class].mean()) for r in right]
    return found


def assemble(
    bank: Bank,
    plan: Mapping[str, str],
    steps: int,
    progress: Progress = lambda _, __: None,
    folder: Path | None = None,
) -> fx.GraphModule:
    """The plan's network from learned blocks, relearned once from bottom to top.

    Blocks learned alone are fed the teacher's features; stacked, their errors pile up. So every merged
    block takes `steps` more steps on the features that the merged network below it really produces,
    against the teacher's output at that point (0 leaves the blocks as they are in the bank). With a
    `folder`, every relearned block is kept there, and taken from there by a pass that was interrupted.
    """
    network = bank.network
    changed = [block for block in network.blocks if block.choices(plan)]
    entries = {block.name: bank.get(block, block.choices(plan)).weights for block in changed}
    merged = network.merged(plan, entries)
    if steps == 0 or not changed:
        return merged
    by_name = {block.name: block for block in changed if not block.keeps_outputs(block.choices(plan))}
    recipe = replace(bank.recipe, steps=steps)
    done = 0

    def relearn(name: str, inputs: Tensor) -> None:
        nonlocal done
        if name not in by_name:
            return
        student = merged.get_submodule(name)
        assert isinstance(student, fx.GraphModule)
        kept = folder / f"{name}-{recipe.digest}.safetensors" if folder else None
        if kept and kept.exists():
            student.load_state_dict(load_file(kept))
        else:
            learn_block(student, bank.lesson(by_name[name], inputs), recipe)
            if kept:
                save_weights(weights_of(student), kept)
        done += 1
        progress(done, len(by_name))

    walk(merged, bank.images, visit=relearn)
    return merged


def distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence of softened answers (Hinton et al. 2015), scaled by T squared."""
    soft, wanted = (torch.log_softmax(logits / _TEMPERATURE, dim=1) for logits in (student, teacher))
    return nn.functional.kl_div(soft, wanted, log_target=True, reduction="batchmean") * _TEMPERATURE**2


def finetune(
    merged: nn.Module,
    images: Callable[[Tensor], Tensor],
    teacher_logits: Tensor,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    progress: Progress = lambda _, __: None,
) -> None:
    """A fixed number of steps of the whole network towards the teacher's answers, in place.

    `images` gives preprocessed images for indices; `teacher_logits` are cached for all of them.
    """
    generator = torch.Generator().manual_seed(seed)

    def loss(index: Tensor) -> Tensor:
        return distillation(merged(images(index)), teacher_logits[index])

    descend(merged, loss, len(teacher_logits), steps, batch, rate, generator, progress)


def evaluate(model: nn.Module, images: Callable[[Tensor], Tensor], labels: Tensor) -> tuple[Accuracy, Tensor]:
    """Accuracy and answers for all images, in batches."""
    index = torch.arange(len(labels))
    logits = torch.cat([outputs_of(model, images(part)) for part in index.split(64)])
    return accuracy(logits, labels), logits
