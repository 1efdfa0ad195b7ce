"""The bank of concepts: what whyhere can name, and the TOML files that say so.

The bank that ships is read strictly (`load_bank`): nothing about a concept is hidden in code, and every
mistake is reported with the file and, where there is one, the line. A bank of a user's own (`read_own_bank`)
may leave out all but names, and may be a folder of folders of example photos. Directions live in
`_directions`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from whyhere._io import plain
from whyhere._record import Record
from whyhere._text import name_key
from whyhere.concepts._vocabulary import DATA, word_key
from whyhere.errors import MissingFileError, UsageError

GROUPS = (
    "climate and weather", "landform", "water", "vegetation and crops", "animals", "settlement form",
    "architecture", "religion and monuments", "roads and driving", "vehicles and transport",
    "street furniture and utilities", "industry and land use", "trade and food", "dress and culture",
    "script and signs",
)  # fmt: skip
"""Every group a concept may belong to, in the order in which they are shown."""

OWN_GROUP = "your own"
OWN_FILE = "concepts.toml"
"""File of a photo folder that says more about its concepts."""

_TEACHERS = ("places365:", "sun:")
_REQUIRED = ("id", "name", "group", "definition", "prompts", "source")
_KEYS = (*_REQUIRED, "synonyms", "words", "teacher", "reference", "place_neutral")
_LISTS = ("prompts", "words", "synonyms", "teacher")


class Concept(Record, frozen=True):
    """One geographic concept.

    Attributes:
        id: Kebab-case name that never changes.
        name: Name for people.
        group: One of `GROUPS`; any in a bank of a user's own.
        definition: What counts as the concept, in one line.
        prompts: Phrases that a text tower turns into a direction, put into the templates of the bank.
        words: Known words whose text rows are averaged where no text tower is at hand.
        synonyms: Other names of the same thing; merged terms are recorded here.
        teacher: Classes of a scene classifier that show the same thing, such as "places365:beach".
        source: Where the term comes from.
        reference: Open data that could verify it on a map; "" where there is none.
        place_neutral: True where the thing is seen but says little about the place.
    """

    id: str
    name: str
    group: str
    definition: str
    prompts: tuple[str, ...]
    words: tuple[str, ...]
    synonyms: tuple[str, ...]
    teacher: tuple[str, ...]
    source: str
    reference: str
    place_neutral: bool


class ConceptBank(Record, frozen=True):
    """All concepts of one bank, in file order.

    Attributes:
        name: What the bank is called.
        concepts: The concepts; ids are unique.
        templates: Sentences with one "{}" each that a phrase is put into before a text tower reads it.
    """

    name: str
    concepts: tuple[Concept, ...]
    templates: tuple[str, ...]

    json_fields = ("name", "templates", "concepts")

    def __len__(self) -> int:
        return len(self.concepts)

    def __iter__(self) -> Iterator[Concept]:
        return iter(self.concepts)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids in file order."""
        return tuple(concept.id for concept in self.concepts)

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex, first 16 characters) of everything a direction depends on."""
        content = [[c.id, c.prompts, c.words, c.teacher, c.place_neutral] for c in self.concepts]
        text = json.dumps([content, self.templates], ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def find(self, name: str) -> Concept:
        """Return the concept that a user means by an id, a name or a synonym.

        Case, spaces, underscores and hyphens do not matter.

        Raises:
            UsageError: No concept is called so; the message names close ones.
        """
        wanted = name_key(name)
        for concept in self.concepts:
            if wanted in map(name_key, (concept.id, concept.name, *concept.synonyms)):
                return concept
        near = [i for i in self.ids if wanted and (wanted in name_key(i) or name_key(i) in wanted)]
        hint = f"; did you mean {', '.join(near[:5])}?" if near else ""
        raise UsageError(
            f"no concept is called {name!r} in the bank {self.name!r}{hint} (see `whyhere concepts list`)"
        )


class OwnBank(Record, frozen=True):
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


def load_bank(path: str | Path | None = None) -> ConceptBank:
    """Read a concept bank.

    Args:
        path: A bank file; None reads the bank that ships with whyhere.

    Returns:
        The bank, fully checked.

    Raises:
        MissingFileError: The file does not exist.
        UsageError: The file is no valid bank; the message names file and line.

    >>> len(load_bank()) >= 200
    True
    """
    return _read_bank(DATA / "concepts.toml" if path is None else Path(path))[0]


def read_own_bank(path: str | Path, *, photo_suffixes: Collection[str]) -> OwnBank:
    """Read a user's own bank; photos are listed, not opened.

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
    bank = ConceptBank(place.stem, (), load_bank().templates)
    photos: dict[str, tuple[Path, ...]] = {}
    if file.is_file():
        bank, folders = _read_bank(file, own=bank)
        photos = {key: _photos_in(folder, photo_suffixes) for key, folder in folders.items()}
    concepts = {concept.id: concept for concept in bank}
    spoken = frozenset(concepts)
    background: tuple[Path, ...] = ()
    inside = sorted(place.iterdir()) if place.is_dir() else []
    for folder in (path for path in inside if path.is_dir() and not path.name.startswith(".")):
        found = _photos_in(folder, photo_suffixes)
        if folder.name.startswith("_"):
            background += found
            continue
        key = word_key(folder.name)
        entry = next((c for c in concepts.values() if key in (word_key(c.id), word_key(c.name))), None)
        if not found and entry is None:
            continue  # a folder of something else
        name = re.sub(r"[\s_-]+", " ", folder.name)
        concept = entry or _concept({"name": name}, f"folder {folder}", own=True)
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
        bank=ConceptBank(bank.name, tuple(concepts.values()), bank.templates),
        photos={key: found for key, found in photos.items() if found},
        background=background,
        spoken=spoken,
    )


def _photos_in(folder: Path, suffixes: Collection[str]) -> tuple[Path, ...]:
    """Return the photos of a folder and the folders in it, in the order of their paths."""

    def refuse(error: OSError) -> None:
        raise UsageError(
            f"{error.filename}: this folder of photos cannot be read ({error.strerror})"
        ) from error

    paths = (Path(where, name) for where, _, names in os.walk(folder, onerror=refuse) for name in names)
    return tuple(
        sorted(
            path
            for path in paths
            if path.suffix.lower() in suffixes and path.is_file() and not path.name.startswith(".")
        )
    )


def _read_bank(file: Path, *, own: ConceptBank | None = None) -> tuple[ConceptBank, dict[str, Path]]:
    """Read a bank file, and the folders of photos it names; `own` has the defaults of a user's own bank."""
    text, table = _read_toml(file, assumed=None if own is None else 1)
    entries = _entries(text, table, file)
    if unknown := sorted(table.keys() - {"format", "name", "templates", "concept"}):
        raise UsageError(f"{file}: unknown key {unknown[0]!r} at the top of the file")
    templates = ("{}",) if own is None else own.templates
    if "templates" in table:
        templates = _templates(table["templates"], file)
    name = file.stem if own is None else own.name
    if "name" in table:
        _check_text(table, "name", str(file))
        name = table["name"]
    concepts: dict[str, Concept] = {}
    folders: dict[str, Path] = {}
    places: dict[str, str] = {}
    for entry, where in entries:
        concept = _concept(entry, where, own=own is not None)
        if concept.id in concepts:
            raise UsageError(f"{where}: id {concept.id!r} is already used in {places[concept.id]}")
        concepts[concept.id], places[concept.id] = concept, where
        if "photos" in entry:
            _check_text(entry, "photos", where)
            folders[concept.id] = folder = file.parent / Path(entry["photos"]).expanduser()
            if not folder.is_dir():
                raise MissingFileError(f"{where}: no folder of photos at {folder}")
    return ConceptBank(name, tuple(concepts.values()), templates), folders


def _concept(entry: dict[str, Any], where: str, *, own: bool) -> Concept:
    """Check one table of a file; in a user's own bank everything but a name or an id may be missing."""
    known = (*_KEYS, "photos") if own else _KEYS
    if unknown := sorted(entry.keys() - set(known)):
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(known)}")
    if own:
        if not entry.keys() & {"id", "name"}:
            raise UsageError(f"{where}: a concept needs a name or an id")
        entry = {"name": str(entry.get("id")).replace("-", " "), **entry}
    elif missing := [key for key in _REQUIRED if key not in entry]:
        raise UsageError(f"{where}: {missing[0]!r} is missing")
    for key in ("id", "name", "group", "definition", "source", "reference"):
        if key in entry:
            _check_text(entry, key, where)
    lists = {key: _strings(entry.get(key, []), f"{where}: {key}") for key in _LISTS}
    if not isinstance(entry.get("place_neutral", False), bool):
        raise UsageError(f"{where}: place_neutral must be true or false")
    if own:
        identity = "-".join(word_key(entry.get("id", entry["name"])).split())
        if not identity:
            raise UsageError(f"{where}: {entry['name']!r} has no letter or figure to make an id of")
        if not re.fullmatch(r"[\w-]+", entry.setdefault("id", identity)):
            raise UsageError(f"{where}: id {entry['id']!r} must be one word, such as 'rice-paddy'")
        lists["prompts"] = lists["prompts"] or (entry["name"],)
    else:
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry["id"]):
            raise UsageError(f"{where}: id {entry['id']!r} must be kebab-case, such as 'rice-paddy'")
        if entry["group"] not in GROUPS:
            raise UsageError(f"{where}: unknown group {entry['group']!r}; known: {', '.join(GROUPS)}")
        if not lists["prompts"]:
            raise UsageError(f"{where}: prompts must hold at least one phrase")
        for name in lists["teacher"]:
            if not name.startswith(_TEACHERS):
                raise UsageError(f"{where}: teacher {name!r} must start with one of {', '.join(_TEACHERS)}")
    return Concept(
        id=entry["id"],
        name=entry["name"],
        group=entry.get("group", OWN_GROUP),
        definition=entry.get("definition", ""),
        source=entry.get("source", "a user's own bank"),
        reference=entry.get("reference", ""),
        place_neutral=entry.get("place_neutral", False),
        **lists,
    )


def _read_toml(file: Path, *, assumed: int | None = None) -> tuple[str, dict[str, Any]]:
    """Return the text of a TOML file and its content, checking the format number, or `assumed` for none."""
    try:
        text = plain(file).read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError) as error:
        raise MissingFileError(f"no concept bank at {file}; give the path of a TOML file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read as UTF-8 text ({error})") from error
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: nested without end
        raise UsageError(f"{file}: not valid TOML: {error}") from error
    if table.get("format", assumed) != 1:
        raise UsageError(f"{file}: expected `format = 1` at the top, found {table.get('format')!r}")
    return text, table


def _entries(text: str, table: dict[str, Any], file: Path) -> list[tuple[dict[str, Any], str]]:
    """Return the tables of the concepts, each with the place it starts at in the file."""
    entries = table.get("concept")
    if not isinstance(entries, list) or not entries or not all(isinstance(e, dict) for e in entries):
        raise UsageError(f"{file}: expected one [[concept]] table or more")
    header = re.compile(r"\s*\[\[\s*[\"']?concept[\"']?\s*\]\]")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if header.match(line)]
    places = [f"{file}, line {line}" for line in lines]
    if len(lines) != len(entries):  # inline tables, or a header inside a text of several lines
        places = [f"{file}, concept {number}" for number in range(1, len(entries) + 1)]
    return list(zip(entries, places, strict=True))


def _check_text(entry: dict[str, Any], key: str, where: str) -> None:
    """Raise unless `entry[key]` is non-empty text on one line."""
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip() or "\n" in value:
        raise UsageError(f"{where}: {key} must be text on one line, found {value!r}")


def _templates(value: object, file: Path) -> tuple[str, ...]:
    """Return the sentences that phrases are put into; each has one place for them and no other brace."""
    templates = _strings(value, f"{file}: templates")
    if not templates:
        raise UsageError(f'{file}: templates must hold at least one sentence, such as "a photo of {{}}."')
    for template in templates:
        if template.count("{}") != 1:
            raise UsageError(f'{file}: template {template!r} must contain "{{}}" exactly once')
        if set("{}") & set(template.replace("{}", "")):
            raise UsageError(f'{file}: template {template!r} must have no brace but those of "{{}}"')
    return templates


def _strings(value: object, where: str) -> tuple[str, ...]:
    """Return a list of different, non-empty texts as a tuple."""
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise UsageError(f"{where} must be a list of non-empty texts")
    if len(set(value)) != len(value):
        raise UsageError(f"{where} holds the same text twice")
    return tuple(value)
