"""Reads the references of the bank's concepts, once."""

from __future__ import annotations

from functools import cache
from typing import Any

from whyhere.references._packed import document
from whyhere.references._reference import Condition, Reference


def _condition(table: dict[str, Any]) -> Condition:
    return Condition(
        layer=table.get("layer", ""),
        koppen=tuple(table.get("koppen", ())),
        countries=table.get("countries", ""),
        outside=table.get("outside", ""),
        continents=tuple(table.get("continents", ())),
        at_least=table.get("at_least"),
        at_most=table.get("at_most"),
    )


@cache
def _by_concept() -> dict[str, Reference]:
    return {
        row["concept"]: Reference.of(
            row["concept"],
            row["name"],
            row["directness"],
            tuple(_condition(table) for table in row.get("all", [row])),
            note=row.get("note", ""),
        )
        for row in document("references.toml")["reference"]
    }


def references() -> tuple[Reference, ...]:
    """Return the references of all concepts that have one, in the order of the bank."""
    return tuple(_by_concept().values())


def reference_for(concept_id: str) -> Reference | None:
    """Return the reference of a concept, None where it has none.

    Example:
        >>> reference_for("desert").name
        'Köppen class BW'
    """
    return _by_concept().get(concept_id)
