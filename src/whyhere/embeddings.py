"""One photo, one embedding: what every alignment sees; and the cache that keeps it.

Looking at a photo is the slow step of everything that whyhere does. All of it embeds with `Embedder`, and all
that may look at a photo again (training, evaluation, faithfulness) keeps what it saw in one `EmbeddingCache`.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere._io import exclusive, home
from whyhere.encoders import ImageTower
from whyhere.errors import MissingFileError, PhotoError
from whyhere.images import PreprocessSpec, open_photo, preprocess
from whyhere.releases import Release, asset_path, load_image_tower

Floats = NDArray[np.float32]

_VERSION = 2  # part of the fingerprint: raise it when embeddings or files change
_KEEP_EVERY = 64  # photos between two writes: a kill loses at most their work
_KEY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Embedder:
    """Turns photos into what an alignment sees.

    Attributes:
        tower: The image tower.
        spec: How photos are prepared for it.
        view_average: What is averaged over the views of a photo: "embeddings" of unit length, before the
            alignment sees them, or "logits", for which it sees the raw embeddings of all views.
    """

    tower: ImageTower
    spec: PreprocessSpec
    view_average: str = "embeddings"

    @classmethod
    def open(
        cls,
        release: Release,
        *,
        view_average: str | None = None,
        engine: str | None = None,
        threads: int | None = None,
    ) -> Embedder:
        """Open the image tower of a release.

        Args:
            release: The release.
            view_average: As the attribute; by default what the release does.
            engine: As for `whyhere.releases.load_image_tower`.
            threads: Threads of the tower; all cores by default.

        Raises:
            MissingFileError: A file is missing or damaged, or the release's image tower makes no sense.
        """
        tower = load_image_tower(release, engine=engine, threads=threads)
        average = view_average or release.config.image_tower.view_average
        return cls(tower, preprocessing_of(release, tower), average)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the embedding of a photo: (p,), or (views, p) where logits are averaged."""
        return (self.spec.views, self.tower.dim) if self.view_average == "logits" else (self.tower.dim,)

    def embed(self, image: Image.Image) -> Floats:
        """Embed an upright RGB image: unit length, shape (p,); or raw, shape (views, p)."""
        return self.embed_pixels(preprocess(image, self.spec))

    def embed_pixels(self, pixels: Floats) -> Floats:
        """Embed the views of one photo that `preprocess` made; as `embed`."""
        views = self.tower.embed_only(pixels)
        if self.view_average == "logits":
            return views
        mean = (views / np.linalg.norm(views, axis=1, keepdims=True)).mean(axis=0)
        unit: Floats = mean / np.linalg.norm(mean)
        return unit


def preprocessing_of(release: Release, tower: ImageTower) -> PreprocessSpec:
    """Return how photos are prepared for the tower of a release.

    Raises:
        MissingFileError: What the release says of its image tower makes no sense.
    """
    config = release.config.image_tower
    wanted = {"size_px": tower.image_size, "resample": config.resample, "views": config.views}
    wanted |= {key: value for key in ("mean", "std") if (value := getattr(config, key)) is not None}
    try:
        return PreprocessSpec.from_dict(wanted)
    except ValueError as error:
        raise MissingFileError(f"{release.directory / 'config.json'}: image_tower: {error}") from error


def tower_fingerprint(release: Release) -> str:
    """Return what identifies the weights of a release's image tower."""
    config = release.config.image_tower
    if config.asset:
        files = [asset_path(config.asset) / "manifest.json"]
    elif config.file:
        files = [release.directory / Path(config.file).expanduser()]
    else:
        folder = release.directory / Path(config.folder or "").expanduser()
        files = [folder / "config.json", folder / "model.safetensors"]
    digest = hashlib.sha256(repr(config).encode())
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class StoredPhoto:
    """The bytes of one photo, not read yet.

    Attributes:
        path: The file, or the tar file that holds it.
        offset: Where it begins in the tar file; 0 for a file of its own.
        size: Bytes.
        modified_ns: When `path` was last changed, nanoseconds.
    """

    path: Path
    offset: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, path: Path) -> StoredPhoto:
        """Name a file."""
        status = path.stat()
        return cls(path, 0, status.st_size, status.st_mtime_ns)

    def read(self) -> bytes:
        """Read the photo."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Embeddings of some photos.

    Attributes:
        values: Read-only memory map of everything the cache holds, float32, shape (m, p) or (m, views, p).
        rows: Row of each photo in it, -1 for one that cannot be read, shape (n,).
        unreadable: By position, why a photo cannot be read.
    """

    values: Floats
    rows: NDArray[np.int64]
    unreadable: dict[int, str]

    def __getitem__(self, photo: int) -> Floats:
        """Return the embedding of a readable photo."""
        return np.asarray(self.values[self.rows[photo]])


class EmbeddingCache:
    """Keeps embeddings on disk, each made once, for all who use the same tower in the same way.

    Rows are only ever appended, in blocks: first the embeddings, then the keys that say they are there. A
    kill loses at most a block; several processes may write at once.

    Args:
        embedder: Makes what is not there.
        fingerprint: What identifies the weights of its tower; see `tower_fingerprint`.
        folder: Where everything is kept; embeddings of this kind in a folder named by their fingerprint.
    """

    def __init__(self, embedder: Embedder, *, fingerprint: str, folder: Path | None = None) -> None:
        self.embedder = embedder
        engine = getattr(embedder.tower, "computes_with", "")  # those of two engines must never be mixed
        kind = f"{_VERSION}|{fingerprint}|{engine}|{embedder.spec!r}|{embedder.view_average}"
        self.folder = (folder or home() / "embeddings") / hashlib.sha256(kind.encode()).hexdigest()[:16]
        self._values, self._keys = self.folder / "embeddings.f32", self.folder / "keys.bin"
        self._row_bytes = 4 * int(np.prod(embedder.shape))
        self._known: dict[bytes, int] | None = None

    @classmethod
    def open(
        cls, release: Release, *, view_average: str | None = None, engine: str | None = None
    ) -> EmbeddingCache:
        """Open the tower of a release and the cache of what it sees; arguments as for `Embedder.open`."""
        embedder = Embedder.open(release, view_average=view_average, engine=engine)
        return cls(embedder, fingerprint=tower_fingerprint(release))

    def embed_photos(
        self,
        photos: Sequence[StoredPhoto],
        names: Sequence[str] | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
    ) -> Embeddings:
        """Embed photos, or take them from the cache.

        A photo is known by path, place in a tar file, size and time of change. What cannot be read is tried
        anew each time.

        Args:
            photos: The photos.
            names: What messages call them; their paths by default.
            progress: Called with photos done and photos in all, where any is new.
        """
        keys = [
            _key(f"{photo.path.absolute()}|{photo.offset}|{photo.size}|{photo.modified_ns}".encode())
            for photo in photos
        ]
        known = self._known = self._read_keys()
        new = {key: at for at, key in enumerate(keys) if key not in known}
        unreadable: dict[bytes, str] = {}
        block: dict[bytes, Floats] = {}
        try:
            for number, (key, at) in enumerate(new.items(), start=1):
                name = names[at] if names else str(photos[at].path)
                try:
                    block[key] = self._embed_stored(photos[at], name)
                except PhotoError as error:
                    unreadable[key] = error.reason
                if len(block) == _KEEP_EVERY:
                    self._append(block)
                    block = {}
                if progress is not None:
                    progress(len(photos) - len(new) + number, len(photos))
        finally:
            self._append(block)
        rows = np.array([known.get(key, -1) for key in keys], np.int64)
        reasons = {at: unreadable[key] for at, key in enumerate(keys) if key in unreadable}
        return Embeddings(self._map(), rows, reasons)

    def embed(self, image: Image.Image) -> Floats:
        """Embed an upright RGB image, or take it from the cache: the same pixels are the same photo."""
        if self._known is None:
            self._known = self._read_keys()
        key = _key(f"pixels|{image.mode}|{image.size}|".encode() + image.tobytes())
        if key not in self._known:
            found = self.embedder.embed(image)
            self._append({key: found})
            return found
        start = self._known[key] * self._row_bytes
        kept = np.fromfile(self._values, np.float32, offset=start, count=self._row_bytes // 4)
        return kept.reshape(self.embedder.shape)

    def _embed_stored(self, photo: StoredPhoto, name: str) -> Floats:
        try:
            data = photo.read()
        except OSError as error:
            raise PhotoError(name, f"cannot be read: {error.strerror or error}") from error
        return self.embedder.embed(open_photo(io.BytesIO(data), name=name).image)

    def _count(self) -> int:
        """Return how many rows are there whole."""
        sizes = [path.stat().st_size if path.is_file() else 0 for path in (self._values, self._keys)]
        return min(sizes[0] // self._row_bytes, sizes[1] // _KEY_BYTES)

    def _read_keys(self) -> dict[bytes, int]:
        count = self._count()
        data = self._keys.read_bytes()[: count * _KEY_BYTES] if count else b""
        # Two processes may have embedded the same photo: the first row stays the one that counts.
        return {data[row * _KEY_BYTES : (row + 1) * _KEY_BYTES]: row for row in reversed(range(count))}

    def _append(self, block: dict[bytes, Floats]) -> None:
        if not block:
            return
        assert self._known is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        with exclusive(self.folder / "lock", required=False):
            count = self._count()
            rows = np.stack(list(block.values())).astype(np.float32)
            _write_at(self._values, count * self._row_bytes, rows.tobytes())
            _write_at(self._keys, count * _KEY_BYTES, b"".join(block))  # they say that the rows are there
        for row, key in enumerate(block, start=count):
            self._known.setdefault(key, row)

    def _map(self) -> Floats:
        count = self._count()
        if not count:  # an empty file cannot be mapped
            return np.empty((0, *self.embedder.shape), np.float32)
        return np.memmap(self._values, np.float32, "r", shape=(count, *self.embedder.shape))


def _key(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:_KEY_BYTES]


def _write_at(path: Path, start: int, data: bytes) -> None:
    """Append to a file behind what of it counts; a torn end of an earlier kill is overwritten."""
    with path.open("r+b" if path.is_file() else "wb") as file:
        file.seek(start)
        file.write(data)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())
