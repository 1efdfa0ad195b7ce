"""What a release calls its concepts: the `concepts.json` beside its weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from whyhere._io import plain
from whyhere.errors import MissingFileError

EVIDENCE = ("confirmed", "undecided", "contradicted", "untested")
"""Open maps agree in both intervention and map; not clearly; they disagree; there is no open map."""


@dataclass(frozen=True, slots=True)
class ConceptLabel:
    """Name of one concept of a release.

    Attributes:
        id: Id, unique in the release.
        name: Name for people.
        group: Group, such as "landform".
        definition: One line: what the concept means.
        source: Where its direction comes from: "text", "bridged", "activation", "combined"...
        evidence: What the faithfulness scorecard says of it: one of `EVIDENCE`, or "" where nobody asked.
    """

    id: str
    name: str
    group: str
    definition: str
    source: str
    evidence: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the fields as a plain dictionary."""
        return asdict(self)


def read_labels(path: Path) -> tuple[ConceptLabel, ...]:
    """Read the `concepts.json` of a release.

    Args:
        path: The file: a JSON array of objects with the fields of `ConceptLabel`.

    Raises:
        MissingFileError: The file is missing or not such an array, or an id occurs twice.
    """
    names = {field.name for field in fields(ConceptLabel)}
    try:
        entries = json.loads(plain(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MissingFileError(f"{path}: cannot read the concepts of the release ({error})") from error
    if not isinstance(entries, list):
        raise MissingFileError(f"{path}: must hold a JSON array of concepts")
    for row, entry in enumerate(entries):
        if not (
            isinstance(entry, dict)
            and entry.keys() | {"evidence"} == names
            and all(isinstance(v, str) for v in entry.values())
            and entry.get("evidence", "") in ("", *EVIDENCE)
        ):
            raise MissingFileError(
                f"{path}: concept {row + 1} must have exactly the texts {', '.join(sorted(names))}; evidence "
                f"may be left out or is one of {', '.join(EVIDENCE)}"
            )
    labels = tuple(ConceptLabel(**entry) for entry in entries)
    if len({label.id for label in labels}) != len(labels):
        raise MissingFileError(f"{path}: a concept id occurs twice")
    return labels
