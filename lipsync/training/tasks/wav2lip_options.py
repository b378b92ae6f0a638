"""Settings of Wav2Lip training: network, losses, and the original's training loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lipsync.errors import OptionError
from lipsync.generators.wav2lip.network import OFFICIAL_SIZE, WIDTH_STEP, check_architecture
from lipsync.options import OptionGroup, option
from lipsync.training.engine.task import LoopOptions


@dataclass(frozen=True)
class GeneratorTrainingOptions(OptionGroup):
    """Network and losses of a Wav2Lip generator."""

    size: tuple[int, int] = option(
        OFFICIAL_SIZE, "height and width of the face, multiples of 32", unit="pixels"
    )
    width: float = option(
        1.0, "share of the official network's channels, in sixteenths", min=WIDTH_STEP, max=4.0
    )
    batch: int = option(16, "examples in a step, five frames each", min=1, max=4096)
    expert: Path | None = option(  # noqa: RUF009 - a declaration
        None, "checkpoint of the sync expert for the sync loss; without one there is no sync loss"
    )
    sync_weight: float | None = option(
        None,
        "weight of the sync loss; none takes the original's: 0.01, with the discriminator 0.03",
        min=0.0,
        max=1.0,
    )
    sync_from: float = option(
        0.75, "the sync loss counts once its value on the validation split has been below this", min=0.0
    )
    discriminator: bool = option(False, "add the adversarial loss of a visual quality discriminator")
    disc_weight: float = option(0.07, "weight of the adversarial loss", min=0.0, max=1.0)
    edge_weight: float = option(
        0.0, "weight of the loss of image gradients, relative to that of the pixels", min=0.0
    )
    augment: bool = option(
        True, "augment light, colour and position of the faces, alike for all frames of an example"
    )
    audio_variants: int = option(
        6, "augmented variants of each clip's audio; 1 leaves it as it is", min=1, max=1000
    )
    val_examples: int = option(64, "examples in an evaluation on the validation split", min=1, max=100_000)
    start_from: Path | None = option(  # noqa: RUF009
        None, "generator to continue with, such as an official checkpoint"
    )
    start_discriminator: Path | None = option(None, "discriminator to continue with")  # noqa: RUF009
    seed: int = option(1, "seed of all random choices", min=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            check_architecture(self.size, self.width)
        except ValueError as error:
            raise OptionError("There is no such generator", given=error) from error
        if sum(self.weights) > 1:
            raise OptionError(
                "'sync_weight' and 'disc_weight' leave nothing for the pixels",
                given=f"{self.weights[0]:g} and {self.weights[1]:g}",
                hint="Together they are at most 1.",
            )

    @property
    def weights(self) -> tuple[float, float]:
        """Weights of the sync loss and of the adversarial loss; the pixels get the rest."""
        usual = 0.03 if self.discriminator else 0.01
        sync = usual if self.sync_weight is None else self.sync_weight
        return sync if self.expert else 0.0, self.disc_weight if self.discriminator else 0.0


def original_loop(discriminator: bool = False, **changes: Any) -> LoopOptions:
    """The original's loop: Adam at a constant rate, without gradient clip.

    Args:
        discriminator: those of its training with the discriminator.
        changes: further settings of `LoopOptions`.
    """
    usual = {"steps": 300_000, "learning_rate": 1e-4, "schedule": "constant", "warmup_steps": 0}
    adam = {"beta1": 0.5 if discriminator else 0.9, "beta2": 0.999, "weight_decay": 0.0, "grad_clip": 0.0}
    return LoopOptions(**{**usual, **adam, "evaluate_every": 3000, **changes})
