"""Turn text rows and a teacher's scores over unlabelled photos into directions, one rule for all concepts.

Build time only. Two independent sources are weighed against each other on photos held out: what CLIP's text
space says about a word, and what a scene classifier ("teacher") says about the same photo. Sources:
concept activation vectors after Kim et al. 2018 (TCAV), here by ridge regression on scores, not labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts._bank import Concept, ConceptBank
from whyhere.concepts._bridge import unit_rows
from whyhere.concepts._directions import ConceptDirection, Directions
from whyhere.stats import dual_ridge

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TextSource:
    """Text rows of known words, centred by the text mean.

    Attributes:
        rows: Unit centred row of each word, [d].
        true: Words whose row is the encoder's own, not bridged.
        expected: Expected cosine of each row to the true centred row; 1 for true rows.
        mean: The text mean, [d].
    """

    rows: Mapping[str, Array]
    true: frozenset[str]
    expected: Mapping[str, float]
    mean: Array


@dataclass(frozen=True, slots=True)
class PhotoPool:
    """Embeddings and teacher scores of photos that carry no label.

    Attributes:
        embeddings: Unit image embeddings, [n, d].
        scores: Teacher scores, [n, m].
        teacher: Names of the m scores, such as "places365:beach".
    """

    embeddings: Array
    scores: Array
    teacher: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuildRule:
    """The bars and strengths of a build.

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


def activation_vectors(features: Array, targets: Array, *, ridge: float) -> Array:
    """Return ridge directions [d, m] from centred unit embeddings [n, d] to centred targets [n, m]."""
    return dual_ridge(features, targets, ridge, relative=True)


def held_out_predictions(features: Array, targets: Array, *, rule: BuildRule) -> Array:
    """Predict each photo's targets [n, m] from activation vectors fitted without its fold."""
    fold = np.random.default_rng(rule.seed).permutation(len(features)) % rule.folds
    predicted = np.empty_like(targets)
    for held in range(rule.folds):
        test = fold == held
        mean = targets[~test].mean(axis=0)
        vectors = activation_vectors(features[~test], targets[~test] - mean, ridge=rule.ridge)
        predicted[test] = features[test] @ vectors + mean
    return predicted


def correlation(first: Array, second: Array) -> float:
    """Return Pearson's correlation of two vectors; 0 where one is constant."""
    a, b = first - first.mean(), second - second.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0


def standard(values: Array) -> Array:
    """Return columns with mean 0 and standard deviation 1."""
    spread = values.std(axis=0)
    scaled: Array = (values - values.mean(axis=0)) / np.where(spread == 0, 1.0, spread)
    return scaled


def build_directions(
    bank: ConceptBank,
    *,
    text: TextSource,
    pool: PhotoPool,
    rule: BuildRule,
    tower: str,
    tower_fingerprint: str,
    report: Mapping[str, Any],
) -> Directions:
    """Build the directions of a bank.

    The rule, first that applies: the first word has a true text row -> `text-row` (bridged words are
    dropped); bridged words and a usable activation vector -> `combined` (`BuildRule.vector_weight`); bridged
    words only -> `bridged-text`; a usable activation vector only -> `activation-vector`; else `none`. Weak,
    and without a row: place-neutral concepts, concepts with no source, text that disagrees with a reliable
    teacher, and unchecked bridged rows too far from every word the bridge was fitted on.

    Args:
        bank: The bank.
        text: Text rows.
        pool: Photos.
        rule: Bars and strengths.
        tower: Name of the embedding space.
        tower_fingerprint: SHA-256 of the file the image tower was made from.
        report: Figures to keep beside the directions.
    """
    mean = pool.embeddings.mean(axis=0)
    features = unit_rows(pool.embeddings - mean)
    column = {name: number for number, name in enumerate(pool.teacher)}
    known = [tuple(name for name in concept.teacher if name in column) for concept in bank]
    taught = [number for number, names in enumerate(known) if names]
    standardised = standard(pool.scores)
    targets = np.zeros((len(features), len(taught)))
    for place, number in enumerate(taught):
        targets[:, place] = standardised[:, [column[name] for name in known[number]]].mean(axis=1)
    predicted = held_out_predictions(features, targets, rule=rule)
    vectors = activation_vectors(features, targets - targets.mean(axis=0), ridge=rule.ridge)
    slot = {number: place for place, number in enumerate(taught)}
    rows: list[Array] = []
    concepts: list[ConceptDirection] = []
    for number, concept in enumerate(bank):
        at = slot.get(number)
        lesson = None if at is None else (targets[:, at], predicted[:, at], vectors[:, at])
        row, entry = _direction(concept, known[number], text, features, lesson, rule)
        concepts.append(entry)
        if not entry.weak and row is not None:
            rows.append(row)
    directions = np.stack(rows) if rows else np.zeros((0, features.shape[1]))
    activations = features @ directions.T
    return Directions(
        tower=tower,
        tower_fingerprint=tower_fingerprint,
        bank_fingerprint=bank.fingerprint,
        ids=tuple(entry.id for entry in concepts if not entry.weak),
        directions=directions.astype(np.float32),
        image_mean=mean.astype(np.float32),
        text_mean=text.mean.astype(np.float32),
        activation_mean=activations.mean(axis=0).astype(np.float32),
        activation_sd=activations.std(axis=0).astype(np.float32),
        concepts=tuple(concepts),
        report=dict(report),
    )


def _direction(
    concept: Concept,
    teacher: tuple[str, ...],
    text: TextSource,
    features: Array,
    lesson: tuple[Array, Array, Array] | None,
    rule: BuildRule,
) -> tuple[Array | None, ConceptDirection]:
    """Choose the direction of one concept; `lesson` is target, held-out prediction and activation vector."""
    words = tuple(word for word in concept.words if word in text.rows)
    if words and words[0] in text.true:  # the main word needs no help from bridged ones
        words = tuple(word for word in words if word in text.true)
    worded = unit_rows(np.mean([text.rows[word] for word in words], axis=0)) if words else None
    expected = float(np.mean([text.expected[word] for word in words])) if words else None
    agreement = None if worded is None or lesson is None else correlation(features @ worded, lesson[0])
    vector = None if lesson is None else correlation(lesson[1], lesson[0])
    usable = vector is not None and vector >= rule.least_vector
    if worded is not None and words[0] in text.true:
        source, row, quality = "text-row", worded, agreement
    elif worded is not None and lesson is not None and usable:
        spoken, learned = features @ worded, features @ lesson[2]
        row = unit_rows(worded / spoken.std() + rule.vector_weight * lesson[2] / learned.std())
        source = "combined"
        quality = correlation(standard(spoken) + rule.vector_weight * standard(lesson[1]), lesson[0])
    elif worded is not None:
        source, row, quality = "bridged-text", worded, agreement
    elif lesson is not None and usable:
        source, row, quality = "activation-vector", unit_rows(lesson[2]), vector
    else:
        source, row, quality = "none", None, None
    reason = ""
    if concept.place_neutral:
        reason = "place-neutral"
    elif source == "none":
        reason = (
            "no known word, no teacher"
            if vector is None
            else f"teacher not predictable (held-out correlation {vector:.2f})"
        )
    elif usable and agreement is not None and agreement < rule.least_agreement:
        reason = f"text and teacher disagree (correlation {agreement:.2f})"
    elif source == "bridged-text" and expected is not None and expected < rule.least_expected:
        reason = f"text row too uncertain (expected cosine {expected:.2f})"
    return row, ConceptDirection(
        id=concept.id,
        source=source,
        words=words if source != "activation-vector" else (),
        teacher=teacher if source in ("combined", "activation-vector") else (),
        expected_cosine=None if expected is None else round(expected, 4),
        agreement=None if agreement is None else round(agreement, 4),
        vector=None if vector is None else round(vector, 4),
        quality=None if quality is None else round(quality, 4),
        weak=bool(reason),
        reason=reason,
    )
