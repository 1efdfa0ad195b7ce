"""A user's own bank: a short TOML file, a folder of folders of example photos, or both.

Only what is there is read; nothing is looked at. The strict reader of the shipped bank is `_read_bank`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyhere.concepts._bank import Concept, ConceptBank
from whyhere.concepts._read_bank import (
    _entries,
    _places,
    _read_toml,
    _strings,
    _templates,
    _text,
    load_bank,
)
from whyhere.concepts._words import word_key
from whyhere.errors import MissingFileError, UsageError

OWN_GROUP = "your own"
OWN_FILE = "concepts.toml"
"""File of a photo folder that says more about its concepts."""

_KEYS = (
    "id", "name", "group", "definition", "prompts", "words", "synonyms", "photos", "source", "reference",
    "teacher", "place_neutral",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OwnBank:
    """What a user wrote down and photographed.

    Attributes:
        path: The file or folder.
        bank: The concepts. `words` are empty where the user gave none: the name stands for them.
        photos: Example photos by concept id; concepts without any are missing.
        background: Photos that show none of the concepts, from folders whose name starts with "_".
        spoken: Ids of concepts whose text counts: not those that are a folder's name and no more.
    """

    path: Path
    bank: ConceptBank
    photos: Mapping[str, tuple[Path, ...]]
    background: tuple[Path, ...]
    spoken: frozenset[str]


def read_own_bank(path: str | Path, *, photo_suffixes: Collection[str]) -> OwnBank:
    """Read a user's own bank.

    Args:
        path: A TOML file with one [[concept]] each, which needs a `name` or an `id` and may have any key of
            the shipped bank, and `photos`, a folder relative to the file; or a folder that holds one folder
            of photos for each concept, and `concepts.toml` where there is more to say.
        photo_suffixes: Suffixes of photos, lower case with the dot.

    Raises:
        MissingFileError: There is nothing at the path.
        UsageError: It is no bank; the message says where.
    """
    place = Path(path)
    if not place.exists():
        raise MissingFileError(
            f"no concept bank at {place}; give a TOML file or a folder of folders of photos"
        )
    file = place / OWN_FILE if place.is_dir() else place
    concepts: dict[str, Concept] = {}
    photos: dict[str, tuple[Path, ...]] = {}
    background: tuple[Path, ...] = ()
    name, templates = place.stem, load_bank().templates
    if file.is_file():
        name, templates = _read_file(file, name, templates, concepts, photos, photo_suffixes)
    spoken = frozenset(concepts)
    if place.is_dir():
        for folder in sorted(p for p in place.iterdir() if p.is_dir() and not p.name.startswith(".")):
            found = _photos_in(folder, photo_suffixes)
            if folder.name.startswith("_"):
                background += found
                continue
            entry = _entry_of(folder.name, concepts)
            if not found and entry is None:
                continue  # a folder of something else
            concept = entry or _concept({"name": re.sub(r"[\s_-]+", " ", folder.name)}, f"folder {folder}")
            if concept.id in photos and concept.id not in spoken:
                raise UsageError(f"{folder}: another folder means the same concept {concept.id!r}")
            concepts.setdefault(concept.id, concept)
            photos[concept.id] = tuple(dict.fromkeys((*photos.get(concept.id, ()), *found)))
    if not concepts:
        raise UsageError(
            f"{place}: no concept here; expected one folder of photos for each concept, or {OWN_FILE}"
        )
    return OwnBank(
        path=place,
        bank=ConceptBank(name, tuple(concepts.values()), templates),
        photos={key: found for key, found in photos.items() if found},
        background=background,
        spoken=spoken,
    )


def _read_file(
    file: Path,
    name: str,
    templates: tuple[str, ...],
    concepts: dict[str, Concept],
    photos: dict[str, tuple[Path, ...]],
    suffixes: Collection[str],
) -> tuple[str, tuple[str, ...]]:
    """Read the TOML file into `concepts` and `photos`; return name and templates."""
    text, table = _read_toml(file, assumed=1)
    unknown = set(table) - {"format", "name", "templates", "concept"}
    if unknown:
        raise UsageError(f"{file}: unknown key {sorted(unknown)[0]!r} at the top of the file")
    if "templates" in table:
        templates = _templates(table["templates"], file)
    if "name" in table:
        _text(table, "name", str(file))
        name = table["name"]
    entries = _entries(table, "concept", file)
    for entry, where in zip(entries, _places(text, "concept", len(entries), file), strict=True):
        concept = _concept(entry, where)
        if concept.id in concepts:
            raise UsageError(f"{where}: id {concept.id!r} is already used above")
        concepts[concept.id] = concept
        if "photos" in entry:
            _text(entry, "photos", where)
            folder = file.parent / Path(entry["photos"]).expanduser()
            if not folder.is_dir():
                raise MissingFileError(f"{where}: no folder of photos at {folder}")
            photos[concept.id] = _photos_in(folder, suffixes)
    return name, templates


def _concept(entry: Mapping[str, Any], where: str) -> Concept:
    """Turn what the user wrote into a concept; everything but a name or an id may be missing."""
    unknown = set(entry) - set(_KEYS)
    if unknown:
        raise UsageError(f"{where}: unknown key {sorted(unknown)[0]!r}; known: {', '.join(_KEYS)}")
    given = dict(entry)
    if "name" not in given and "id" not in given:
        raise UsageError(f"{where}: a concept needs a name or an id")
    given.setdefault("name", str(given.get("id", "")).replace("-", " "))
    for key in ("id", "name", "group", "definition", "source", "reference"):
        if key in given:
            _text(given, key, where)
    identity = "-".join(word_key(given.get("id", given["name"])).split())
    if not identity:
        raise UsageError(f"{where}: {given['name']!r} has no letter or figure to make an id of")
    if not re.fullmatch(r"[\w-]+", given.get("id", identity)):
        raise UsageError(f"{where}: id {given['id']!r} must be one word, such as 'rice-paddy'")
    if not isinstance(given.get("place_neutral", False), bool):
        raise UsageError(f"{where}: place_neutral must be true or false")
    lists = {key: _strings(given.get(key, []), f"{where}: {key}") for key in ("words", "synonyms", "teacher")}
    return Concept(
        id=given.get("id", identity),
        name=given["name"],
        group=given.get("group", OWN_GROUP),
        definition=given.get("definition", ""),
        prompts=_strings(given.get("prompts", []), f"{where}: prompts") or (given["name"],),
        source=given.get("source", "a user's own bank"),
        reference=given.get("reference", ""),
        place_neutral=given.get("place_neutral", False),
        **lists,
    )


def _entry_of(folder: str, concepts: Mapping[str, Concept]) -> Concept | None:
    """Return the concept of the file that a folder of photos belongs to."""
    for concept in concepts.values():
        if word_key(folder) in (word_key(concept.id), word_key(concept.name)):
            return concept
    return None


def _photos_in(folder: Path, suffixes: Collection[str]) -> tuple[Path, ...]:
    """Return the photos of a folder and the folders in it, in the order of their paths."""

    def refuse(error: OSError) -> None:
        raise UsageError(
            f"{error.filename}: this folder of photos cannot be read ({error.strerror})"
        ) from error

    return tuple(
        sorted(
            path
            for where, _, files in os.walk(folder, onerror=refuse)
            for path in (Path(where, file) for file in files)
            if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
        )
    )
