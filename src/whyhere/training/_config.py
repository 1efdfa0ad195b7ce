"""What a training run may choose, as one small typed record read from TOML. Needs no torch."""

from __future__ import annotations

import math
import tomllib
from dataclasses import asdict, dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from whyhere._io import plain
from whyhere.errors import MissingFileError, UsageError

SPACES = ("concept", "feature", "both")
DIVERGENCES = ("none", "mean", "cauchy-schwarz", "mmd")
_CHOICES: dict[str, tuple[str, ...]] = {
    "contrast_space": SPACES,
    "divergence": DIVERGENCES,
    "location_start": ("ridge", "identity"),
    "feature_head": ("residual", "mlp"),
    "location_encoder": ("frozen", "finetune", "scratch"),
    "negatives": ("gallery", "batch"),
    "optimiser": ("adamw", "adam"),
    "validation_split": ("blocks", "random"),
}


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Every choice of a run. The reasons for the defaults, and what was measured: `docs/training.md`.

    Attributes:
        start_release: Release whose image tower, location encoder and gallery are used.
        directions: Direction file of `whyhere.concepts`; "" takes the directions of `start_release`, or those
            that ship with whyhere for its tower.
        photo_share: Share of the good rows that is used, drawn by the seed; the paper's run used a twentieth.
        contrast_space: Where the contrastive loss acts, and what the release scores by: "concept" (Eq. 4 as
            printed), "feature" (no module), "both" (the paper's prose: dual alignment; the losses are added).
        symmetric: Contrast location to image as well, averaged; Eq. 4 is image to location only.
        normalise: Cosines instead of the printed dot products.
        temperature: Start of the learned temperature tau.
        divergence: Concept loss: "mean" (Eq. 6 as printed), "cauchy-schwarz" (what the paper cites), "mmd".
        divergence_weight: lambda of Eq. 7.
        sigma: Bandwidth of the kernel; 0 takes the median distance of each batch (median heuristic).
        drift_weight: Weight of mean_j |Delta_j|^2, which ties columns to their names.
        hidden: Hidden width of the residual MLP of f_img; 0 leaves the linear path alone.
        feature_head: Image head of the feature space: "residual" like f_img, or GeoCLIP's "mlp".
        location_start: Start of A and of the feature head: "ridge" (closed form from image features to
            locations) or "identity".
        ridge_penalty: Penalty of that closed form.
        location_encoder: "frozen"; "finetune" or "scratch" train it too and ship it with the release.
        batch_size: Photos a step, over all processes together.
        queue_size: Further GPS negatives a step, kept as coordinates and embedded anew each step; 0 for none.
        negatives: What enters the queue: random places of the "gallery", or the places of past batches.
        same_place_km: A negative nearer than this to the photo's own place is no negative; 0 keeps all.
        batch_noise_m: Standard deviation of the noise on the photos' coordinates, in metres a direction.
        queue_noise_m: The same on the queue.
        optimiser: "adamw", or "adam" with L2 penalty as in GeoCLIP.
        learning_rate: Learning rate of the first epoch.
        lr_decay: Factor on the learning rate after every epoch.
        weight_decay: Weight decay.
        clip_norm: Largest norm of the gradient; 0 does not clip.
        epochs: Passes over the photos at most.
        max_steps: Steps at most; 0 for no limit.
        validation_share: Share of the photos that are held out for early stopping and calibration.
        validation_split: "blocks" holds out whole areas of 10 by 10 degrees, "random" single photos.
        patience: Epochs without a better validation loss before training stops; 0 never stops early.
        checkpoint_steps: Steps between checkpoints; each epoch ends with one in any case.
        calibrate: Fit the release's temperature on the validation photos over its gallery.
        seed: Seed of everything random.
    """

    start_release: str = "base"
    directions: str = ""
    photo_share: float = 1.0
    contrast_space: str = "concept"
    symmetric: bool = False
    normalise: bool = True
    temperature: float = 0.07
    divergence: str = "none"
    divergence_weight: float = 0.1
    sigma: float = 0.0
    drift_weight: float = 0.0
    hidden: int = 256
    feature_head: str = "residual"
    location_start: str = "ridge"
    ridge_penalty: float = 1.0
    location_encoder: str = "frozen"
    batch_size: int = 256
    queue_size: int = 1024
    negatives: str = "gallery"
    same_place_km: float = 1.0
    batch_noise_m: float = 150.0
    queue_noise_m: float = 1000.0
    optimiser: str = "adamw"
    learning_rate: float = 3e-4
    lr_decay: float = 0.95
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    epochs: int = 30
    max_steps: int = 0
    validation_share: float = 0.1
    validation_split: str = "blocks"
    patience: int = 5
    checkpoint_steps: int = 200
    calibrate: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} must be one of {', '.join(choices)}, not {getattr(self, name)!r}")
        positive = ("temperature", "batch_size", "learning_rate", "lr_decay", "epochs", "checkpoint_steps")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                least = "above 0" if field.name in positive else "0 or more"
                bad = value <= 0 if field.name in positive else value < 0
                if bad or not math.isfinite(value):
                    raise UsageError(f"{field.name} must be {least}, not {value}")
        if not 0 < self.photo_share <= 1:
            raise UsageError(f"photo_share must lie above 0 and be at most 1, not {self.photo_share}")
        if self.validation_share >= 1:
            raise UsageError(f"validation_share must lie below 1, not {self.validation_share}")
        if self.ridge_penalty == 0:
            raise UsageError("ridge_penalty must be above 0")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return asdict(self)


def read_train_config(path: str | Path) -> TrainConfig:
    """Read a TOML file of flat `key = value` lines.

    Args:
        path: The file, or the name of a shipped configuration: "small", "paper", "geoclip".

    Raises:
        MissingFileError: There is no such file or shipped configuration.
        UsageError: It is not TOML, or a key is unknown, of the wrong type or out of range.
    """
    shipped = shipped_configs()
    try:
        text = shipped[str(path)] if str(path) in shipped else plain(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MissingFileError(
            f"{path}: no such training configuration ({error}); shipped ones: {', '.join(shipped)}"
        ) from error
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: nested without end
        raise UsageError(f"{path}: not TOML: {error}") from error
    types = {field.name: type(field.default) for field in fields(TrainConfig)}
    unknown = sorted(values.keys() - types.keys())
    if unknown:
        raise UsageError(f"{path}: unknown {', '.join(unknown)}; known: {', '.join(types)}")
    for name, value in values.items():
        if types[name] is float and type(value) is int:
            values[name] = float(value)
        elif type(value) is not types[name]:
            raise UsageError(
                f"{path}: {name} must be of type {types[name].__name__}, not {type(value).__name__}"
            )
    try:
        return TrainConfig(**values)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def shipped_configs() -> dict[str, str]:
    """Return name and text of every configuration that comes with whyhere."""
    folder = resources.files("whyhere.training") / "configs"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    return {file.name.removesuffix(".toml"): file.read_text(encoding="utf-8") for file in files}
