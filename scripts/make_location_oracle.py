"""Write the embeddings that `tests/encoders/test_location.py` compares whyhere's location encoder with.

Runs GeoCLIP's own code and weights in torch, out of the wheel or a folder it was unpacked to:

    python scripts/make_location_oracle.py geoclip-1.3.0-py3-none-any.whl [tests/data/location_oracle.npz]

The positions are extreme ones (poles, antimeridian and its neighbours, the origin, tiny numbers) and random
ones; the seed is fixed. Values of the committed file: geoclip 1.3.0, torch 2.13.0+cpu with MKL, AMD EPYC.
On processors with other instruction sets the library under torch may round an arc sine differently, which
moved one random position in 3,500 by more than 1e-5 (at most 4e-5) when its variants were compared.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RANDOM_POINTS = 120


def oracle_points() -> NDArray[np.float32]:
    """Return latitudes and longitudes, float32 [n, 2]."""
    lats = (-90, -89.99999, -1e-30, 0, 1e-6, 60, 90)
    lons = (-180, -179.99999, -179.999, -1e-6, 0, 1e-30, 90, 179.999, 179.99999, 180)
    extreme = np.array([(lat, lon) for lat in lats for lon in lons])
    rng = np.random.default_rng(20250911)
    lat = np.degrees(np.arcsin(rng.uniform(-1, 1, RANDOM_POINTS)))  # uniform on the sphere
    return np.concatenate((extreme, np.stack((lat, rng.uniform(-180, 180, RANDOM_POINTS)), 1))).astype(
        np.float32
    )


def original_encoder(package: Path) -> Callable[..., Any]:
    """Return GeoCLIP's `LocationEncoder` with its weights, without running the packages' `__init__`s.

    Those import the image backbone; `misc.py` imports pandas for a function that is not called here.
    """
    for name, path in (("geoclip", package), ("geoclip.model", package / "model")):
        module = types.ModuleType(name)
        module.__path__ = [str(path)]
        sys.modules[name] = module
    sys.modules.setdefault("pandas", types.ModuleType("pandas"))
    module = importlib.import_module("geoclip.model.location_encoder")
    encoder: Callable[..., Any] = module.LocationEncoder().eval()
    return encoder


def embed(package: Path, points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Embed positions [n, 2] by the original in one batch, float32 [n, 512]."""
    import torch

    with torch.inference_mode():
        result: NDArray[np.float32] = original_encoder(package)(torch.from_numpy(points)).numpy()
    return result


def main() -> None:
    """Read the arguments and write the file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("geoclip", type=Path, help="geoclip wheel, or the folder that holds geoclip/")
    parser.add_argument("out", type=Path, nargs="?", default=Path("tests/data/location_oracle.npz"))
    arguments = parser.parse_args()
    points = oracle_points()
    with tempfile.TemporaryDirectory() as folder:
        root = arguments.geoclip
        if root.is_file():
            with zipfile.ZipFile(root) as wheel:
                wheel.extractall(folder)
            root = Path(folder)
        if not (root / "geoclip" / "model" / "location_encoder.py").is_file():
            parser.error(f"{arguments.geoclip}: no geoclip/model/location_encoder.py in it")
        embeddings = embed(root / "geoclip", points)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(arguments.out, points=points, embeddings=embeddings)
    print(f"{arguments.out}: {len(points)} positions, {arguments.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
