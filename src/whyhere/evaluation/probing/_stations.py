"""Weather stations: mean air temperature and precipitation.

The table of Hooker, Duveiller and Cescatti, "A global dataset of air temperature derived from satellite
remote sensing and weather stations" (Scientific Data 2018), as distributed with SatCLIP, which has the
paper's first downstream task.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from whyhere.evaluation.probing._table import read_table
from whyhere.evaluation.probing._task import Skipped, Task

_SOURCE = "Hooker, Duveiller and Cescatti 2018, stations"
_HOW = (
    "needs the table of weather stations of Hooker et al. 2018 (columns Lat, Lon, meanT, meanP); give it "
    "with --stations FILE"
)
TASKS = (
    ("temperature", "meanT", "mean air temperature in degrees C"),
    ("precipitation", "meanP", "mean yearly precipitation in mm"),
)


def station_tasks(path: Path | None, *, skip_bad_rows: bool = False) -> list[Task | Skipped]:
    """Read both tasks.

    Args:
        path: The table, or None where the user has none.
        skip_bad_rows: As in `read_table`.

    Raises:
        MissingFileError: The file is missing.
        UsageError: It is not the table.
    """
    if path is None:
        return [Skipped(name, _HOW) for name, _, _ in TASKS]
    return [
        replace(
            read_table(path, column, kind="value", skip_bad_rows=skip_bad_rows),
            name=name,
            meaning=meaning,
            source=_SOURCE,
        )
        for name, column, meaning in TASKS
    ]
