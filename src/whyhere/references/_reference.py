"""Which open data would show a concept, and how it is looked up: `references.toml` read into objects."""

from __future__ import annotations

from functools import cache
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import ArrayLike

from whyhere._record import Record
from whyhere.geo import checked_positions
from whyhere.references._layers import (
    LAYERS,
    SOURCES,
    Floats,
    country_sets,
    document,
    in_continents,
    in_set,
    koppen_classes,
)

Directness = Literal["direct", "proxy"]
Kind = Literal["binary", "continuous"]


class Condition(Record, frozen=True):
    """Something that holds at a place or does not. One of the first five is given.

    Attributes:
        layer: Name of a layer, with one of the two thresholds.
        koppen: Beginnings of Koeppen-Geiger classes.
        countries: Name of a set of countries.
        outside: Name of a set of countries that must not hold the place.
        continents: Names of continents.
        at_least: The layer's value from which the condition holds.
        at_most: The layer's value up to which the condition holds.
    """

    layer: str = ""
    koppen: tuple[str, ...] = ()
    countries: str = ""
    outside: str = ""
    continents: tuple[str, ...] = ()
    at_least: float | None = None
    at_most: float | None = None

    def number(self, lat: Floats, lon: Floats) -> Floats:
        """Return the layer's values, or 1 and 0 where there is no layer; NaN where unknown."""
        if self.layer:
            return LAYERS[self.layer].values(lat, lon)
        if self.koppen:
            classes = koppen_classes(lat, lon)
            begins = np.any([np.char.startswith(classes, letters) for letters in self.koppen], axis=0)
            return np.where(classes == "", np.nan, begins.astype(np.float64))
        if self.continents:
            return in_continents(self.continents, lat, lon)
        inside = in_set(self.countries or self.outside, lat, lon)
        return inside if self.countries else 1.0 - inside

    def holds(self, number: Floats) -> Floats:
        """Turn `number` into 1 and 0, NaN kept."""
        yes = number <= self.at_most if self.at_most is not None else number >= (self.at_least or 0.5)
        return np.where(np.isnan(number), np.nan, yes.astype(np.float64))

    @property
    def source(self) -> str:
        """Key of its source in `SOURCES`."""
        if self.layer:
            return LAYERS[self.layer].source
        return "koppen" if self.koppen else "continents" if self.continents else "countries"


class Reference(Record, frozen=True):
    """What on open maps would show that a concept is at a place.

    Attributes:
        concept_id: The concept, by its id in the bank.
        name: What is looked at, such as "share of forest".
        directness: "direct" where the map measures what the concept's definition says, "proxy" where it
            only says in which lands to expect it.
        conditions: What must hold, all of it; a single layer gives numbers instead of yes and no.
        note: Why this and what its limits are; may be empty.
    """

    concept_id: str
    name: str
    directness: Directness
    conditions: tuple[Condition, ...]
    note: str = ""

    json_fields = (
        "concept_id", "name", "described", "kind", "directness", "unit", "threshold", "higher_means_more",
        "source", "licence", "note",
    )  # fmt: skip

    @property
    def kind(self) -> Kind:
        """Either "binary" for what holds or not, or "continuous" for numbers."""
        return "continuous" if len(self.conditions) == 1 and self.conditions[0].layer else "binary"

    @property
    def unit(self) -> str:
        """Unit of the values, "" where binary."""
        return LAYERS[self.conditions[0].layer].unit if self.kind == "continuous" else ""

    @property
    def higher_means_more(self) -> bool:
        """Whether more of the number means more of the concept; false for a distance."""
        return self.kind == "binary" or self.conditions[0].at_most is None

    @property
    def threshold(self) -> float:
        """From here on, or up to here, the concept is taken to be there: fixed before any score was seen."""
        first = self.conditions[0]
        bound = first.at_least if self.higher_means_more else first.at_most
        return float(bound) if self.kind == "continuous" and bound is not None else 0.5

    @property
    def source(self) -> str:
        """Where the data come from."""
        sets = [country_sets()[key].source for c in self.conditions if (key := c.countries or c.outside)]
        return "; ".join([*(SOURCES[key][0] for key in self._sources), *dict.fromkeys(sets)])

    @property
    def licence(self) -> str:
        """Their licences."""
        return "; ".join(dict.fromkeys(SOURCES[key][1] for key in self._sources))

    @property
    def _sources(self) -> dict[str, None]:
        return dict.fromkeys(condition.source for condition in self.conditions)

    def values(self, lat: ArrayLike, lon: ArrayLike) -> Floats:
        """Look positions up.

        Args:
            lat: Latitudes in degrees, shape (n,).
            lon: Longitudes in degrees, shape (n,).

        Returns:
            Numbers in `unit`, or 1 and 0 where binary; NaN where nothing is known, as on the open sea.
            float64, shape (n,).

        Raises:
            ValueError: A position is not finite or no latitude.
        """
        lats, lons = checked_positions(lat, lon)
        if self.kind == "continuous":
            return self.conditions[0].number(lats, lons)
        each = [condition.holds(condition.number(lats, lons)) for condition in self.conditions]
        value: Floats = np.min(each, axis=0)  # NaN wins over 0 and 1
        return value

    def present(self, values: Floats) -> Floats:
        """Tell from values, or means of them, where the concept is taken to be: 1, 0, NaN; shape (n,)."""
        if self.kind == "continuous":
            return self.conditions[0].holds(values)
        return np.where(np.isnan(values), np.nan, (values >= self.threshold).astype(np.float64))

    @property
    def described(self) -> str:
        """What is looked at and from where on it counts, such as "share of forest, at least 50 %"."""
        if self.kind == "binary":
            return self.name
        bound = "at least" if self.higher_means_more else "at most"
        if self.unit == "share":
            return f"{self.name}, {bound} {100 * self.threshold:.0f} %"
        if self.unit == "people":
            return f"{self.name}, {bound} {self.threshold:,.0f}"
        return f"{self.name}, {bound} {self.threshold:,.0f} {self.unit.replace('km2', 'km²')}"


@cache
def _by_concept() -> dict[str, Reference]:
    return {
        row["concept"]: Reference(
            concept_id=row["concept"],
            name=row["name"],
            directness=row["directness"],
            conditions=msgspec.convert(row.get("all", [row]), tuple[Condition, ...]),
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
