"""Scoring a gallery for many changed codes of a photo at once, through the alignment protocol alone.

For every kind of alignment the contribution of concept j at a place y is a(code) z_img[j] t_j(y) with a > 0,
and the remainder b(code) r(y) with b > 0 for a given residual: changes of z_img change a and b, which do not
depend on the place. So t and r are computed once, and each changed code costs one product with t. Tested
against `Alignment.scores`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Alignment, ImageCode, LinearAlignment, PhotoCodeAlignment
from whyhere.ranking import CellIndex, RankingConfig, cell_probabilities

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Rows = NDArray[np.intp]

_BLOCK = 8192  # rows of the gallery at a time: temporaries stay near 16 MB
_QUERIES = 1024
_PROBES = 64  # places at which a and b are read off


def concept_table(alignment: Alignment, embeddings: Floats) -> Floats:
    """Return t: what every place has of every concept, float32, shape (n, k), up to one positive factor."""
    k = len(alignment.concept_ids)
    ones = ImageCode(np.ones(k, np.float32), np.zeros(embeddings.shape[1], np.float32))
    table = np.empty((len(embeddings), k), np.float32)
    for start in range(0, len(embeddings), _BLOCK):
        rows = slice(start, start + _BLOCK)
        table[rows] = alignment.contributions(ones, embeddings[rows]).concepts
    return table


class CodeScorer:
    """Scores a gallery for changed codes of one photo.

    Args:
        alignment: The alignment.
        embeddings: Unit location embeddings of the gallery, shape (n, 512).
        table: `concept_table` of both, where it is known already.
    """

    def __init__(self, alignment: Alignment, embeddings: Floats, table: Floats | None = None) -> None:
        self._alignment, self._embeddings = alignment, embeddings
        self._table = concept_table(alignment, embeddings) if table is None else table
        rows = np.linspace(0, len(embeddings) - 1, min(_PROBES, len(embeddings))).astype(np.intp)
        self._rows, self._probes = rows, np.ascontiguousarray(embeddings[rows])

    def scores(self, code: ImageCode, changed: Floats) -> Floats:
        """Score every place for every changed code.

        Args:
            code: The photo.
            changed: Coefficients instead of `code.z_img`, float32, shape (c, k); residual and landmarks stay.

        Returns:
            As `Alignment.scores`, float32, shape (c, n).
        """
        blocks = range(0, len(self._embeddings), _BLOCK)
        parts = [
            self._alignment.contributions(code, self._embeddings[start : start + _BLOCK]) for start in blocks
        ]
        remainder = np.concatenate([part.remainder for part in parts])
        scales = np.array(
            [self._factors(ImageCode(z, code.residual), remainder) for z in changed], np.float32
        )
        scores = (changed * scales[:, :1]).astype(np.float32) @ self._table.T
        scores += scales[:, 1:] * remainder
        if len(parts[0].landmark_rows):  # no concept changes these
            scores += np.concatenate([part.landmarks.sum(axis=1) for part in parts])
        result: Floats = scores.astype(np.float32, copy=False)
        return result

    def _factors(self, code: ImageCode, remainder: Floats) -> tuple[float, float]:
        """Return a and b of a code."""
        parts = self._alignment.contributions(code, self._probes)
        expected, rest = self._table[self._rows] * code.z_img, remainder[self._rows]
        above, below = float((parts.concepts * expected).sum()), float((expected * expected).sum())
        rest_above, rest_below = float(parts.remainder @ rest), float(rest @ rest)
        return above / below if below > 0 else 0.0, rest_above / rest_below if rest_below > 0 else 0.0


def best_by_concepts(jobs: Sequence[tuple[Alignment, Floats]], embeddings: Floats) -> list[Rows]:
    """Find the best place by the named concepts alone, without any remainder.

    Args:
        jobs: Alignments, each with coefficients of m photos, float32, shape (m, k). Linear alignments that
        share
            a head are answered in one pass over the gallery.
        embeddings: Unit location embeddings of the gallery, shape (n, 512).

    Returns:
        Rows of the gallery, shape (m,), one array a job.
    """
    found: list[Rows | None] = [None] * len(jobs)
    groups: dict[int, list[int]] = {}
    for number, (alignment, z) in enumerate(jobs):
        if isinstance(alignment, (LinearAlignment, PhotoCodeAlignment)):
            groups.setdefault(id(alignment.location_mean), []).append(number)
        else:
            found[number] = _best(concept_table(alignment, embeddings), z)
    for numbers in groups.values():
        queries, mean = [], None
        for number in numbers:
            alignment, z = jobs[number]
            assert isinstance(alignment, (LinearAlignment, PhotoCodeAlignment))
            queries.append(z @ alignment.basis.T)
            mean = alignment.location_mean
        assert mean is not None
        rows = _best_linear(embeddings, np.concatenate(queries), mean)
        ends = np.cumsum([len(jobs[number][1]) for number in numbers])
        for number, part in zip(numbers, np.split(rows, ends[:-1]), strict=True):
            found[number] = part
    return [rows for rows in found if rows is not None]


def _best(table: Floats, z: Floats) -> Rows:
    return np.concatenate(
        [(table @ z[start : start + _QUERIES].T).argmax(axis=0) for start in range(0, len(z), _QUERIES)]
    )


def _best_linear(embeddings: Floats, queries: Floats, mean: Floats) -> Rows:
    """Return argmax over places of <q, y - m> / |y - m| for queries (c, 512)."""
    best = np.zeros(len(queries), np.intp)
    highest = np.full(len(queries), -np.inf, np.float32)
    for start in range(0, len(embeddings), _BLOCK):
        y = embeddings[start : start + _BLOCK] - mean
        y /= np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-6)
        for first in range(0, len(queries), _QUERIES):
            part = slice(first, first + _QUERIES)
            scores = y @ queries[part].T
            rows = scores.argmax(axis=0)
            top = scores[rows, np.arange(scores.shape[1])]
            better = top > highest[part]
            best[part] = np.where(better, start + rows, best[part])
            highest[part] = np.maximum(top, highest[part])
    return best


def probabilities(scores: Floats, cells: CellIndex, ranking: RankingConfig) -> Doubles:
    """Return the probability of every cell for rows of scores, (c, n) to (c, m), as for `whyhere locate`."""
    return np.array(
        [
            cell_probabilities(row, cells, temperature=ranking.temperature, background=ranking.background)
            for row in np.atleast_2d(scores)
        ]
    )
