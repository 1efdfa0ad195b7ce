"""A benchmark: photos with true positions, and how they are held out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from whyhere.evaluation._protocol import Protocol
from whyhere.tables import PhotoTable, read_photos


class Benchmark(PhotoTable, frozen=True):
    """Photos to be located and where they were taken; `PhotoTable` has the other attributes.

    Attributes:
        protocol: How photos are held out and kinds are named; None for all photos as they are.
    """

    protocol: Protocol | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return name, columns and counts as a plain dictionary; problems by kind."""
        return {
            "name": self.name,
            "columns": self.columns.to_dict() if self.columns else None,
            "rows": self.rows,
            "queries": len(self.queries),
            "problems": dict(Counter(problem.kind for problem in self.problems)),
            "protocol": self.protocol.to_dict() if self.protocol else None,
        }


def read_benchmark(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    swap_lat_lon: bool = False,
    name: str | None = None,
) -> Benchmark:
    """Read a table of photos with true positions as `whyhere.tables.read_photos` does.

    Args:
        path: CSV, TSV or Parquet.
        columns: What the columns mean, where it is not recognised: field to column, as from `parse_columns`.
        swap_lat_lon: Read latitudes from the column of longitudes and the other way round.
        name: What to call the benchmark; the name of the file by default.

    Raises:
        MissingFileError: There is no such file.
        UsageError: It is no such table, no row of it can be used, or latitude and longitude are swapped.
    """
    table = read_photos(path, columns=columns, swap_lat_lon=swap_lat_lon)
    return Benchmark(name or table.name, table.columns, table.rows, table.queries, table.problems)
