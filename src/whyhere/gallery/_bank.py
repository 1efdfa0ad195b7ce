"""The embedding bank on disk: made once, found again by its fingerprint, whole or absent.

    <cache>/<fingerprint>/embeddings.npy   float32 [n, 512], unit length
    <cache>/<fingerprint>/coordinates.npy  float64 [n, 2], where points were added to cover the land
    <cache>/<fingerprint>/manifest.json    what it was made from, its size and checksum
    <cache>/.lock                          held while a bank is built
    <cache>/.checksums.json                remembers which files have been read in full, and found good
    <cache>/.<name>.partial                work in progress; what a killed build leaves, the next sweeps

float32 rather than float16: half the bytes would cost 140 ms a query to widen again instead of 6 ms to read
(94,100 places, two cores), and move scores by up to 6e-5, more than explanations may be off.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from whyhere._io import MEMORY, exclusive, file_problem, known_sha256, plain, put_in_place, sha256_of
from whyhere.encoders import LocationEncoder
from whyhere.errors import MissingFileError
from whyhere.gallery._gallery import Gallery, empty_land, empty_land_fingerprint
from whyhere.gallery._neighbourhoods import ALGORITHM, Encoder, Neighbourhoods

Progress = Callable[[int, int], None]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]

_FORMAT = 1
_DTYPE = np.dtype("<f4")
_CHUNK = 8192  # places between two writes: a multiple of the encoder's batch
_SAMPLED_ROWS = 64
_REMEDY = "run `whyhere releases fetch base --force`"


def open_gallery(
    coordinates: Path,
    encoder_weights: Path,
    cache: Path,
    *,
    smoothing_km: float = 0.0,
    covers_land: bool = False,
    progress: Progress | None = None,
) -> Gallery:
    """Open a gallery; embed it where that was never done, or where its bank is damaged.

    Two processes may do so at once: one embeds, the other waits and opens the same bank. A process killed at
    any moment and a full disk leave no bank rather than half of one. The whole bank is read and compared with
    its checksum only where size, times or inode of its file changed since that was last done.

    Args:
        coordinates: `.npy` file of latitudes and longitudes in degrees, float64, shape (n, 2).
        encoder_weights: The location encoder's `.safetensors` file.
        cache: Directory that keeps embedded galleries; made where absent.
        smoothing_km: Keep the embeddings of neighbourhoods of this scale instead of those of single places;
            see `Neighbourhoods`. 0 keeps single places.
        covers_land: Add points where the coordinates leave land empty; see `empty_land`. They come last.
        progress: Called with places done and places in all while the gallery is embedded, first with 0.

    Raises:
        MissingFileError: Coordinates or weights are missing or damaged, or the bank cannot be written.
    """
    told = progress or _silent
    lat, lon = _read_coordinates(coordinates)
    own = len(lat)

    def fingerprint_now(memory: Path | None) -> str:
        return gallery_fingerprint(
            coordinates, encoder_weights, smoothing_km=smoothing_km, covers_land=covers_land, memory=memory
        )

    fingerprint = fingerprint_now(cache / MEMORY)
    folder = cache / fingerprint
    if covers_land:
        lat, lon = _filled(folder, lat, lon, told)
    embeddings = _open_bank(folder, len(lat), covers_land)
    if embeddings is None:
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with exclusive(cache / ".lock", required=False) as alone:
                embeddings = _open_bank(folder, len(lat), covers_land)
                if embeddings is None:
                    if folder.is_dir():
                        print(f"whyhere: {folder} is damaged: the gallery is embedded again", file=sys.stderr)
                    if alone:  # nobody else is building: sweep up what killed builds left
                        for left in cache.glob(".*.partial"):
                            shutil.rmtree(left, ignore_errors=True)
                    encoder: Encoder = LocationEncoder.load(encoder_weights)
                    if smoothing_km:
                        told(0, len(lat))
                        encoder = Neighbourhoods.build(
                            encoder, lat, lon, scale_km=smoothing_km, progress=told
                        )
                        told = _silent  # the second pass takes a tenth of the first
                    _build(
                        folder,
                        encoder,
                        lat,
                        lon,
                        told,
                        keep_coordinates=covers_land,
                        unchanged=lambda: fingerprint_now(None) == fingerprint,
                    )
                    embeddings = _open_bank(folder, len(lat), covers_land)
        except OSError as error:
            need_mb = len(lat) * LocationEncoder.dim * _DTYPE.itemsize / 1e6
            raise MissingFileError(
                f"{folder}: cannot keep the embedded gallery there ({error.strerror or error}); it needs "
                f"{need_mb:.0f} MB. Make room or choose another directory with WHYHERE_HOME"
            ) from error
    if embeddings is None:
        raise MissingFileError(
            f"{folder}: the embedded gallery changed while it was made; run the command again"
        )
    return Gallery(lat, lon, embeddings, fingerprint, added=len(lat) - own)


def bank_problem(folder: Path, told: Callable[[int], None] | None = None) -> str | None:
    """Tell what is wrong with the files of an embedded gallery; None where nothing is.

    Args:
        folder: The bank, named by its fingerprint.
        told: Hears how many bytes are read; where given, all are read, and else those of files that changed.
    """
    recorded = _recorded(folder)
    if not recorded:
        return f"{folder / 'manifest.json'} is missing, damaged or that of another gallery"
    memory = folder.parent / MEMORY
    problems = [file_problem(folder / name, record, memory, told) for name, record in recorded.items()]
    return next((problem for problem in problems if problem), None)


def gallery_fingerprint(
    coordinates: Path,
    encoder_weights: Path,
    *,
    smoothing_km: float = 0.0,
    covers_land: bool = False,
    memory: Path | None = None,
) -> str:
    """Return 32 hexadecimal digits that change whenever the embeddings would: files, algorithm, format.

    Args:
        coordinates: As for `open_gallery`, as the next three.
        encoder_weights: The location encoder's file.
        smoothing_km: Scale of neighbourhoods.
        covers_land: Whether points are added.
        memory: File that remembers checksums; without it the files are read in full.

    Raises:
        MissingFileError: A file is missing or cannot be read.
    """
    parts = [f"whyhere gallery {_FORMAT}", LocationEncoder.algorithm, _DTYPE.str]
    if smoothing_km:
        parts.append(f"neighbourhoods of {smoothing_km!r} km: {ALGORITHM}")
    if covers_land:
        parts.append(empty_land_fingerprint())
    for path in (coordinates, encoder_weights):
        try:
            parts.append(sha256_of(path) if memory is None else known_sha256(path, memory))
        except OSError as error:
            raise MissingFileError(f"{path}: cannot be read ({error.strerror}); {_REMEDY}") from error
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size and SHA-256 of the files of a bank by its manifest; nothing where that is damaged."""
    try:
        manifest: Any = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if manifest["fingerprint"] != folder.name:
            return {}
        recorded = {"embeddings.npy": {"size": manifest["bytes"], "sha256": manifest["sha256"]}}
        if "coordinates" in manifest:
            recorded["coordinates.npy"] = {key: manifest["coordinates"][key] for key in ("size", "sha256")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return recorded


def _filled(
    folder: Path, lat: Float64Array, lon: Float64Array, progress: Progress
) -> tuple[Float64Array, Float64Array]:
    """Return the coordinates with those of empty land after them: the bank's own copy, else found anew."""
    own, kept = len(lat), folder / "coordinates.npy"
    recorded = _recorded(folder).get(kept.name)
    if recorded is not None and not file_problem(kept, recorded, folder.parent / MEMORY):
        try:
            points = _read_coordinates(kept)
            if np.array_equal(points[0][:own], lat) and np.array_equal(points[1][:own], lon):
                return points
        except MissingFileError:
            pass  # damaged in a way that its checksum agrees with
    progress(0, own)
    return _read_only(np.concatenate(([lat, lon], empty_land(lat, lon)), axis=1))


def _read_coordinates(path: Path) -> tuple[Float64Array, Float64Array]:
    try:
        with plain(path).open("rb") as file:  # NumPy leaves it open where an archive is damaged
            points: Any = np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: the gallery's coordinates are missing; {_REMEDY}") from error
    except (OSError, ValueError, EOFError, MemoryError, OverflowError, BadZipFile) as error:
        raise MissingFileError(f"{path}: not an array of coordinates ({error}); {_REMEDY}") from error
    is_array = isinstance(points, np.ndarray)
    if not (is_array and points.dtype == np.float64 and points.ndim == 2 and points.shape[1] == 2):
        found = f"{points.dtype} {points.shape}" if is_array else "an archive"
        raise MissingFileError(f"{path}: expected float64 (n, 2), found {found}; {_REMEDY}")
    if not len(points) or not (np.abs(points) <= (90, 180)).all():  # also false where one is NaN
        raise MissingFileError(
            f"{path}: empty, or a position is not (latitude, longitude) in degrees; {_REMEDY}"
        )
    return _read_only(points.T)


def _read_only(points: Float64Array) -> tuple[Float64Array, Float64Array]:
    lat, lon = points.copy()
    lat.flags.writeable = lon.flags.writeable = False
    return lat, lon


def _open_bank(folder: Path, places: int, covers_land: bool) -> Float32Array | None:
    """Map the bank, or return None where there is none that can be trusted."""
    if (covers_land and "coordinates.npy" not in _recorded(folder)) or bank_problem(folder):
        return None
    try:
        mapped = np.load(folder / "embeddings.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError, BadZipFile):
        return None
    bank: Float32Array = np.asarray(mapped)
    if bank.dtype != _DTYPE or bank.shape != (places, LocationEncoder.dim) or not bank.flags.c_contiguous:
        return None
    sample = bank[np.linspace(0, places - 1, min(places, _SAMPLED_ROWS)).astype(np.intp)].astype(np.float64)
    return bank if (np.abs(np.linalg.norm(sample, axis=1) - 1) < 1e-5).all() else None


def _build(
    folder: Path,
    encoder: Encoder,
    lat: Float64Array,
    lon: Float64Array,
    progress: Progress,
    *,
    keep_coordinates: bool,
    unchanged: Callable[[], bool],
) -> None:
    """Embed into a directory beside `folder`, flush it to disk, and rename it into place.

    Written through a file, not a memory map: a full disk is then an error and not a killed process.

    Raises:
        OSError: The disk is full or cannot be written.
        MissingFileError: An embedding has no direction, or a source file changed meanwhile.
    """
    stage = folder.parent / f".{uuid.uuid4().hex}.partial"
    stage.mkdir()
    try:
        digest = hashlib.sha256()
        path = stage / "embeddings.npy"
        with path.open("w+b") as file:
            header = {"descr": _DTYPE.str, "fortran_order": False, "shape": (len(lat), LocationEncoder.dim)}
            np.lib.format.write_array_header_1_0(file, header)
            file.seek(0)
            digest.update(file.read())
            progress(0, len(lat))
            _claim(file.fileno(), file.tell() + len(lat) * LocationEncoder.dim * _DTYPE.itemsize)
            for start in range(0, len(lat), _CHUNK):
                part = slice(start, start + _CHUNK)

                def report(done: int, start: int = start) -> None:
                    progress(start + done, len(lat))

                data = _unit(encoder.embed(lat[part], lon[part], progress=report)).tobytes()
                file.write(data)
                digest.update(data)
        manifest: dict[str, Any] = {
            "format": _FORMAT,
            "fingerprint": folder.name,
            "encoder": LocationEncoder.algorithm,
            "places": len(lat),
            "bytes": path.stat().st_size,
            "sha256": digest.hexdigest(),
        }
        if keep_coordinates:
            kept = stage / "coordinates.npy"
            np.save(kept, np.stack((lat, lon), axis=1))
            manifest["coordinates"] = {"size": kept.stat().st_size, "sha256": sha256_of(kept)}
        if not unchanged():
            raise MissingFileError(
                f"{folder}: coordinates or weights changed while they were read; try again"
            )
        (stage / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        put_in_place(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _claim(descriptor: int, size: int) -> None:
    """Claim the space on disk: fail now, where the system can tell, not after half a minute of work."""
    os.truncate(descriptor, size)
    if sys.platform != "win32" and sys.platform != "darwin":
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
                raise  # anything else: this file system cannot tell


def _unit(embeddings: Float32Array) -> Float32Array:
    """Scale rows to length 1, dividing in float64 so that the length is 1 to float32 precision."""
    wide = embeddings.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise MissingFileError(
            f"the location encoder gives a place no direction: its weights are wrong; {_REMEDY}"
        )
    unit: Float32Array = (wide / lengths).astype(_DTYPE)
    return unit


def _silent(done: int, total: int) -> None:
    """Report nothing."""
