"""A gallery in memory and the search in it.

Search is exact, and a query's answer depends neither on the other queries of a call nor on the machine's
matrix kernels: those only pick candidates, generously enough that their rounding cannot lose one, and the
candidates are scored again in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

_RESCORE_ROWS = 2048  # 8 MB in float64
_SCORE_BYTES = 64 * 2**20  # most memory for the approximate scores of a group of queries
_LARGEST = 1e30  # dot products stay finite in float32


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Places and their embeddings.

    Attributes:
        lat: Latitudes in degrees, float64, shape (n,); read-only.
        lon: Longitudes in degrees, float64, shape (n,); read-only.
        embeddings: Embeddings of unit length, float32, shape (n, dim); memory-mapped and read-only.
        fingerprint: Tells from which coordinates, weights and algorithm the embeddings were made.
        added: How many of the points, the last ones, fill land that the coordinates leave empty.
    """

    lat: Float64Array
    lon: Float64Array
    embeddings: Float32Array
    fingerprint: str
    added: int = 0

    def __len__(self) -> int:
        return len(self.lat)

    def scores(self, query: Float32Array) -> Float32Array:
        """Score every place by dot product.

        Queries are multiplied one at a time, always with the whole bank, so a query's scores are the same
        bits whatever else is asked in the call. (One product for all would be faster for many queries, but
        kernels round differently for matrices of different widths.) Two equal places may differ in the last
        bit, and scores are within 4e-5 |query| of the exact product; `search` has neither limit.

        Args:
            query: float32, shape (q, dim).

        Returns:
            float32, shape (q, n).

        Raises:
            ValueError: `query` has another shape or type, or is not finite.
        """
        self._check(query)
        result = np.empty((len(query), len(self)), np.float32)
        for row, vector in zip(result, query, strict=True):
            np.dot(self.embeddings, _aligned_copy(vector), out=row)
        return result

    def search(self, query: Float32Array, k: int) -> tuple[Float32Array, NDArray[np.int64]]:
        """Find the k places with the highest dot products, exactly.

        Args:
            query: float32, shape (q, dim).
            k: Places wanted; with more than there are, all are returned.

        Returns:
            Scores (float32; products summed in float64, rounded once) and rows, both of shape (q, min(k, n)),
            best first, equal scores in the order of the gallery.

        Raises:
            ValueError: `query` has another shape or type or is not finite, or k is below 1.
        """
        self._check(query)
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        k = min(k, len(self))
        scores = np.empty((len(query), k), np.float32)
        rows = np.empty((len(query), k), np.int64)
        group = max(1, _SCORE_BYTES // (4 * len(self)))
        for start in range(0, len(query), group):
            # Any kernel will do here, so all queries of the group go through one matrix product.
            approximate = query[start : start + group] @ self.embeddings.T
            for offset, estimate in enumerate(approximate):
                vector = query[start + offset]
                candidates = _candidates(estimate, k, self._slack(vector))
                exact = self._exact(vector, candidates)
                best = np.argsort(-exact, kind="stable")[:k]
                scores[start + offset], rows[start + offset] = exact[best], candidates[best]
        return scores, rows

    def _slack(self, vector: Float32Array) -> float:
        """How far two approximate scores may be off against each other, whatever the order of summation.

        The error of a float32 dot product is at most d u / (1 - d u) times the sum of |products|, u = 2^-24
        (Higham 2002, section 3.1), which Cauchy-Schwarz bounds by |query| |place|; places have length 1.
        Four more roundings cover the final one, which can make unequal scores equal, and lengths not quite 1;
        the tiny constant covers underflow.
        """
        relative = (len(vector) + 4) * 2.0**-24 * 1.01
        return 2 * relative * float(np.linalg.norm(vector.astype(np.float64))) + 1e-35

    def _exact(self, vector: Float32Array, candidates: NDArray[np.int64]) -> Float32Array:
        """Dot products with chosen places, summed in float64 and rounded once, in chunks of bounded size."""
        wide = vector.astype(np.float64)
        result = np.empty(len(candidates), np.float32)
        for start in range(0, len(candidates), _RESCORE_ROWS):
            chosen = self.embeddings[candidates[start : start + _RESCORE_ROWS]].astype(np.float64)
            # Summation along a row in NumPy's own order, which does not depend on the number of rows.
            result[start : start + _RESCORE_ROWS] = (chosen * wide).sum(axis=1)
        return result

    def _check(self, query: Float32Array) -> None:
        dim = self.embeddings.shape[1]
        if not isinstance(query, np.ndarray) or query.dtype != np.float32:
            raise ValueError(
                f"query must be a float32 array, not {getattr(query, 'dtype', type(query).__name__)}"
            )
        if query.ndim != 2 or query.shape[1] != dim:
            raise ValueError(f"query must have shape (q, {dim}), not {query.shape}")
        if not (np.abs(query) < _LARGEST).all():  # also where one is NaN
            raise ValueError(f"query has numbers that are not finite or beyond {_LARGEST:g}")


def _candidates(estimate: Float32Array, k: int, slack: float) -> NDArray[np.int64]:
    """Rows that may be among the best k when no estimate is off by more than half of `slack`, ascending."""
    if k >= len(estimate):
        return np.arange(len(estimate), dtype=np.int64)
    kth = float(np.partition(estimate, len(estimate) - k)[len(estimate) - k])
    threshold = np.nextafter(np.float32(kth - slack), np.float32(-np.inf))
    return np.flatnonzero(estimate >= threshold).astype(np.int64, copy=False)


def _aligned_copy(vector: Float32Array) -> Float32Array:
    """Copy to an address divisible by 64, so that kernels never split it differently."""
    room = np.empty(vector.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy: Float32Array = room[start : start + vector.nbytes].view(np.float32)
    copy[:] = vector
    return copy
