"""Reads torch checkpoints (`.pth`, `.bin`) into NumPy arrays, without torch and without running their pickle.

Only the zip format of torch 1.6 and later is read, and in it only tensors, alone or in one flat dictionary.
Everything the file says about itself (sizes, strides, storages) is checked before it is believed.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyhere.errors import MissingFileError
from whyhere.releases._torch_pickle import PickleRefusedError, Tensor, read_pickle

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
_MAX_DIMENSIONS = 32


class _RefusedError(ValueError):
    """The file is not what it should be; the message says how."""


def read_torch_file(
    path: Path, *, wanted: Callable[[str], bool] | None = None, max_bytes: int = 1 << 30
) -> dict[str, NDArray[np.generic]]:
    """Read the tensors of a checkpoint.

    Args:
        path: File written by `torch.save` (zip format).
        wanted: Tells by its name whether a tensor is to be read; all of them without it.
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
                return _read_archive(archive, path.stat().st_size, wanted or (lambda name: True), max_bytes)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such checkpoint") from error
    except (_RefusedError, PickleRefusedError) as error:
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
    described = read_pickle(record("data.pkl"))
    tensors = _flat(described)
    storages: dict[str, bytes] = {}
    arrays: dict[str, NDArray[np.generic]] = {}
    left = max_bytes
    for name, tensor in tensors.items():
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


def _flat(described: object) -> dict[str, Tensor]:
    """Return the one flat dictionary of tensors that a checkpoint may be."""
    if isinstance(described, Tensor):
        return {"": described}
    if not isinstance(described, dict):
        raise _RefusedError(f"it holds a {type(described).__name__} instead of tensors")
    tensors: dict[str, Tensor] = {}
    for name, value in described.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise _RefusedError(f"its entry {str(name)[:80]!r} is a {type(value).__name__}, not a tensor")
        tensors[name] = value
    if not tensors:
        raise _RefusedError("it holds no tensors")
    return tensors


def _checked_count(name: str, tensor: Tensor) -> int:
    """Return the number of elements, having checked that the view stays inside its storage."""
    if len(tensor.shape) != len(tensor.stride) or len(tensor.shape) > _MAX_DIMENSIONS:
        raise _RefusedError(f"tensor {name!r} has {len(tensor.shape)} sizes and {len(tensor.stride)} strides")
    if tensor.offset < 0 or min((*tensor.shape, *tensor.stride), default=0) < 0:
        raise _RefusedError(f"tensor {name!r} has a negative size, stride or offset")
    count = 1
    for size in tensor.shape:
        count *= size
    if max(tensor.shape, default=0) >= 1 << 40:  # an empty tensor may still claim absurd sizes
        raise _RefusedError(f"tensor {name!r} has the size {max(tensor.shape)}")
    steps = zip(tensor.shape, tensor.stride, strict=True)
    last = tensor.offset + sum((size - 1) * step for size, step in steps)
    if count and last >= tensor.storage.count:
        raise _RefusedError(f"tensor {name!r} reaches beyond its storage")
    return count


def _view(tensor: Tensor, storage: bytes, dtype: np.dtype[np.generic]) -> NDArray[np.generic]:
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
