"""The concept bank: records of what whyhere can name.

The bank knows names and descriptions only; its file is read in `_read_bank`, directions live in
`_directions`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from whyhere._text import name_key
from whyhere.errors import UsageError

GROUPS = (
    "climate and weather",
    "landform",
    "water",
    "vegetation and crops",
    "animals",
    "settlement form",
    "architecture",
    "religion and monuments",
    "roads and driving",
    "vehicles and transport",
    "street furniture and utilities",
    "industry and land use",
    "trade and food",
    "dress and culture",
    "script and signs",
)
"""Every group a concept may belong to, in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Concept:
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

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return {
            "id": self.id,
            "name": self.name,
            "group": self.group,
            "definition": self.definition,
            "prompts": list(self.prompts),
            "words": list(self.words),
            "synonyms": list(self.synonyms),
            "teacher": list(self.teacher),
            "source": self.source,
            "reference": self.reference,
            "place_neutral": self.place_neutral,
        }


@dataclass(frozen=True, slots=True)
class RemovedTerm:
    """A term that was considered for the bank and left out.

    Attributes:
        id: Kebab-case name.
        name: Name for people.
        reason: Why it is not a concept of the bank.
    """

    id: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ConceptBank:
    """All concepts of one bank, in file order.

    Attributes:
        name: What the bank is called.
        concepts: The concepts; ids are unique.
        templates: Sentences with one "{}" each that a phrase is put into before a text tower reads it.
    """

    name: str
    concepts: tuple[Concept, ...]
    templates: tuple[str, ...]

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

    def to_dict(self) -> dict[str, Any]:
        """Return the bank as plain values."""
        return {
            "name": self.name,
            "templates": list(self.templates),
            "concepts": [concept.to_dict() for concept in self.concepts],
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> ConceptBank:
        """Make a bank from what `to_dict` gave.

        Raises:
            KeyError: Something is missing.
            TypeError: Something is of another kind.
        """
        concepts = []
        for entry in content["concepts"]:
            lists = {key: tuple(entry[key]) for key in ("prompts", "words", "synonyms", "teacher")}
            concepts.append(Concept(**{**entry, **lists}))
        return cls(content["name"], tuple(concepts), tuple(content["templates"]))

    def find(self, name: str) -> Concept:
        """Return the concept that a user means by an id, a name or a synonym.

        Case, spaces, underscores and hyphens do not matter.

        Raises:
            UsageError: No concept is called so; the message names close ones.
        """
        wanted = name_key(name)
        for concept in self.concepts:
            if wanted in {name_key(known) for known in (concept.id, concept.name, *concept.synonyms)}:
                return concept
        near = [
            c.id for c in self.concepts if wanted and (wanted in name_key(c.id) or name_key(c.id) in wanted)
        ]
        hint = f"; did you mean {', '.join(near[:5])}?" if near else ""
        raise UsageError(
            f"no concept is called {name!r} in the bank {self.name!r}{hint} (see `whyhere concepts list`)"
        )
