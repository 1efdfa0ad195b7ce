"""What explanations are compared with: changed codes of a photo, banks without meaning, maps of others.

For every kind of alignment the contribution of concept j at a place y is a(code) z_img[j] t_j(y), and the
remainder b(code) r(y) for a given residual: changes of z_img change a and b, which do not depend on the
place. So t and r are computed once, and each changed code costs one product with t.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import (
    Alignment,
    ImageCode,
    LinearAlignment,
    PhotoCodeAlignment,
    PhotoCodeRecipe,
    concept_patterns,
    fit_columns,
    learned_patterns,
    no_landmarks,
    sparse_codes,
)
from whyhere.errors import UsageError
from whyhere.evaluation.faithfulness._study import Doubles, Floats, Rows, Study
from whyhere.ranking import CellIndex, RankingConfig, cell_probabilities

MAP_PARTS = 10
HALVES = 2

_BLOCK = 8192  # rows of the gallery at a time: temporaries stay near 16 MB
_QUERIES = 1024

Closed = LinearAlignment | PhotoCodeAlignment
"""Alignments in closed form, whose bank and maps can be exchanged without a training."""


class CodeScorer:
    """Scores a gallery for changed codes of one photo.

    Args:
        alignment: The alignment.
        embeddings: Unit location embeddings of the gallery, shape (n, 512).
    """

    def __init__(self, alignment: Alignment, embeddings: Floats) -> None:
        self._alignment, self._embeddings = alignment, embeddings
        self._codes = alignment.place_codes(embeddings)

    def scores(self, code: ImageCode, changed: Floats) -> Floats:
        """Score every place for every changed code.

        Args:
            code: The photo.
            changed: Coefficients instead of `code.z_img`, float32, shape (c, k); residual and landmarks stay.

        Returns:
            As `Alignment.scores`, float32, shape (c, n).
        """
        alignment = self._alignment
        factors = np.array([alignment.factors(replace(code, z_img=z)) for z in changed], np.float32)
        named = (changed * factors[:, :1]) @ self._codes.T
        rest = factors[:, 1:] * alignment.place_rests(code.residual, self._embeddings)
        scores = named + rest + alignment.landmark_scores(code, self._embeddings)
        return scores.astype(np.float32, copy=False)


def best_by_concepts(alignment: Alignment, z: Floats, embeddings: Floats) -> Rows:
    """Find the best place by the named concepts alone, without any remainder.

    Args:
        alignment: The alignment.
        z: Coefficients of m photos, float32, shape (m, k).
        embeddings: Unit location embeddings of the gallery, shape (n, 512).

    Returns:
        Rows of the gallery, shape (m,).
    """
    queries = z @ alignment.basis.T
    best = np.zeros(len(queries), np.intp)
    highest = np.full(len(queries), -np.inf, np.float32)
    for start in range(0, len(embeddings), _BLOCK):
        y = embeddings[start : start + _BLOCK] - alignment.location_mean
        y /= alignment.norms(y)[0][:, None]
        for first in range(0, len(queries), _QUERIES):
            part = slice(first, first + _QUERIES)
            scores = y @ queries[part].T
            rows = scores.argmax(axis=0)
            top = scores[rows, np.arange(scores.shape[1])]
            best[part] = np.where(top > highest[part], start + rows, best[part])
            highest[part] = np.maximum(top, highest[part])
    return best


def probabilities(scores: Floats, cells: CellIndex, ranking: RankingConfig) -> Doubles:
    """Return the probability of every cell for rows of scores, (c, n) to (c, m), as for `whyhere locate`."""
    t, background = ranking.temperature, ranking.background
    return np.array([cell_probabilities(row, cells, temperature=t, background=background) for row in scores])


class NeedsTraining(UsageError):
    """Another bank means another training for this kind of alignment."""

    def __init__(self) -> None:
        super().__init__(
            "random banks of this kind of alignment must be trained; put them into --held-out DIR/random/00 "
            "to 19"
        )


def with_bank(alignment: Alignment, directions: Doubles, embeddings: Doubles) -> Closed:
    """Give an alignment another bank, made in the same way as its own.

    Args:
        alignment: Of kind "linear" or "photo-code".
        directions: Unit directions in the space of the image embeddings, one a column, shape (d, k).
        embeddings: Image embeddings that the alignment may have learned from, shape (n, d or wider).

    Returns:
        The same head behind the patterns of these directions; in a photo-code alignment the columns are
        learned from what that head says of the photos, and nothing has a map or is a landmark.

    Raises:
        NeedsTraining: The alignment is of another kind.
    """
    if not isinstance(alignment, Closed):
        raise NeedsTraining
    d, k = directions.shape
    bank: dict[str, Any] = {
        "concept_ids": tuple(f"random-{number:03d}" for number in range(k)),
        "directions": np.ascontiguousarray(directions, np.float32),
    }
    if isinstance(alignment, LinearAlignment):
        patterns = concept_patterns(directions, embeddings[:, :d] - alignment.feature_mean[:d])
        return replace(
            alignment,
            patterns=np.ascontiguousarray(patterns.columns, np.float32),
            spread=patterns.spread.astype(np.float32),
            grounding=np.empty(0, np.float32),  # what has no meaning has no map
            **bank,
        )
    recipe = PhotoCodeRecipe(penalty=alignment.penalty, most=alignment.most)
    centred = embeddings - alignment.feature_mean
    x = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    found = concept_patterns(directions, centred)
    learned = learned_patterns(found.columns, x, recipe)
    z = sparse_codes(
        x.astype(np.float32), learned.astype(np.float32), penalty=recipe.penalty, most=recipe.most
    ).astype(np.float64)
    said = x @ alignment.head.T.astype(np.float64)
    columns = fit_columns(z, said, penalty=recipe.column_penalty)
    return replace(
        alignment,
        patterns=np.ascontiguousarray(learned, np.float32),
        columns=np.ascontiguousarray(columns, np.float32),
        grounding=np.zeros(columns.shape, np.float32),
        spread=found.spread.astype(np.float32),
        places=no_landmarks(x.shape[1], len(alignment.head)),
        **bank,
    )


def random_directions(d: int, k: int, *, seed: int) -> Doubles:
    """Draw k unit directions evenly from all directions of d dimensions, shape (d, k)."""
    directions = np.random.default_rng((seed, 41)).standard_normal((d, k))
    unit: Doubles = directions / np.linalg.norm(directions, axis=0)
    return unit


def random_alignments(study: Study, fold: int, *, draws: int, seed: int) -> tuple[Alignment, ...]:
    """Return a fold's alignments with random banks of as many concepts, the same banks for every fold.

    Raises:
        NeedsTraining: The kind of alignment needs trained ones, and the study has none.
    """
    if study.random_sets:
        return tuple(draw[fold] for draw in study.random_sets[:draws])
    alignment = study.alignments[fold]
    if not isinstance(alignment, Closed):
        raise NeedsTraining
    d, k = alignment.directions.shape
    embeddings = study.feature_rows(study.others(fold))
    seeds = (seed * 1000 + draw for draw in range(draws))
    return tuple(with_bank(alignment, random_directions(d, k, seed=one), embeddings) for one in seeds)


def derangements(count: int, draws: int, *, seed: int) -> list[Rows]:
    """Draw permutations of `count` things, 2 or more, in which nothing stays in its place."""
    rng = np.random.default_rng((seed, 43))
    found: list[Rows] = []
    while len(found) < draws:
        order = rng.permutation(count)
        if (order != np.arange(count)).all():
            found.append(order)
    return found


def grounded_columns(alignment: Alignment) -> Rows:
    """Return the concepts that have learned from open maps, as columns; none for most kinds."""
    return np.flatnonzero([concept_id in alignment.grounded for concept_id in alignment.concept_ids])


def dealt_maps(alignment: Alignment, draws: int, *, seed: int) -> tuple[Alignment, ...]:
    """Give each concept that has a map the map of another, `draws` times; nothing for fewer than two."""
    columns = grounded_columns(alignment)
    if len(columns) < 2 or not isinstance(alignment, Closed):
        return ()
    dealt: list[Alignment] = []
    for order in derangements(len(columns), draws, seed=seed):
        grounding = alignment.grounding.copy()
        grounding[:, columns] = alignment.grounding[:, columns[order]]
        dealt.append(replace(alignment, grounding=grounding))
    return tuple(dealt)


def without_maps(alignment: Alignment) -> Alignment:
    """Return the alignment as photos alone teach it."""
    if not isinstance(alignment, Closed):
        return alignment
    return replace(alignment, grounding=np.zeros_like(alignment.grounding))


class Regrounded:
    """Teaches alignments their maps anew, without some parts of the Earth.

    Testing concepts by the very maps that they have learned from proves little; so they are tested where they
    were not taught: the Earth is cut into parts, and each is answered by the alignment taught on the others.

    Args:
        study: Its release says which concepts learn from maps.
        seed: Seed of the parts: blocks of about ten degrees are dealt out to them.
    """

    def __init__(self, study: Study, *, seed: int) -> None:
        from whyhere.references import Grounding, cell_table

        self._study, self._seed = study, seed
        self._columns = grounded_columns(study.release)
        self._ids = tuple(study.release.concept_ids[column] for column in self._columns)
        self._maps = Grounding.build(study.gallery, self._ids)
        self._cell = cell_table(study.gallery.lat, study.gallery.lon).cell
        self._kept: dict[bytes, Floats] = {}

    def parts(self, count: int) -> Rows:
        """Return the part of every cell of the maps, 0 to `count` - 1."""
        dealt = np.arange(int(self._maps.blocks.max()) + 1) % count
        part: Rows = np.random.default_rng(self._seed).permutation(dealt)[self._maps.blocks]
        return part

    def places(self, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which places of the gallery lie in some cells of the maps."""
        inside: NDArray[np.bool_] = held[self._cell]
        return inside

    def cells(self, held: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which cells of the study lie there: those whose first place does."""
        _, first = np.unique(self._study.cells.cell_of_point, return_index=True)
        inside: NDArray[np.bool_] = self.places(held)[first]
        return inside

    def without(self, alignment: Alignment, held: NDArray[np.bool_]) -> Closed:
        """Return the alignment, its maps taught without some cells.

        The maps are centred as those of the release, whatever the alignment: the means of two folds differ by
        little, and one regression then serves all folds.
        """
        release = self._study.release
        assert isinstance(alignment, Closed)
        assert isinstance(release, Closed)
        key = held.tobytes()
        if key not in self._kept:
            found = self._maps.directions(self._ids, release.location_mean.astype(np.float64), among=~held)
            grounding = np.zeros_like(alignment.grounding)
            # As long as those of the release: unit length, or a part of the length of its columns.
            lengths = np.linalg.norm(release.grounding[:, self._columns], axis=0)
            grounding[:, self._columns] = found * lengths
            self._kept[key] = grounding
        return replace(alignment, grounding=self._kept[key])

    def held_out_maps(self) -> Floats:
        """Return the concept maps at every place, (n, k), each by the release taught without its part."""
        study, part = self._study, self.parts(MAP_PARTS)
        maps = np.empty((len(study.gallery.lat), len(study.labels)), np.float32)
        for number in range(MAP_PARTS):
            rows = np.flatnonzero(self.places(part == number))
            alignment = self.without(study.release, part == number)
            maps[rows] = alignment.location_concepts(study.gallery.embeddings[rows])
        return maps
