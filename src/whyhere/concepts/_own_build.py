"""Directions of a user's own bank, from a text tower or known words, from example photos, or from both.

The rule of the shipped bank (`_build`), with example photos in the place of the teacher: activation vectors
after Kim et al. 2018 (TCAV) by ridge regression, here of "is an example" on the embeddings of all photos.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts._bank import Concept
from whyhere.concepts._bridge import unit_rows
from whyhere.concepts._build import BuildRule
from whyhere.concepts._directions import ConceptDirection, Directions
from whyhere.concepts._own_bank import OwnBank
from whyhere.concepts._own_photos import LEAST_PHOTOS, Seen, Stack, seen_in
from whyhere.concepts._own_text import NOTHING, Encode, Said, said_by_tower, said_by_vocabulary
from whyhere.concepts._vocabulary import Vocabulary
from whyhere.errors import UsageError

Array = NDArray[np.float64]

LEAST_AUROC = 0.7
"""AUROC below which example photos are called hard to tell apart."""
SAME_CONCEPT = 0.9
"""Cosine from which two concepts are called the same; car and automobile have .92, forest and woods .86."""


@dataclass(frozen=True, slots=True)
class OwnMaterial:
    """What the directions of a user's bank are made from.

    Attributes:
        tower: Name of the image tower's embedding space; "" for a tower without one.
        tower_fingerprint: What identifies the tower.
        photos: Unit embeddings of the example photos by concept id, [n, d] each.
        background: Unit embeddings of photos that show none of the concepts, [m, d].
        image_mean: Mean image embedding of the tower over many photos, [d]; None: of the photos given.
        encode: The text tower; None where there is none.
        vocabulary: Known words in the tower's space; None where there are none. A text tower comes first.
    """

    tower: str
    tower_fingerprint: str
    photos: Mapping[str, Array]
    background: Array | None = None
    image_mean: Array | None = None
    encode: Encode | None = None
    vocabulary: Vocabulary | None = None


def build_own_directions(own: OwnBank, material: OwnMaterial, *, rule: BuildRule | None = None) -> Directions:
    """Build the directions of a user's own bank.

    Text and photos -> `combined`, as in the shipped bank: the text's direction plus `BuildRule.vector_weight`
    of the photos', both standardised over the photos. Text only -> `text-tower`, `text-row` or
    `bridged-text`. Photos only, or a folder that nothing was written about -> `example-photos`.

    Weak, and without a row: nothing known, place-neutral, a bridged row too uncertain, too few photos, no
    photos to compare with, photos that can't be told from others, text that disagrees with them, and a
    direction that an earlier concept has already.

    Args:
        own: The bank.
        material: What its directions are made from.
        rule: Bars and strengths; those of the shipped bank by default.

    Raises:
        UsageError: Text tower, photos and vocabulary are of different models, or there is nothing at all.
    """
    rule = rule or BuildRule()
    said, text_mean, same = _said(own, material)
    stack = Stack.of(own.bank.ids, material.photos, material.background)
    width = _width(said, stack.embeddings, material)
    image_mean = material.image_mean
    if image_mean is None:
        image_mean = stack.embeddings.mean(axis=0) if len(stack.owner) else np.zeros(width)
    features = stack.centred(image_mean)
    rows: list[Array | None] = []
    entries: list[ConceptDirection] = []
    for concept, words in zip(own.bank, said, strict=True):
        photos = int(np.sum(stack.owner == concept.id))
        seen = seen_in(features, stack.owner, concept.id, words.row, rule) if photos else None
        row, entry = _direction(concept, concept.id in own.spoken, words, seen, photos, rule)
        rows.append(row)
        entries.append(entry)
    entries = _compared(rows, entries)
    kept = [row for row, entry in zip(rows, entries, strict=True) if not entry.weak and row is not None]
    directions = np.stack(kept) if kept else np.zeros((0, width))
    activations = features @ directions.T
    known = len(features) > 1
    return Directions(
        tower=material.tower,
        tower_fingerprint=material.tower_fingerprint,
        bank_fingerprint=own.bank.fingerprint,
        ids=tuple(entry.id for entry in entries if not entry.weak),
        directions=directions.astype(np.float32),
        image_mean=image_mean.astype(np.float32),
        text_mean=(np.zeros(width) if text_mean is None else text_mean).astype(np.float32),
        activation_mean=(activations.mean(axis=0) if known else np.zeros(len(kept))).astype(np.float32),
        activation_sd=(activations.std(axis=0) if known else np.ones(len(kept))).astype(np.float32),
        concepts=tuple(entries),
        report=_report(own, material, rule, same),
        bank=own.bank,
    )


def _said(own: OwnBank, material: OwnMaterial) -> tuple[tuple[Said, ...], Array | None, float | None]:
    """Return the text side of every concept, the text mean, and how well a text tower fits known rows."""
    if material.encode is not None:
        return said_by_tower(own.bank, material.encode, material.vocabulary)
    if material.vocabulary is not None:
        vocabulary = material.vocabulary
        said = tuple(said_by_vocabulary(concept, vocabulary) for concept in own.bank)
        return said, vocabulary.mean.astype(np.float64), None
    return tuple(NOTHING for _ in own.bank), None, None


def _width(said: tuple[Said, ...], everything: Array, material: OwnMaterial) -> int:
    """Return the width of the embedding space, the same for all sources."""
    widths = {row.size for row in (s.row for s in said) if row is not None}
    widths |= {everything.shape[1]} if len(everything) else set()
    widths |= set() if material.image_mean is None else {material.image_mean.size}
    if len(widths) > 1:
        raise UsageError(
            f"embeddings of different widths ({', '.join(map(str, sorted(widths)))}): the text tower and the "
            "image tower of the release are not from one model"
        )
    if not widths:
        raise UsageError(
            "nothing to make directions from: without a text tower (--text-tower) words are known for the "
            "image tower clip-vit-b16 only, and there is no example photo"
        )
    return widths.pop()


def _direction(
    concept: Concept, written: bool, words: Said, seen: Seen | None, photos: int, rule: BuildRule
) -> tuple[Array | None, ConceptDirection]:
    """Choose the direction of one concept and say how far it can be trusted.

    Args:
        concept: The concept.
        written: Somebody wrote something about it: it is more than the name of a folder.
        words: Its text side.
        seen: Its photo side, if it has photos.
        photos: How many.
        rule: Bars and strengths.
    """
    spoken = words.row is not None and written
    row: Array | None
    if spoken and words.row is not None and seen is not None and min(seen.spread) > 0:
        row = unit_rows(words.row / seen.spread[0] + rule.vector_weight * seen.vector / seen.spread[1])
        source = "combined"
    elif spoken:
        source, row = words.source, words.row
    elif seen is not None:
        source, row = "example-photos", unit_rows(seen.vector)
    else:
        source, row = "none", None
    if row is not None and not row.any():
        row, source = None, "none"  # photos that are all alike
    reason = "place-neutral" if concept.place_neutral else _reason(source, words, seen, photos, rule)
    if seen is None and not written:
        reason = "none of its photos can be read"
    found = None if seen is None else seen.separation
    agreement = None if seen is None else seen.agreement
    return row, ConceptDirection(
        id=concept.id,
        source=source,
        words=words.words if spoken else (),
        teacher=(),
        expected_cosine=None if not spoken or words.expected is None else round(words.expected, 4),
        agreement=None if agreement is None else round(agreement, 4),
        vector=None,
        quality=None,
        weak=bool(reason),
        reason=reason,
        unknown=words.unknown if written else (),
        examples=photos,
        auroc=None if found is None else round(found.auroc, 4),
        auroc_low=None if found is None else round(found.low, 4),
        auroc_high=None if found is None else round(found.high, 4),
    )


def _reason(source: str, words: Said, seen: Seen | None, photos: int, rule: BuildRule) -> str:
    """Say why a concept is weak; "" where it is not."""
    if source == "none":
        if photos:
            return "its photos are all alike"
        return f"unknown: {', '.join(words.unknown)}" if words.unknown else "no word known, no photo"
    uncertain = words.expected is not None and words.expected < rule.least_expected
    if source == "bridged-text" and uncertain:
        return f"text row too uncertain (expected cosine {words.expected:.2f})"
    if seen is None:
        return ""
    if photos < LEAST_PHOTOS:
        return f"only {photos} example photo{'s' * (photos != 1)}, {LEAST_PHOTOS} are needed"
    if seen.separation is None:
        return "no other photos to compare with: add another concept's, or a folder named _other"
    found = seen.separation
    if found.low <= 0.5 or found.auroc < LEAST_AUROC:
        return (
            f"photos hard to tell from others (AUROC {found.auroc:.2f}, {found.low:.2f} to {found.high:.2f})"
        )
    if source == "combined" and seen.agreement is not None and seen.agreement < rule.least_agreement:
        return f"text and photos disagree (correlation {seen.agreement:.2f})"
    return ""


def _compared(rows: list[Array | None], entries: list[ConceptDirection]) -> list[ConceptDirection]:
    """Name the nearest other concept of each, and mark those that say what an earlier one says."""
    compared: list[ConceptDirection] = []
    for at, (row, entry) in enumerate(zip(rows, entries, strict=True)):
        others: list[tuple[float, int]] = []
        if row is not None:
            others = [(float(row @ o), i) for i, o in enumerate(rows) if i != at and o is not None]
        if others:
            cosine, nearest = max(others)
            entry = replace(entry, nearest=entries[nearest].id, nearest_cosine=round(cosine, 4))
        same = [i for cosine, i in others if i < at and cosine >= SAME_CONCEPT and not compared[i].weak]
        if same and not entry.weak:
            cosine = next(c for c, i in others if i == same[0])
            entry = replace(
                entry, weak=True, reason=f"nearly the same as {entries[same[0]].id} (cosine {cosine:.2f})"
            )
        compared.append(entry)
    return compared


def _report(own: OwnBank, material: OwnMaterial, rule: BuildRule, same: float | None) -> dict[str, Any]:
    """Return what the directions were made from."""
    text = "none" if material.vocabulary is None else "vocabulary"
    return {
        "made_from": own.path.name,
        "text": text if material.encode is None else "text tower",
        "text_tower_agrees_with_known_rows": None if same is None else round(same, 4),
        "photos": int(sum(len(stack) for stack in material.photos.values())),
        "background": 0 if material.background is None else len(material.background),
        "rule": {
            "ridge": rule.ridge,
            "vector_weight": rule.vector_weight,
            "least_agreement": rule.least_agreement,
            "least_expected": rule.least_expected,
            "least_photos": LEAST_PHOTOS,
            "least_auroc": LEAST_AUROC,
            "same_concept": SAME_CONCEPT,
        },
    }
