"""Read a concept bank from its TOML file, strictly.

The file is the source: nothing about a concept is hidden in code. Every mistake in it is reported with the
file and, where there is one, the line.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from whyhere._io import plain
from whyhere.concepts._bank import GROUPS, Concept, ConceptBank, RemovedTerm
from whyhere.errors import MissingFileError, UsageError

DATA = Path(__file__).parent / "data"

_TEACHERS = ("places365:", "sun:")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_REQUIRED = ("id", "name", "group", "definition", "prompts", "source")
_OPTIONAL = ("synonyms", "words", "teacher", "reference", "place_neutral")


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
    file = DATA / "concepts.toml" if path is None else Path(path)
    text, table = _read_toml(file)
    entries = _entries(table, "concept", file)
    unknown = set(table) - {"format", "name", "templates", "concept"}
    if unknown:
        raise UsageError(f"{file}: unknown key {sorted(unknown)[0]!r} at the top of the file")
    templates = _templates(table.get("templates", ["{}"]), file)
    name = table.get("name", file.stem)
    if not isinstance(name, str) or not name:
        raise UsageError(f"{file}: name must be text")
    concepts: list[Concept] = []
    seen: dict[str, str] = {}
    for entry, where in zip(entries, _places(text, "concept", len(entries), file), strict=True):
        concept = _concept(entry, where)
        if concept.id in seen:
            raise UsageError(f"{where}: id {concept.id!r} is already used in {seen[concept.id]}")
        seen[concept.id] = where
        concepts.append(concept)
    return ConceptBank(name=name, concepts=tuple(concepts), templates=templates)


def load_removed(path: str | Path | None = None) -> tuple[RemovedTerm, ...]:
    """Read the terms that were considered and left out.

    Args:
        path: A file of removed terms; None reads the one that ships with whyhere.

    Raises:
        MissingFileError: The file does not exist.
        UsageError: The file is not valid; the message names file and line.
    """
    file = DATA / "removed.toml" if path is None else Path(path)
    text, table = _read_toml(file)
    terms = []
    entries = _entries(table, "removed", file)
    for entry, where in zip(entries, _places(text, "removed", len(entries), file), strict=True):
        for key in ("id", "name", "reason"):
            _text(entry, key, where)
        terms.append(RemovedTerm(entry["id"], entry["name"], entry["reason"]))
    return tuple(terms)


def _concept(entry: dict[str, Any], where: str) -> Concept:
    """Check one table of the file and turn it into a concept."""
    unknown = set(entry) - set(_REQUIRED) - set(_OPTIONAL)
    if unknown:
        raise UsageError(
            f"{where}: unknown key {sorted(unknown)[0]!r}; known: {', '.join(_REQUIRED + _OPTIONAL)}"
        )
    missing = [key for key in _REQUIRED if key not in entry]
    if missing:
        raise UsageError(f"{where}: {missing[0]!r} is missing")
    for key in ("id", "name", "group", "definition", "source"):
        _text(entry, key, where)
    if not _ID.fullmatch(entry["id"]):
        raise UsageError(f"{where}: id {entry['id']!r} must be kebab-case, such as 'rice-paddy'")
    if entry["group"] not in GROUPS:
        raise UsageError(f"{where}: unknown group {entry['group']!r}; known: {', '.join(GROUPS)}")
    prompts = _strings(entry["prompts"], f"{where}: prompts")
    if not prompts:
        raise UsageError(f"{where}: prompts must hold at least one phrase")
    teacher = _strings(entry.get("teacher", []), f"{where}: teacher")
    for name in teacher:
        if not name.startswith(_TEACHERS):
            raise UsageError(f"{where}: teacher {name!r} must start with one of {', '.join(_TEACHERS)}")
    if not isinstance(entry.get("reference", ""), str):
        raise UsageError(f"{where}: reference must be text")
    if not isinstance(entry.get("place_neutral", False), bool):
        raise UsageError(f"{where}: place_neutral must be true or false")
    return Concept(
        id=entry["id"],
        name=entry["name"],
        group=entry["group"],
        definition=entry["definition"],
        prompts=prompts,
        words=_strings(entry.get("words", []), f"{where}: words"),
        synonyms=_strings(entry.get("synonyms", []), f"{where}: synonyms"),
        teacher=teacher,
        source=entry["source"],
        reference=entry.get("reference", ""),
        place_neutral=entry.get("place_neutral", False),
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


def _entries(table: dict[str, Any], key: str, file: Path) -> list[dict[str, Any]]:
    """Return the array of tables under `key`."""
    entries = table.get(key)
    if not isinstance(entries, list) or not entries or not all(isinstance(e, dict) for e in entries):
        raise UsageError(f"{file}: expected one [[{key}]] table or more")
    return entries


def _places(text: str, key: str, count: int, file: Path) -> list[str]:
    """Say where each of `count` tables `[[key]]` starts: by line, or by number where lines are unclear."""
    header = re.compile(rf"\s*\[\[\s*[\"']?{key}[\"']?\s*\]\]")
    lines = [number for number, line in enumerate(text.splitlines(), 1) if header.match(line)]
    if len(lines) != count:  # inline tables, or a header inside a text of several lines
        return [f"{file}, {key} {number}" for number in range(1, count + 1)]
    return [f"{file}, line {line}" for line in lines]


def _text(entry: dict[str, Any], key: str, where: str) -> None:
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
