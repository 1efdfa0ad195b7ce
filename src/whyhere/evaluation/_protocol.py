"""A protocol: which photos a head is asked about, and what it must not have seen of them. Read from TOML."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from whyhere._io import plain
from whyhere.errors import MissingFileError, UsageError

SPLITS = ("new-places", "known-places", "photos")


@dataclass(frozen=True, slots=True)
class Protocol:
    """How photos are held out; `docs/evaluate.md` has the reasons for the defaults.

    Attributes:
        name: Name of the protocol.
        split: "new-places": nothing within `cluster_km` of a photo is learned from. "known-places": only
            photos are asked about whose place has another, independent photo within `known_km`, which is
            learned from. "photos": single photos, wherever they are.
        folds: Number of folds; 0 leaves one out at a time.
        cluster_km: Photos closer than this share a cluster, by single linkage.
        known_km: How near another photo must be for a place to be known.
        duplicate_cosine: Photos whose features are at least so similar are near-duplicates, which are never
            on both sides.
        kinds: Kinds of photos that are asked about; all by default.
        default_kind: Kind of photos whose table has no such column.
        street_kinds: Kinds that are street level, and reported apart.
        seed: Seed of the folds.
    """

    name: str = ""
    split: str = "new-places"
    folds: int = 8
    cluster_km: float = 50.0
    known_km: float = 25.0
    duplicate_cosine: float = 0.95
    kinds: tuple[str, ...] = ()
    default_kind: str = "street"
    street_kinds: tuple[str, ...] = field(default=("street",))
    seed: int = 0

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise UsageError(f"split must be one of {', '.join(SPLITS)}, not {self.split!r}")
        if self.folds < 0 or self.folds == 1:
            raise UsageError(f"folds must be 2 or more, or 0 to leave one out at a time, not {self.folds}")
        for name in ("cluster_km", "known_km"):
            if not 0 < getattr(self, name) <= 20_000:
                raise UsageError(f"{name} must lie between 0 and 20000 km, not {getattr(self, name)}")
        if not 0 < self.duplicate_cosine <= 1:
            raise UsageError(f"duplicate_cosine must lie between 0 and 1, not {self.duplicate_cosine}")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return asdict(self)


def read_protocol(path: str | Path) -> Protocol:
    """Read a TOML file of flat `key = value` lines.

    Args:
        path: The file, or the name of a shipped protocol: "new-places", "known-places", "street-level".

    Raises:
        MissingFileError: There is no such file or shipped protocol.
        UsageError: It is not TOML, or a key is unknown, of the wrong type or out of range.
    """
    shipped = shipped_protocols()
    try:
        text = shipped[str(path)] if str(path) in shipped else plain(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MissingFileError(
            f"{path}: no such protocol ({error}); shipped ones: {', '.join(shipped)}"
        ) from error
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # RecursionError: nested without end
        raise UsageError(f"{path}: not TOML: {error}") from error
    known = {entry.name: entry.type for entry in fields(Protocol)}
    unknown = sorted(values.keys() - known.keys())
    if unknown:
        raise UsageError(f"{path}: unknown {', '.join(unknown)}; known: {', '.join(known)}")
    for name, value in values.items():
        wanted = str(known[name])
        if wanted == "float" and type(value) is int:
            values[name] = float(value)
        elif (
            wanted.startswith("tuple") and isinstance(value, list) and all(isinstance(v, str) for v in value)
        ):
            values[name] = tuple(value)
        elif type(value).__name__ != wanted:
            kind = "a list of texts" if wanted.startswith("tuple") else f"of type {wanted}"
            raise UsageError(f"{path}: {name} must be {kind}, not {type(value).__name__}")
    try:
        return Protocol(**{"name": Path(path).stem, **values})
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def shipped_protocols() -> dict[str, str]:
    """Return name and text of every protocol that comes with whyhere."""
    folder = resources.files("whyhere.evaluation") / "protocols"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    return {file.name.removesuffix(".toml"): file.read_text(encoding="utf-8") for file in files}
