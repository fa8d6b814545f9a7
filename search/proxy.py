"""The proxy: how a plan is judged, and which accuracy counts."""

from dataclasses import dataclass

from training.metric import DEFAULT, Metric


@dataclass(frozen=True)
class Proxy:
    """The fixed effort spent on judging one plan.

    Attributes
    ----------
    bank_images, bank_steps : images and steps for learning each block once
    relearn_steps : steps per block in a trial's pass from bottom to top
    finetune_steps, batch, rate : of fine-tuning the whole network towards the teacher's answers
    metric : what plans are judged by, to be maximised
    """

    bank_images: int = 96
    bank_steps: int = 12
    relearn_steps: int = 3
    finetune_steps: int = 4
    batch: int = 32
    rate: float = 1e-4
    metric: Metric = DEFAULT

    def describe(self) -> str:
        """The proxy in one sentence."""
        return (
            f"blocks learned once on {self.bank_images} images x {self.bank_steps} steps; "
            f"a trial relearns them from bottom to top ({self.relearn_steps} steps per block), "
            f"then fine-tunes the whole network for {self.finetune_steps} steps of {self.batch} images"
        )
