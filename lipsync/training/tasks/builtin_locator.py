"""Training of the PlaceNet: where the mouth of a face crop is, and where it would be closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lipsync.generators.builtin.mouth_outline import opening, render_contours
from lipsync.generators.builtin.network import MouthLocator, NetworkConfig
from lipsync.options import OptionGroup, option
from lipsync.training.data.augment import change_picture, move_points, no_augmentation, sample_augmentation
from lipsync.training.data.dataset import ByPerson, Clip
from lipsync.training.data.dataset_format import SIDE
from lipsync.training.data.mouth_shapes import MIRRORED
from lipsync.training.engine.loop import Batch, device_of, to_device
from lipsync.types import FloatArray, Frame


@dataclass(frozen=True)
class LocatorOptions(OptionGroup):
    """What the PlaceNet is shown."""

    batch: int = option(48, "pictures of a step", min=1, max=4096)
    seed: int = option(1, "of every random choice", min=0)


class LocatorTask:
    """The loop's view of the PlaceNet."""

    def __init__(self, clips: Sequence[Clip], config: NetworkConfig, options: LocatorOptions) -> None:
        self.options = options
        self._config = config
        self._clips = ByPerson(
            [clip for clip in clips if clip.split == "train" and clip.crops is not None and len(clip.usable)]
        )
        self._held = [
            clip for clip in clips if clip.split == "held" and clip.crops is not None and len(clip.usable)
        ]
        self._net = MouthLocator(config.height, config.width)
        self._start_at_the_mean()

    @property
    def network(self) -> nn.Module:
        """The PlaceNet."""
        return self._net

    def _start_at_the_mean(self) -> None:
        """Let the untrained net answer with the mean face, so that only differences are learned."""
        batch = self.batch(0)
        mean = [batch[name].mean(0).flatten() for name in ("now", "resting", "turn")]
        last = self._net.head[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias.copy_(torch.cat(mean))
            last.weight.mul_(0.1)

    def batch(self, step: int) -> Batch:
        """Random frames of the people to train on."""
        generator = np.random.default_rng((self.options.seed, step))
        rows = []
        for _ in range(self.options.batch):
            clip = self._clips.draw(generator)
            rows.append(self._make(clip, int(generator.choice(clip.usable)), generator))
        return _stack(rows)

    def _make(
        self, clip: Clip, frame: int, generator: np.random.Generator | None
    ) -> tuple[Frame, FloatArray, FloatArray]:
        assert clip.crops is not None
        look = sample_augmentation(generator, reach=1.6) if generator is not None else no_augmentation()
        picture = change_picture(clip.crops[frame], look, generator or np.random.default_rng(0))
        points = move_points(np.stack([clip.now[frame], clip.resting[frame]]), look, MIRRORED) / SIDE
        turn = look.matrix[:, :2] @ clip.turn[frame]
        if look.mirrored:  # the template is mirrored with the picture
            turn = turn * np.array([-1, 1, 1])
        c = self._config
        window = picture[c.top : c.top + c.height, c.left : c.left + c.width]
        return window, points.astype(np.float32), turn.astype(np.float32)

    def loss(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """L1 of both outlines, of the movement between them and of the turn."""
        now, resting, turn = self._net(batch["picture"])
        places = (now - batch["now"]).abs().mean() + (resting - batch["resting"]).abs().mean()
        # What the Painter follows is the movement; errors that both outlines share matter less.
        moves = ((now - resting) - (batch["now"] - batch["resting"])).abs().mean()
        turned = (turn - batch["turn"]).abs().mean()
        loss = (places + 2 * moves + 0.5 * turned) * 10
        return loss, {"places": places.item() * SIDE / 2, "moves": moves.item() * SIDE, "turn": turned.item()}

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Mean error on held-out people in pixels of a 128-pixel crop, and how well openings are read."""
        figures: dict[str, list[float]] = {"score": [], "now": [], "resting": [], "moves": [], "opening": []}
        for person in sorted({clip.person for clip in self._held}):
            clips = [clip for clip in self._held if clip.person == person]
            rows = [self._make(clip, frame, None) for clip in clips for frame in clip.usable[::4]]
            batch = to_device(_stack(rows), device_of(network))
            now, resting, _ = network(batch["picture"])
            figures["now"].append(_pixels(now, batch["now"]))
            figures["resting"].append(_pixels(resting, batch["resting"]))
            figures["moves"].append(_pixels(now - resting, batch["now"] - batch["resting"]))
            seen, true = opening(now).cpu().numpy(), opening(batch["now"]).cpu().numpy()
            figures["opening"].append(float(np.corrcoef(seen, true)[0, 1]))
            figures["score"].append(figures["now"][-1] + figures["resting"][-1] + 2 * figures["moves"][-1])
        return {name: float(np.mean(values)) for name, values in figures.items()}

    def pictures(self, network: nn.Module) -> dict[str, Tensor]:
        """One frame of each held-out person: as it is | with the mouth it has | with the one found."""
        first = {clip.person: clip for clip in reversed(self._held)}
        if not first:
            return {}
        rows = [self._make(first[person], int(first[person].usable[0]), None) for person in sorted(first)]
        batch = to_device(_stack(rows), device_of(network))
        corner = batch["now"].new_tensor([self._config.left, self._config.top])
        height, width = batch["picture"].shape[-2:]
        shown = [batch["picture"]]
        for points in (batch["now"], network(batch["picture"])[0]):
            lines = render_contours(points * SIDE - corner, height, width).amax(1, keepdim=True).clamp(0, 1)
            shown.append(torch.maximum(batch["picture"], lines))
        return {"mouth as it is, as found": torch.cat(shown, dim=3)}


def _pixels(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm(dim=-1).mean()) * SIDE


def _stack(rows: list[tuple[Frame, FloatArray, FloatArray]]) -> Batch:
    pictures, points, turns = (np.stack(part) for part in zip(*rows, strict=True))
    both = torch.from_numpy(points)
    return {
        "picture": torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255,
        "now": both[:, 0],
        "resting": both[:, 1],
        "turn": torch.from_numpy(turns),
    }
