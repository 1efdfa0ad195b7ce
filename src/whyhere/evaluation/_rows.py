"""Rows of a table, whatever file holds it: text separated by commas, tabs, semicolons or bars, or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO

from whyhere.errors import MissingFileError, UsageError

_DELIMITERS = "\t,;|"
_PARQUET = (".parquet", ".pq")

Rows = Iterator[tuple[int, list[str]]]
"""Line (text) or row (Parquet), counted from 1, and the fields."""


def read_rows(path: Path, *, header: bool = True) -> tuple[list[str], Rows]:
    """Open a table.

    Args:
        path: CSV, TSV (UTF-8, with or without a byte order mark) or Parquet.
        header: Whether the first line names the columns; without, they are called "1", "2" and so on.

    Returns:
        Names of the columns, and the rows, read as they are asked for.

    Raises:
        MissingFileError: There is no such file.
        UsageError: It is empty, is no such table, or Parquet cannot be read for want of pyarrow. The rows
            raise it too, as reading goes on.
    """
    if not path.is_file():
        raise MissingFileError(f"{path}: there is no such table")
    if path.suffix.lower() in _PARQUET:
        return _parquet(path)
    rows = _text_rows(path)
    first = next(rows, None)
    if first is None:
        raise UsageError(f"{path}: the table is empty")
    if header:
        return first[1], rows
    return [str(number + 1) for number in range(len(first[1]))], _after(first, rows)


def _after(first: tuple[int, list[str]], rows: Rows) -> Rows:
    yield first
    yield from rows


def _text_rows(path: Path) -> Rows:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_delimiter(path, file))
            ended = 0
            for fields in reader:
                started, ended = ended + 1, reader.line_num
                if any(field.strip() for field in fields):
                    yield started, fields
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: the table is not UTF-8 text ({error.reason}); save it as UTF-8, or as Parquet with the "
            "suffix .parquet"
        ) from error
    except (csv.Error, OSError) as error:
        raise UsageError(f"{path}: cannot be read as a table: {error}") from error


def _delimiter(path: Path, file: TextIO) -> str:
    """Return what separates the fields: a tab for .tsv, else what the first line has most of."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    first = ""
    while not first.strip():
        first = file.readline(1 << 16)
        if not first:
            break
    file.seek(0)
    return max(_DELIMITERS, key=first.count) if any(sign in first for sign in _DELIMITERS) else ","


def _parquet(path: Path) -> tuple[list[str], Rows]:
    try:
        parquet = import_module("pyarrow.parquet")
    except ImportError as error:
        raise UsageError(
            f'{path}: Parquet needs pyarrow; run: pip install "whyhere[parquet]" (or save the table as CSV)'
        ) from error
    try:
        file = parquet.ParquetFile(path)
        names = list(file.schema_arrow.names)
    except (OSError, ValueError) as error:  # Arrow's errors are ValueErrors
        raise UsageError(f"{path}: cannot be read as Parquet: {error}") from error
    return names, _parquet_rows(path, file)


def _parquet_rows(path: Path, file: Any) -> Rows:  # noqa: ANN401 - pyarrow is optional
    row = 0
    try:
        for batch in file.iter_batches():
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                row += 1
                yield row, ["" if value is None else str(value) for value in values]
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as Parquet after row {row}: {error}") from error
