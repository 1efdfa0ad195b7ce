"""What the directions of the bank that ships are fitted with: a bridge between text spaces, and one rule.

The bridge is a small map from one CLIP text space to another, learned on words that have a row in both. It
helps where the text tower of the wanted space is out of reach but text rows of a sister model are at hand
(B/32 to B/16), and never sees a photo. The rule turns text rows and a teacher's scores over unlabelled photos
into directions: concept activation vectors after Kim et al. 2018 (TCAV), by ridge regression on scores, not
labels. Used by build_concept_directions.py and build_vocabulary.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.concepts import BuildRule, Concept, ConceptBank, ConceptDirection, Directions
from whyhere.stats import correlation, dual_ridge, unit_rows

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TextBridge:
    """Ridge map between the centred rows of two text spaces.

    Attributes:
        source_mean: Mean of the source rows it was fitted on, [d].
        target_mean: Mean of the target rows, [e].
        weights: The map between centred rows, [d, e].
        reach: Quadratic form that tells how much of a centred source row the fitted words span, [d, d].
    """

    source_mean: Array
    target_mean: Array
    weights: Array
    reach: Array

    @classmethod
    def fit(cls, source: Array, target: Array, *, ridge: float) -> TextBridge:
        """Fit the map on paired rows.

        Args:
            source: Unit rows of the source space, [n, d].
            target: Unit rows of the same words in the target space, [n, e].
            ridge: Strength relative to the mean eigenvalue of the Gram matrix.

        Raises:
            ValueError: The rows are not paired, or too few.
        """
        if len(source) != len(target) or len(source) < 2:
            raise ValueError(f"expected two or more paired rows, got {len(source)} and {len(target)}")
        source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
        x, y = source - source_mean, target - target_mean
        gram = x @ x.T
        inverse = np.linalg.inv(gram + ridge * np.trace(gram) / len(x) * np.eye(len(x)))
        return cls(source_mean, target_mean, x.T @ inverse @ y, x.T @ inverse @ x)

    def centred(self, rows: Array) -> Array:
        """Map source rows [m, d] to centred target rows [m, e], not unit length."""
        mapped: Array = (rows - self.source_mean) @ self.weights
        return mapped

    def explained(self, rows: Array) -> Array:
        """Return the share, 0 to 1, of each source row [m, d] that the fitted words explain.

        One minus the relative posterior variance of the Gaussian process whose mean the ridge map is: low
        for words unlike all that the map was fitted on.
        """
        centred = rows - self.source_mean
        share: Array = np.sum((centred @ self.reach) * centred, axis=1) / np.sum(centred**2, axis=1)
        return share


def held_out_bridge(source: Array, target: Array, *, ridge: float, folds: int, seed: int) -> dict[str, Any]:
    """Measure a bridge on words it was not fitted on.

    Args:
        source: Paired source rows, [n, d].
        target: Paired target rows, [n, e].
        ridge: As in `TextBridge.fit`.
        folds: Number of random folds.
        seed: Of the folds.

    Returns:
        Means over words: `cosine` to the true row, `centred_cosine`, shares `first` and `five` of words whose
        true row is the nearest or among the five nearest of all n. Per word: `cosines` (centred), `explained`
        (see `TextBridge.explained`) and `rows`, the unit centred rows [n, e] guessed with the word held out.
    """
    fold = np.random.default_rng(seed).permutation(len(source)) % folds
    cosine, centred = np.empty(len(source)), np.empty(len(source))
    rank = np.empty(len(source), dtype=np.int64)
    explained, rows = np.empty(len(source)), np.empty_like(target)
    for held in range(folds):
        test = fold == held
        bridge = TextBridge.fit(source[~test], target[~test], ridge=ridge)
        guess = bridge.centred(source[test])
        truth = unit_rows(target - bridge.target_mean)
        cosine[test] = np.sum(unit_rows(guess + bridge.target_mean) * target[test], axis=1)
        similarity = unit_rows(guess) @ truth.T
        rows[test], explained[test] = unit_rows(guess), bridge.explained(source[test])
        own = similarity[np.arange(len(guess)), np.flatnonzero(test)]
        centred[test] = own
        rank[test] = np.sum(similarity > own[:, None], axis=1)
    return {
        "cosine": float(cosine.mean()),
        "centred_cosine": float(centred.mean()),
        "first": float(np.mean(rank == 0)),
        "five": float(np.mean(rank < 5)),
        "cosines": centred,
        "explained": explained,
        "rows": rows,
    }


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


def held_out_predictions(features: Array, targets: Array, *, rule: BuildRule) -> Array:
    """Predict each photo's targets [n, m] from activation vectors fitted without its fold."""
    fold = np.random.default_rng(rule.seed).permutation(len(features)) % rule.folds
    predicted = np.empty_like(targets)
    for held in range(rule.folds):
        test = fold == held
        mean = targets[~test].mean(axis=0)
        vectors = dual_ridge(features[~test], targets[~test] - mean, rule.ridge, relative=True)
        predicted[test] = features[test] @ vectors + mean
    return predicted


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
    vectors = dual_ridge(features, targets - targets.mean(axis=0), rule.ridge, relative=True)
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
