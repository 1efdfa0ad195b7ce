"""Features given in place of photos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError, UsageError


def features_from_file(path: str | Path, *, rows: int) -> NDArray[np.float32]:
    """Open a `.npy` with one row of features for every data row of the table, bad rows included.

    Args:
        path: The file.
        rows: Data rows of the table.

    Returns:
        Memory map, shape (rows, p).

    Raises:
        MissingFileError: It cannot be read.
        UsageError: It has another shape.
    """
    try:
        array: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise MissingFileError(f"{path}: cannot read the features ({error}); check --features") from error
    if array.ndim != 2 or len(array) != rows or array.dtype.kind != "f":
        raise UsageError(
            f"{path}: features must be floats with one row for each of the {rows} rows of the table, "
            f"not {array.dtype} {array.shape}"
        )
    return array
