"""Where the photos of a training set lie: in a folder, or in tar files as WebDataset writes them."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from whyhere.embeddings import StoredPhoto
from whyhere.errors import MissingFileError
from whyhere.images import PHOTO_SUFFIXES


class PhotoStore:
    """Finds photos by the names that a table uses.

    A table may name a file as it lies in the folder or tar, without its directory, or without its suffix
    (as WebDataset's keys are); a name that fits two photos finds neither.

    Args:
        source: A folder of photos; a tar file; or a folder of tar files.

    Raises:
        MissingFileError: There is nothing of the kind.
    """

    def __init__(self, source: str | Path) -> None:
        self._source = Path(source)
        tars = [self._source] if self._source.is_file() else sorted(self._source.glob("*.tar"))
        if not self._source.exists():
            raise MissingFileError(f"{source}: no such folder or tar file of photos; check --photos")
        self._full: dict[str, StoredPhoto] = {}
        self._short: dict[str, StoredPhoto | None] = {}
        for name, photo in _in_tars(tars) if tars else _in_folder(self._source):
            self._full[name] = photo
            for key in _keys(name):
                self._short[key] = None if self._short.get(key, photo) != photo else photo
        if not self._full:
            raise MissingFileError(
                f"{source}: neither photos ({' '.join(PHOTO_SUFFIXES)}) nor .tar files in it; check --photos"
            )

    def find(self, name: str) -> StoredPhoto | str:
        """Return the photo that a table calls `name`, or in words why there is none."""
        name = str(PurePosixPath(name.replace("\\", "/")))  # also takes "./" away
        if name in self._full:
            return self._full[name]
        for key in (name, *_keys(name)):
            if key in self._short:
                photo = self._short[key]
                return f"more than one photo in {self._source} is called {key}" if photo is None else photo
        return f"no photo called {name} in {self._source}"


def _keys(name: str) -> tuple[str, ...]:
    """Return the shorter names of a photo: without directory, without suffix, and without both."""
    path = PurePosixPath(name)
    base = path.name
    return tuple(dict.fromkeys((base, str(path.with_suffix("")), base.partition(".")[0])))


def _in_folder(folder: Path) -> Iterator[tuple[str, StoredPhoto]]:
    # Directories that cannot be read are passed over: the table's rows say which photos are not there.
    every = (Path(where, file) for where, _, files in os.walk(folder) for file in files)
    for path in sorted(every):
        if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file():
            status = path.stat()
            yield (
                path.relative_to(folder).as_posix(),
                StoredPhoto(path, 0, status.st_size, status.st_mtime_ns),
            )


def _in_tars(tars: list[Path]) -> Iterator[tuple[str, StoredPhoto]]:
    """Yield the photos in plain tar files; only headers are read, photos are reached by offset."""
    for path in tars:
        modified_ns = path.stat().st_mtime_ns
        try:
            with tarfile.open(path, "r:") as archive:
                for member in archive:
                    if member.isfile() and PurePosixPath(member.name).suffix.lower() in PHOTO_SUFFIXES:
                        name = member.name.removeprefix("./")
                        yield name, StoredPhoto(path, member.offset_data, member.size, modified_ns)
        except (tarfile.TarError, OSError) as error:
            raise MissingFileError(
                f"{path}: not a complete uncompressed tar file ({error}); fetch it again"
            ) from error
