"""The paper's recipe: merged layers start at random and are trained with labels, from bottom to top."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import fx, nn

from merges.blocks import Block
from merges.network import Network
from training.errors import BadInputError
from training.finetune.fit import Fit, Inputs, Judge, Log, fit
from training.finetune.objectives import LabelTraining


def stages(
    network: Network, plan: Mapping[str, str], joint: Iterable[Sequence[str]] = ()
) -> list[list[Block]]:
    """Groups of blocks to learn together, the lowest first; exact merges need no learning.

    `joint` gives groups of names; blocks with a merged layer of such a name are merged together, with the
    lowest of them.

    Raises
    ------
    BadInputError
        A name belongs to no merged block, or to several groups.
    """
    learned = (block for block in network.blocks if not block.keeps_outputs(block.choices(plan)))
    found = [[block] for block in learned]
    for names in joint:
        members = [_named(name, found) for name in names]
        together = [stage for stage in found if stage in members]
        if len({len(stage) for stage in together} | {1}) > 1:
            raise BadInputError(f"`joint` {','.join(names)} names a layer that another `joint` names too")
        found[found.index(together[0])] = [block for stage in together for block in stage]
        found = [stage for stage in found if stage not in together[1:]]
    return found


def _named(name: str, found: Sequence[list[Block]]) -> list[Block]:
    for stage in found:
        if any(name in label for block in stage for site in block.sites for label in site.labels):
            return stage
    raise BadInputError(f"`joint` names {name!r}, but the plan merges no layer of that name")


def train_as_deep_rebirth(
    network: Network,
    plan: Mapping[str, str],
    joint: Iterable[Sequence[str]],
    inputs: Inputs,
    how: Fit,
    log: Log,
    judge: Judge | None = None,
) -> tuple[fx.GraphModule, list[float]]:
    """Merge stage by stage; in each, the new layers learn ten times as fast as the rest of the network.

    DeepRebirth, section 3: the rebirth layers are learned one after the other from bottom to top, each
    from Xavier initialisation in a network whose other layers go on from where they are. The epochs are
    shared out evenly.

    Raises
    ------
    BadInputError
        There are fewer epochs than stages.
    """
    assert inputs.labels is not None
    parts = stages(network, plan, joint)
    if 0 < how.epochs < len(parts):
        raise BadInputError(
            f"`epochs` is {how.epochs}, but the plan is learned in {len(parts)} stages; "
            "give at least as many, or `joint`"
        )
    later = {site for blocks in parts for block in blocks for site in block.choices(plan)}
    taken = {site: option for site, option in plan.items() if site not in later}
    merged, losses = network.merged(taken), list[float]()
    for number, blocks in enumerate(parts):
        taken |= {site: option for block in blocks for site, option in block.choices(plan).items()}
        fresh = [block.name for block in blocks]
        merged = _with_new(network, taken, fresh, merged, how.seed + number)
        epochs = how.epochs * (number + 1) // len(parts) - how.epochs * number // len(parts)
        objective = LabelTraining(inputs.labels, fresh)
        here = replace(log, part=f"stage-{number + 1}", title=f"stage {number + 1} of {len(parts)}")
        losses += fit(merged, objective, inputs, replace(how, epochs=epochs), here, judge)
    return merged, losses


def _with_new(
    network: Network, taken: Mapping[str, str], fresh: Sequence[str], before: fx.GraphModule, seed: int
) -> fx.GraphModule:
    """The network with these choices; new blocks start at random (Glorot and Bengio 2010)."""
    merged = network.merged(taken)
    kept = {k: v for k, v in before.state_dict().items() if not any(k.startswith(f"{b}.") for b in fresh)}
    merged.load_state_dict(kept, strict=False)
    torch.manual_seed(seed)
    for name in fresh:
        for layer in merged.get_submodule(name).modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
    return merged
