"""Figures by kind of photo: street level always apart, because the open collections hold little of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation._benchmark import Benchmark
from whyhere.evaluation._protocol import Protocol
from whyhere.stats import Interval

STREET, REST = "street level", "not street level"
_UNKNOWN = "kind not stated"


@dataclass(frozen=True, slots=True)
class KindFigures:
    """Figures of the photos of one kind.

    Attributes:
        name: The kind; "street level" and "not street level" for these two groups of kinds.
        photos: How many.
        accuracy: As `Evaluation.accuracy`.
    """

    name: str
    photos: int
    accuracy: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain dictionaries."""
        return {
            "name": self.name,
            "photos": self.photos,
            "accuracy": {name: figure.to_dict() for name, figure in self.accuracy.items()},
        }


def kind_names(benchmark: Benchmark) -> list[str | None]:
    """Return the kind of each photo, None for all where neither table nor protocol knows any."""
    protocol = benchmark.protocol
    default = protocol.default_kind if protocol else _UNKNOWN
    if protocol is None and all(query.kind is None for query in benchmark.queries):
        return [None] * len(benchmark.queries)
    return [query.kind or default for query in benchmark.queries]


def street_kinds(benchmark: Benchmark) -> tuple[str, ...]:
    """Return the kinds that are street level."""
    return (benchmark.protocol or Protocol()).street_kinds


def kind_groups(kinds: Sequence[str | None], street: Sequence[str]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Return the groups to report apart, each with its photos, shape (n,).

    Args:
        kinds: Kind of each photo; None where it is not known.
        street: Kinds that are street level.
    """
    known = np.array([kind is not None for kind in kinds], bool)
    if not known.any():
        return []
    on_street = np.array([kind in street for kind in kinds], bool)
    groups = [(STREET, on_street), (REST, known & ~on_street)]
    counts = Counter(kind for kind in kinds if kind is not None)
    single = len([kind for kind in counts if kind in street]) == 1
    for kind, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        if not (single and kind in street):
            groups.append((kind, np.array([other == kind for other in kinds], bool)))
    return [(name, members) for name, members in groups if members.any()]
