"""Directions of a user's own bank, from a text tower or known words, from example photos, or from both.

The rule of the shipped bank, with example photos in the place of its teacher: concept activation vectors
after Kim et al. 2018 (TCAV) by ridge regression, here of "is an example" on the embeddings of all photos.

How well the photos tell a concept is measured on pairs held out: every pair of an example and another photo
in turn, by the direction fitted on all the rest (leave-pair-out, Airola et al. 2009, MLR 8). Unlike pooled
leave-one-out predictions, whose offsets shift with the class of the photo left out, this has no bias on small
samples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from whyhere._record import Record
from whyhere.concepts._bank import Concept, OwnBank, load_bank
from whyhere.concepts._directions import ConceptDirection, Directions
from whyhere.concepts._vocabulary import Vocabulary
from whyhere.errors import UsageError
from whyhere.stats import Interval, auroc_interval, correlation, dual_ridge, unit_rows

Array = NDArray[np.float64]

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
"""A text tower: texts to embeddings of any length, [n, d], in the space of the image tower."""

LEAST_PHOTOS = 5
"""Example photos below which a concept is weak, and below which other folders are no fair comparison."""
LEAST_AUROC = 0.7
"""AUROC below which example photos are called hard to tell apart."""
SAME_CONCEPT = 0.9
"""Cosine from which two concepts are called the same; car and automobile have .92, forest and woods .86."""
LEAST_SAME_SPACE = 0.3
"""Mean cosine to known rows below which a text tower belongs to another model; ViT-B/32 has -.01."""

_ALIKE = 1e-6  # differences of unit embeddings below this are rounding


class BuildRule(Record, frozen=True):
    """The bars and strengths of a build, of the bank that ships and of users' own.

    Attributes:
        ridge: Strength of the activation vectors, relative to the mean eigenvalue of the Gram matrix.
        folds: Folds of the photos for held-out figures.
        seed: Of the folds.
        vector_weight: Share of the activation vector in a combined direction, the text's being 1; both
            standardised over the pool. A quarter came nearest to true text rows (docs/concepts.md).
        least_vector: Least held-out correlation of an activation vector with its teacher to be used at all.
        least_agreement: Least correlation of text and teacher, where both know the concept.
        least_expected: Least expected cosine of a bridged row that no teacher can check.
    """

    ridge: float = 0.5
    folds: int = 5
    seed: int = 0
    vector_weight: float = 0.25
    least_vector: float = 0.4
    least_agreement: float = 0.2
    least_expected: float = 0.55


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


@dataclass(frozen=True, slots=True)
class _Text:
    """The text side of one concept.

    Attributes:
        row: Unit centred direction, [d]; None where nothing is known.
        source: "text-tower", "text-row", "bridged-text" or "none".
        words: What was averaged.
        unknown: Words that are not known; their phrases count for nothing.
        expected: Expected cosine to the encoder's own row; None without a row.
    """

    row: Array | None = None
    source: str = "none"
    words: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    expected: float | None = None


@dataclass(frozen=True, slots=True)
class _Photos:
    """The photo side of one concept.

    Attributes:
        vector: Direction of its examples, [d]; not of unit length.
        count: How many examples there are.
        separation: How well it tells them from other photos; None without others.
        agreement: Correlation of the text direction with "is an example"; None without text or others.
        spread: Standard deviations of the text's and the photos' activations over all photos.
    """

    vector: Array
    count: int
    separation: Interval | None = None
    agreement: float | None = None
    spread: tuple[float, float] = (0.0, 0.0)


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
    texts, text_mean, same = _read_texts(own, material)
    stacks = [(key, material.photos[key]) for key in own.bank.ids if len(material.photos.get(key, ()))]
    if material.background is not None and len(material.background):
        stacks.append(("", material.background))
    owner = np.repeat([key for key, _ in stacks], [len(stack) for _, stack in stacks])
    width = _width([text.row for text in texts], [stack for _, stack in stacks], material.image_mean)
    embeddings = np.concatenate([np.zeros((0, width)), *(stack for _, stack in stacks)]).astype(np.float64)
    image_mean = material.image_mean
    if image_mean is None:
        image_mean = embeddings.mean(axis=0) if len(embeddings) else np.zeros(width)
    features = embeddings - image_mean
    features[np.linalg.norm(features, axis=1) < _ALIKE] = 0
    features = unit_rows(features)
    rows: list[Array | None] = []
    entries: list[ConceptDirection] = []
    for concept, text in zip(own.bank, texts, strict=True):
        photos = None
        if (owner == concept.id).any():
            photos = _learn(features, owner, concept.id, text.row, rule)
        row, entry = _direction(concept, concept.id in own.spoken, text, photos, rule)
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


def _read_texts(own: OwnBank, material: OwnMaterial) -> tuple[Sequence[_Text], Array | None, float | None]:
    """Return the text side of every concept, the text mean, and how well a text tower fits known rows."""
    vocabulary = material.vocabulary
    if material.encode is not None:
        return _encode_prompts(own, material.encode, vocabulary)
    if vocabulary is None:
        return [_Text() for _ in own.bank], None, None
    return [_look_up(c, vocabulary) for c in own.bank], vocabulary.mean.astype(np.float64), None


def _encode_prompts(
    own: OwnBank, encode: Encode, vocabulary: Vocabulary | None
) -> tuple[Sequence[_Text], Array, float | None]:
    """Encode the prompts of a bank, each in each template; unit embeddings are averaged by concept.

    What is taken off is the mean of texts on many subjects, the names in the shipped bank, and not that of
    the bank itself: with two concepts that would make each the opposite of the other.
    """
    bank = own.bank
    prompts = [[template.replace("{}", p) for p in c.prompts for template in bank.templates] for c in bank]
    common = [f"a photo of {concept.name}." for concept in load_bank()]
    known = () if vocabulary is None else vocabulary.words[: len(vocabulary.own)]
    checks = [f"a photo of {word}." for word in known]
    groups = [common, checks, *prompts]
    encoded = np.asarray(encode([text for group in groups for text in group]), np.float64)
    ends = np.cumsum([len(group) for group in groups])[:-1]
    subjects, spoken, *stacks = np.split(unit_rows(encoded), ends)
    mean = subjects.mean(axis=0)
    same = None
    if vocabulary is not None:
        if mean.size != vocabulary.mean.size:
            raise UsageError(
                f"the text tower gives embeddings of width {mean.size}, the image tower "
                f"{vocabulary.tower} of width {vocabulary.mean.size}: they are not from one model"
            )
        true = np.stack([vocabulary.row(word) for word in known])
        # Each centred by itself: prompts differ from those of the true rows by what all texts share.
        pairs = unit_rows(spoken - spoken.mean(axis=0)) * unit_rows(true - true.mean(axis=0))
        same = float(pairs.sum(axis=1).mean())
        if same < LEAST_SAME_SPACE:
            raise UsageError(
                f"the text tower does not belong to the image tower {vocabulary.tower}: its rows of "
                f"{len(known)} known words agree with the true ones at a mean cosine of {same:.2f} "
                f"(at least {LEAST_SAME_SPACE} is expected); check --text-tower"
            )
    texts = [
        _Text(unit_rows(stack.mean(axis=0) - mean), "text-tower", concept.prompts, (), 1.0)
        for concept, stack in zip(bank, stacks, strict=True)
    ]
    return texts, mean, same


def _look_up(concept: Concept, vocabulary: Vocabulary) -> _Text:
    """Average the known words of a concept, or of its name where it gives none.

    A phrase of which a word is unknown counts for nothing: "torii gate" would else mean any gate.
    """
    rows: list[Array] = []
    words: list[str] = []
    unknown: list[str] = []
    for phrase in concept.words or (concept.name,):
        known, missing = vocabulary.match(phrase)
        unknown += missing if known or missing else [phrase]
        if known and not missing:
            rows.append(vocabulary.direction(phrase).vector.astype(np.float64))
            words += known
    missed = tuple(dict.fromkeys(unknown))
    if not rows:
        return _Text(unknown=missed)
    return _Text(
        row=unit_rows(np.mean(rows, axis=0)),
        source="bridged-text" if any(vocabulary.is_bridged(word) for word in words) else "text-row",
        words=tuple(dict.fromkeys(words)),
        unknown=missed,
        expected=float(np.mean([vocabulary.expected_cosine(word) for word in words])),
    )


def _width(rows: Sequence[Array | None], stacks: Sequence[Array], image_mean: Array | None) -> int:
    """Return the width of the embedding space, the same for all sources."""
    widths: set[int] = {array.shape[-1] for array in (*rows, *stacks, image_mean) if array is not None}
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


def _learn(
    features: Array, owner: NDArray[np.str_], concept_id: str, text: Array | None, rule: BuildRule
) -> _Photos:
    """Learn a direction from the examples of one concept, and measure it on pairs held out.

    All photos take part in the fit. It is judged against the other concepts' photos, which come from the same
    hands, and against the background, whose `owner` is "", only where they are too few.
    """
    shows = owner == concept_id
    count = int(shows.sum())
    if shows.all():  # nothing to tell it from: the mean of the class, as far as that goes
        return _Photos(unit_rows(features.mean(axis=0)), count)
    others = ~shows & (owner != "")
    judged = shows | (others if others.sum() >= LEAST_PHOTOS else ~shows)
    target = shows.astype(np.float64)
    centred = features - features.mean(axis=0)
    if np.abs(centred).max() < _ALIKE:  # nothing varies, so nothing can be learned
        return _Photos(np.zeros(features.shape[1]), count)
    vector = dual_ridge(centred, (target - target.mean())[:, None], rule.ridge, relative=True)[:, 0]
    separation = pair_separation(features, shows, judged, ridge=rule.ridge)
    if text is None:
        return _Photos(vector, count, separation)
    spoken, learned = features @ text, features @ vector
    agreement = correlation(spoken[judged], target[judged])
    return _Photos(vector, count, separation, agreement, (float(spoken.std()), float(learned.std())))


def pair_separation(
    features: Array, shows: NDArray[np.bool_], judged: NDArray[np.bool_], *, ridge: float
) -> Interval:
    """Measure how well a ridge direction towards `shows` orders pairs of photos held out.

    The fits are never repeated: for ridge regression with an intercept the held-out residuals follow from the
    hat matrix.

    Args:
        features: Features of all photos, [n, d].
        shows: Photos that show the concept, [n].
        judged: Photos that pairs are made of, [n]; at least one of them shows the concept and one does not.
        ridge: Strength relative to the mean eigenvalue of the centred Gram matrix of all photos.

    Returns:
        Share of pairs that are ordered rightly, ties counting half.
    """
    count = len(features)
    centred = features - features.mean(axis=0)
    gram = centred @ centred.T
    strength = max(ridge * float(np.trace(gram)) / count, 1e-12)
    hat = gram @ np.linalg.inv(gram + strength * np.eye(count)) + 1 / count
    target = shows.astype(np.float64)
    residual = target - hat @ target
    i, j = np.flatnonzero(shows & judged)[:, None], np.flatnonzero(~shows & judged)[None, :]
    # Residuals with i and j both left out: (I - H_pair)^-1 r_pair, written out for two rows.
    a, b, c = 1 - hat[i, i], -hat[i, j], 1 - hat[j, j]
    determinant = np.maximum(a * c - b * b, 1e-12)
    guess_i = 1 - (c * residual[i] - b * residual[j]) / determinant
    guess_j = 0 - (a * residual[j] - b * residual[i]) / determinant
    gap = guess_i - guess_j
    auroc = float(np.mean(np.where(np.abs(gap) < 1e-12, 0.5, gap > 0)))
    return auroc_interval(auroc, i.size, j.size)


def _direction(
    concept: Concept, written: bool, text: _Text, photos: _Photos | None, rule: BuildRule
) -> tuple[Array | None, ConceptDirection]:
    """Choose the direction of one concept and say how far it can be trusted.

    `written` tells whether somebody wrote something about it: it is more than the name of a folder.
    """
    words = text if written else _Text()
    row: Array | None
    if words.row is not None and photos is not None and min(photos.spread) > 0:
        row = unit_rows(words.row / photos.spread[0] + rule.vector_weight * photos.vector / photos.spread[1])
        source = "combined"
    elif words.row is not None:
        row, source = words.row, words.source
    elif photos is not None:
        row, source = unit_rows(photos.vector), "example-photos"
    else:
        row, source = None, "none"
    if row is not None and not row.any():
        row, source = None, "none"  # photos that are all alike
    reason = "place-neutral" if concept.place_neutral else _weakness(source, text, photos, rule)
    if photos is None and not written:
        reason = "none of its photos can be read"
    found = photos.separation if photos else None
    return row, ConceptDirection(
        id=concept.id,
        source=source,
        words=words.words if words.row is not None else (),
        teacher=(),
        expected_cosine=_rounded(words.expected),
        agreement=_rounded(photos.agreement if photos else None),
        vector=None,
        quality=None,
        weak=bool(reason),
        reason=reason,
        unknown=words.unknown,
        examples=photos.count if photos else 0,
        auroc=_rounded(found.value if found else None),
        auroc_low=_rounded(found.low if found else None),
        auroc_high=_rounded(found.high if found else None),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _weakness(source: str, text: _Text, photos: _Photos | None, rule: BuildRule) -> str:
    """Say why a concept is weak; "" where it is not."""
    if source == "none":
        if photos is not None:
            return "its photos are all alike"
        return f"unknown: {', '.join(text.unknown)}" if text.unknown else "no word known, no photo"
    if source == "bridged-text" and text.expected is not None and text.expected < rule.least_expected:
        return f"text row too uncertain (expected cosine {text.expected:.2f})"
    if photos is None:
        return ""
    if photos.count < LEAST_PHOTOS:
        return f"only {photos.count} example photo{'s' * (photos.count != 1)}, {LEAST_PHOTOS} are needed"
    found = photos.separation
    if found is None:
        return "no other photos to compare with: add another concept's, or a folder named _other"
    if found.low <= 0.5 or found.value < LEAST_AUROC:
        return (
            f"photos hard to tell from others (AUROC {found.value:.2f}, {found.low:.2f} to {found.high:.2f})"
        )
    if source == "combined" and photos.agreement is not None and photos.agreement < rule.least_agreement:
        return f"text and photos disagree (correlation {photos.agreement:.2f})"
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
            entry = msgspec.structs.replace(
                entry, nearest=entries[nearest].id, nearest_cosine=round(cosine, 4)
            )
        same = [(c, i) for c, i in others if i < at and c >= SAME_CONCEPT and not compared[i].weak]
        if same and not entry.weak:
            cosine, first = same[0]
            reason = f"nearly the same as {entries[first].id} (cosine {cosine:.2f})"
            entry = msgspec.structs.replace(entry, weak=True, reason=reason)
        compared.append(entry)
    return compared


def _report(own: OwnBank, material: OwnMaterial, rule: BuildRule, same: float | None) -> dict[str, Any]:
    """Return what the directions were made from."""
    text = "none" if material.vocabulary is None else "vocabulary"
    return {
        "made_from": own.path.name,
        "text": text if material.encode is None else "text tower",
        "text_tower_agrees_with_known_rows": _rounded(same),
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
