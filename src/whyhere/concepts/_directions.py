"""Where the concepts of a bank lie in the embedding space of one image tower, with provenance.

A direction file is a pair: `NAME.safetensors` holds the numbers, `NAME.json` says where each direction came
from, which concepts have none good enough, and which tower and bank it belongs to.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from whyhere._record import Record
from whyhere.concepts._bank import ConceptBank, load_bank
from whyhere.concepts._vocabulary import DATA, pair_of, read_pair
from whyhere.errors import MissingFileError, UsageError

FloatArray = NDArray[np.float32]

SOURCES = (
    "text-row", "bridged-text", "activation-vector", "combined", "text-tower", "example-photos", "none",
)  # fmt: skip
"""Where a direction can come from; "none" where nothing was at hand."""

_TENSORS = ("directions", "image_mean", "text_mean", "activation_mean", "activation_sd")
_OWN = ("unknown", "examples", "auroc", "auroc_low", "auroc_high", "nearest", "nearest_cosine")
_REBUILD = "build it with scripts/build_concept_directions.py"


class ConceptDirection(Record, frozen=True):
    """Where one direction came from and how far it can be trusted.

    Attributes:
        id: Concept id.
        source: One of `SOURCES`.
        words: Words whose text rows were averaged.
        teacher: Teacher classes whose scores were regressed.
        expected_cosine: Expected cosine of the text direction to the true centred text row, from words held
            out of the bridge; 1 for true rows, None without text.
        agreement: Correlation, over the photo pool, of the text direction with the teacher (neither has
            seen the other); None where one of the two is missing.
        vector: Correlation of an activation vector with its teacher on photos held out; None without one.
        quality: Correlation of the chosen kind of direction with the teacher on photos held out; None
            without a teacher.
        weak: True where the concept is below the bar and has no row in `Directions.directions`.
        reason: Why it is weak; "" otherwise.
        unknown: Words of a user's concept that the vocabulary does not know.
        examples: Example photos that a user's concept has.
        auroc: Share of pairs of an example and another photo, both held out, that the direction of the
            photos orders rightly; None without photos to compare.
        auroc_low: Lower end of its 95 % interval.
        auroc_high: Upper end.
        nearest: Concept of the same bank whose direction is nearest; "" where that was not looked at.
        nearest_cosine: Cosine to it.
    """

    id: str
    source: str
    words: tuple[str, ...]
    teacher: tuple[str, ...]
    expected_cosine: float | None
    agreement: float | None
    vector: float | None
    quality: float | None
    weak: bool
    reason: str
    unknown: tuple[str, ...] = ()
    examples: int = 0
    auroc: float | None = None
    auroc_low: float | None = None
    auroc_high: float | None = None
    nearest: str = ""
    nearest_cosine: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, those of users' own banks only where they say something."""
        return {name: value for name, value in super().to_dict().items() if name not in _OWN or value}


class _Provenance(Record, frozen=True):
    """What the JSON file of a pair says; see `Directions`."""

    tower: str
    tower_fingerprint: str
    bank_fingerprint: str
    ids: tuple[str, ...]
    report: dict[str, Any]
    concepts: tuple[ConceptDirection, ...]
    bank: ConceptBank | None = None


@dataclass(frozen=True, slots=True)
class Directions:
    """Directions E of one bank in one embedding space.

    Attributes:
        tower: Name of the embedding space, such as "clip-vit-b16".
        tower_fingerprint: SHA-256 of the file that the image tower was made from.
        bank_fingerprint: `ConceptBank.fingerprint` of the bank.
        ids: Concepts that have a direction, in bank order; row j of `directions` is `ids[j]`.
        directions: Unit rows, float32 [k, d].
        image_mean: Mean unit image embedding over the photo pool, float32 [d].
        text_mean: Mean text row that text directions were centred by, float32 [d].
        activation_mean: Mean activation of each concept over the photo pool, float32 [k].
        activation_sd: Its standard deviation, float32 [k].
        concepts: Provenance of every concept of the bank, weak ones included, in bank order.
        report: Figures of the build: pool, bridge, bars.
        bank: The bank itself where it is a user's own and travels with its directions; None for the shipped.
    """

    tower: str
    tower_fingerprint: str
    bank_fingerprint: str
    ids: tuple[str, ...]
    directions: FloatArray
    image_mean: FloatArray
    text_mean: FloatArray
    activation_mean: FloatArray
    activation_sd: FloatArray
    concepts: tuple[ConceptDirection, ...]
    report: dict[str, Any]
    bank: ConceptBank | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, concept_id: str) -> FloatArray:
        """Return the direction of one concept, float32 [d].

        Raises:
            UsageError: The concept has no direction good enough, or is unknown.
        """
        if concept_id in self.ids:
            row: FloatArray = self.directions[self.ids.index(concept_id)]
            return row
        for concept in self.concepts:
            if concept.id == concept_id:
                raise UsageError(f"concept {concept_id!r} has no direction in {self.tower}: {concept.reason}")
        raise UsageError(f"concept {concept_id!r} is not in the bank of these directions")

    def activations(self, embeddings: FloatArray, *, standardise: bool = False) -> FloatArray:
        """Return how strongly each photo shows each concept.

        Args:
            embeddings: Image embeddings of this tower, [n, d]; any length, scaled to one here.
            standardise: False gives the cosine of the centred embedding with the direction: use it to
                rank concepts within a photo. True gives standard deviations from the mean over the photo
                pool: use it to rank photos by a concept; it inflates concepts that the pool never shows.

        Returns:
            float32 [n, k].
        """
        unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
        centred = unit - self.image_mean
        cosine = (centred / np.linalg.norm(centred, axis=1, keepdims=True)) @ self.directions.T
        if standardise:
            cosine = (cosine - self.activation_mean) / self.activation_sd
        return np.asarray(cosine, dtype=np.float32)


def save_directions(directions: Directions, path: str | Path) -> None:
    """Write `directions` to PATH.safetensors and PATH.json.

    Args:
        directions: What to write.
        path: Path without or with the suffix `.safetensors`.
    """
    from safetensors.numpy import save

    numbers, words = pair_of(path)
    data = save({name: np.ascontiguousarray(getattr(directions, name)) for name in _TENSORS})
    numbers.parent.mkdir(parents=True, exist_ok=True)
    numbers.write_bytes(data)
    content = {
        "format": 1,
        "tower": directions.tower,
        "tower_fingerprint": directions.tower_fingerprint,
        "bank_fingerprint": directions.bank_fingerprint,
        "sha256": hashlib.sha256(data).hexdigest(),
        "ids": list(directions.ids),
        "report": directions.report,
        "concepts": [concept.to_dict() for concept in directions.concepts],
    }
    if directions.bank is not None:
        content["bank"] = directions.bank.to_dict()
    words.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_directions(
    path: str | Path | None = None, *, bank: ConceptBank | None = None, tower: str | None = "clip-vit-b16"
) -> Directions:
    """Read directions and check that they belong to the bank and the tower.

    Args:
        path: A direction file; None reads the one that ships with whyhere.
        bank: The bank they must belong to; None means the one that travels with them, which a user's own
            does, else the bank that ships with whyhere.
        tower: Name of the embedding space they must belong to; None takes any.

    Raises:
        MissingFileError: A file is missing, damaged or not a direction file.
        UsageError: The directions belong to another tower or another bank.
    """
    file, _ = pair_of(DATA / "directions-clip-vit-b16" if path is None else path)
    content, tensors = read_pair(file, "concept directions", "direction file", _REBUILD)
    try:
        about = msgspec.structs.asdict(msgspec.convert(content, _Provenance))
        arrays: dict[str, Any] = {name: np.asarray(tensors[name], dtype=np.float32) for name in _TENSORS}
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise MissingFileError(f"{file} is not a complete direction file ({error}); {_REBUILD}") from error
    found = Directions(**about, **arrays)
    if tower is not None and found.tower != tower:
        raise UsageError(f"{file} holds directions for the tower {found.tower!r}, not {tower!r}; {_REBUILD}")
    bank = bank or found.bank or load_bank()
    if found.bank_fingerprint != bank.fingerprint:
        raise UsageError(
            f"{file} was built for another version of the concept bank ({found.bank_fingerprint}, this one "
            f"is {bank.fingerprint}); build it again with scripts/build_concept_directions.py"
        )
    strong = tuple(concept.id for concept in found.concepts if not concept.weak)
    if tuple(c.id for c in found.concepts) != bank.ids or strong != found.ids:
        raise MissingFileError(f"{file}: its concepts are not those of the bank {bank.name!r}")
    count, width = len(found.ids), found.image_mean.shape[-1]
    shapes = ((count, width), (width,), (width,), (count,), (count,))
    for name, shape in zip(_TENSORS, shapes, strict=True):
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise MissingFileError(f"{file}: {name} has shape {arrays[name].shape}, expected finite {shape}")
    if count and np.abs(np.linalg.norm(found.directions, axis=1) - 1).max() > 1e-4:
        raise MissingFileError(f"{file}: directions are not of unit length")
    return found
