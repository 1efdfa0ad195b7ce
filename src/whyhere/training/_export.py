"""A trained module becomes a release: config.json, model.safetensors, concepts.json, MODEL_CARD.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere._io import seal, write_atomically
from whyhere.alignment import ConceptAlignment
from whyhere.concepts import ConceptLabel
from whyhere.releases import Release, ReleaseConfig
from whyhere.training._check import HeldOutCheck, ranking_section
from whyhere.training._config import TrainConfig


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What a model card must tell about a run.

    Attributes:
        photos: Photos that could be used.
        bad_rows: Rows of the table that could not.
        trained: Photos trained on.
        held_out: Photos held out for early stopping and calibration.
        steps: Step whose weights were kept.
        at_start: Validation figures before training.
        at_best: Validation figures of the weights kept.
        calibrated: Whether the temperature was fitted on the validation photos.
        check: What the held-out photos say of answers; None where the release was not calibrated.
    """

    photos: int
    bad_rows: int
    trained: int
    held_out: int
    steps: int
    at_start: Mapping[str, float]
    at_best: Mapping[str, float]
    calibrated: bool
    check: HeldOutCheck | None = None

    @property
    def accuracy(self) -> str:
        """One sentence on how good it is."""
        if not self.at_best:
            return "Not measured: no photos were held out."
        return (
            f"Among {self.held_out} held-out photos, which also chose when to stop, the best of the known "
            f"places was within 750 km for {self.at_best['within_750_km']:.0%} and within 2,500 km for "
            f"{self.at_best['within_2500_km']:.0%}; median {self.at_best['median_km']:,.0f} km."
        )


def write_release(
    out: Path,
    alignment: ConceptAlignment,
    labels: Sequence[ConceptLabel],
    *,
    config: TrainConfig,
    start: Release,
    temperature: float,
    facts: TrainingFacts,
    location_encoder: Mapping[str, NDArray[np.float32]] | None = None,
) -> None:
    """Write a release; `config.json`, which makes the directory one, comes last.

    Args:
        out: Its directory.
        alignment: The trained module.
        labels: Names of its concepts.
        config: Choices of the run.
        start: The release whose tower, encoder and gallery it uses.
        temperature: Temperature of its scores.
        facts: What the model card tells.
        location_encoder: Weights of a location encoder that was trained too.
    """
    from safetensors.numpy import save

    out.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: getattr(alignment, name)
        for name in ("directions", "delta", "adapter", "feature_mean", "location_mean")
    }
    for side in ("image", "feature"):
        head = asdict(getattr(alignment, side))
        tensors |= {f"{side}.{name}": tensor for name, tensor in head.items()}
    write_atomically(out / "model.safetensors", save(tensors))
    # Nobody has asked yet whether open maps confirm what these columns have become.
    untested = [{**label.to_dict(), "evidence": "untested"} for label in labels]
    write_atomically(out / "concepts.json", json_bytes(untested))
    if location_encoder is not None:
        write_atomically(out / "location_encoder.safetensors", save(dict(location_encoder)))
    write_atomically(out / "MODEL_CARD.md", _card(out.name, alignment, config, start.config, facts).encode())
    # What was fitted for the other release's scores (temperature, abstaining...) does not hold for these.
    kept = ("cell_resolution", "radius_km", "added_weight")
    geometry = {key: start.config.ranking[key] for key in kept if key in start.config.ranking}
    own = {"folder": "."}
    content = {
        "format_version": 1,
        "name": out.name,
        "version": "1.0",
        "image_tower": _part(start, "image_tower"),
        "location_encoder": own if location_encoder else _part(start, "location_encoder"),
        "gallery": _part(start, "gallery"),
        "alignment": {
            "kind": "caam",
            "concept_weight": alignment.concept_weight,
            "feature_weight": alignment.feature_weight,
            "normalise": alignment.normalise,
            "concept_ids": list(alignment.concept_ids),
        },
        "ranking": ranking_section(facts.check.ranking)
        if facts.check
        else {**geometry, "temperature": temperature, "abstain_below": 0.0},
        "card": {
            "summary": _summary(config, start.config, facts),
            "accuracy": facts.accuracy,
            "limits": _limits(facts),
            "attribution": [
                *start.config.card.attribution,
                "Training photos: state their source and licence here.",
            ],
        },
        "training": config.to_dict(),
    }
    data = json_bytes(content)
    decisive = ("model.safetensors", "concepts.json", "location_encoder.safetensors")
    seal(out, decisive, coming={"config.json": data})
    write_atomically(out / "config.json", data)


def _part(start: Release, name: str) -> dict[str, Any]:
    """Return where a part of the starting release lies, from any other directory."""
    section: dict[str, Any] = json.loads((start.directory / "config.json").read_text("utf-8"))[name]
    for key in section.keys() & {"file", "folder"}:
        section[key] = str((start.directory / Path(section[key]).expanduser()).resolve())
    section.pop("view_average", None)  # features in training are the default, the average of embeddings
    return section


def _summary(config: TrainConfig, start: ReleaseConfig, facts: TrainingFacts) -> str:
    space = {"concept": "concepts alone", "feature": "features alone", "both": "concepts and features"}
    return (
        f"Concept-Aware Alignment Module trained on {facts.trained:,} photos over the image tower of release "
        f"{start.name}; scores by {space[config.contrast_space]}."
    )


def _limits(facts: TrainingFacts) -> list[str]:
    limits = [
        "The validation figures chose the weights and so flatter; measure the release on other photos.",
        "Answers are gallery points; places that few people photograph are hard to reach.",
        "Concepts show what carried the score inside the model; not that the thing is in the photo.",
        "An estimate is a hypothesis to be checked, never proof of where a photo was taken.",
    ]
    if not facts.calibrated:
        limits.insert(1, "Probabilities are not calibrated: the temperature is the one learned in training.")
    return limits


def _card(
    name: str,
    alignment: ConceptAlignment,
    config: TrainConfig,
    start: ReleaseConfig,
    facts: TrainingFacts,
) -> str:
    drift = alignment.drift
    moved = [f"{alignment.concept_ids[j]} {drift[j]:.2f}" for j in np.argsort(drift)[:10]]
    lines = [
        f"# {name}",
        "",
        _summary(config, start, facts),
        "",
        "## Data",
        "",
        f"{facts.photos:,} photos with coordinates; {facts.bad_rows:,} bad rows were left out. "
        f"{facts.trained:,} photos trained, {facts.held_out:,} held out ({config.validation_split}).",
        "",
        "## Accuracy",
        "",
        facts.accuracy,
        "",
        "| held-out photos | before training | kept weights |",
        "|---|---|---|",
        *(f"| {key} | {facts.at_start[key]:.4g} | {value:.4g} |" for key, value in facts.at_best.items()),
        "",
        *(facts.check.lines() if facts.check else ()),
        "## Concepts",
        "",
        f"{len(alignment.concept_ids)} concepts for {alignment.directions.shape[0]} dimensions. "
        f"Mean cos(B_j, E_j) between column and name: {drift.mean():.3f}; least: {', '.join(moved)}.",
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in _limits(facts)),
        "",
        "## Configuration",
        "",
        f"Weights of step {facts.steps}.",
        "",
        "```toml",
        *(f"{key} = {_toml(value)}" for key, value in config.to_dict().items()),
        "```",
        "",
    ]
    return "\n".join(lines)


def _toml(value: Any) -> str:  # noqa: ANN401 - bool, number or text
    return json.dumps(value)  # TOML writes these three as JSON does


def json_bytes(value: object) -> bytes:
    """Return what a JSON file of a release holds, in lines, so that changes can be read."""
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
