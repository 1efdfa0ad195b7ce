"""Which photo a name means: tables, folders and other systems write the same photo differently."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from whyhere.images import PHOTO_SUFFIXES


def parts_of(name: str) -> tuple[str, ...]:
    r"""Split a path, written with either slash, into its parts without `.`."""
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _stem(name: str) -> str:
    """Drop the suffix of a photo, and nothing else: ids may hold dots."""
    base, dot, suffix = name.rpartition(".")
    return base if dot and base and f".{suffix.lower()}" in PHOTO_SUFFIXES else name


class NameIndex:
    """Finds the one of many names that another spelling means.

    The same path goes first. Then the same file name counts, where several have it the one that also shares
    the most folders before it; then the file name without the suffix of a photo. Two that fit equally well
    are none: a guess would score one photo with the answer for another.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._exact: dict[tuple[str, ...], str] = {}
        self._files: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self._stems: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        for name in names:
            parts = parts_of(name)
            if parts and parts not in self._exact:
                self._exact[parts] = name
                self._files[parts[-1]].append(parts)
                self._stems[_stem(parts[-1])].append(parts)

    def find(self, name: str) -> str | None:
        """Return the name that is meant, or None where none or more than one fits."""
        parts = parts_of(name)
        if not parts:
            return None
        if parts in self._exact:
            return self._exact[parts]
        candidates = self._files.get(parts[-1]) or self._stems.get(_stem(parts[-1])) or []
        shared = [_shared_folders(parts, candidate) for candidate in candidates]
        if not shared or shared.count(max(shared)) > 1:
            return None
        return self._exact[candidates[shared.index(max(shared))]]


def _shared_folders(a: tuple[str, ...], b: tuple[str, ...]) -> int:
    """Count equal folders from the file upwards."""
    count = 0
    for left, right in zip(a[-2::-1], b[-2::-1], strict=False):
        if left != right:
            break
        count += 1
    return count


class PhotoFolder:
    """The photos below a folder, found by the names that a table gives them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, name: str) -> Path | None:
        """Return the file of a photo, or None where there is none or it cannot be told which.

        Args:
            name: Path below the folder, or a file name or id anywhere below it. Never leaves the folder.
        """
        parts = parts_of(name)
        if parts and ".." not in parts:
            direct = self._folder.joinpath(*parts)
            for path in (direct, *(direct.with_name(direct.name + end) for end in (".jpg", ".jpeg", ".png"))):
                if os.path.isfile(path):  # noqa: PTH113 - False, not an error, for names no system allows
                    return path
        found = self._index.find(name)
        return None if found is None else self._folder.joinpath(*parts_of(found))

    @cached_property
    def _index(self) -> NameIndex:
        # Walked only when a photo does not lie where its name says: OSV-5M has folders 00 to 04 in between.
        def relative() -> Iterable[str]:
            for where, folders, files in os.walk(self._folder):
                folders.sort()
                inside = os.path.relpath(where, self._folder)
                for file in sorted(files):
                    if os.path.splitext(file)[1].lower() in PHOTO_SUFFIXES:  # noqa: PTH122
                        yield f"{inside}/{file}"

        return NameIndex(relative())
