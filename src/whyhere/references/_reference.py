"""One concept's reference, and the conditions it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from whyhere.geo._countries import checked_positions
from whyhere.references._countries import country_sets, in_continents, in_set
from whyhere.references._layers import LAYERS, SOURCES, Floats, koppen_classes

Directness = Literal["direct", "proxy"]


@dataclass(frozen=True, slots=True)
class Condition:
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
    def sources(self) -> tuple[str, ...]:
        """Keys of the sources."""
        if self.layer:
            return (LAYERS[self.layer].source,)
        return ("koppen",) if self.koppen else ("continents",) if self.continents else ("countries",)


@dataclass(frozen=True, slots=True)
class Reference:
    """What on open maps would show that a concept is at a place.

    Attributes:
        concept_id: The concept, by its id in the bank.
        name: What is looked at, such as "share of forest".
        kind: "binary" for what holds or not, "continuous" for numbers.
        directness: "direct" where the map measures what the concept's definition says, "proxy" where it
            only says in which lands to expect it.
        unit: Unit of the values, "" where binary.
        threshold: Where the concept is taken to be there: from here on, or up to here. Fixed by convention
            before any score was looked at.
        higher_means_more: Whether more of the number means more of the concept; false for a distance.
        source: Where the data come from.
        licence: Their licences.
        note: Why this and what its limits are; may be empty.
    """

    concept_id: str
    name: str
    kind: Literal["binary", "continuous"]
    directness: Directness
    unit: str
    threshold: float
    higher_means_more: bool
    source: str
    licence: str
    note: str
    _conditions: tuple[Condition, ...] = field(repr=False)

    @staticmethod
    def of(
        concept_id: str,
        name: str,
        directness: Directness,
        conditions: tuple[Condition, ...],
        *,
        note: str = "",
    ) -> Reference:
        """Make a reference; the rest follows from the conditions, all of which must hold."""
        first = conditions[0]
        continuous = len(conditions) == 1 and bool(first.layer)
        falling = continuous and first.at_most is not None
        threshold = first.at_most if falling else first.at_least
        keys = dict.fromkeys(key for condition in conditions for key in condition.sources)
        sets = [
            country_sets()[c.countries or c.outside].source for c in conditions if c.countries or c.outside
        ]
        sources = [SOURCES[key][0] for key in keys]
        return Reference(
            concept_id=concept_id,
            name=name,
            kind="continuous" if continuous else "binary",
            directness=directness,
            unit=LAYERS[first.layer].unit if continuous else "",
            threshold=float(threshold) if continuous and threshold is not None else 0.5,
            higher_means_more=not falling,
            source="; ".join([*sources, *dict.fromkeys(sets)]),
            licence="; ".join(dict.fromkeys(SOURCES[key][1] for key in keys)),
            note=note,
            _conditions=conditions,
        )

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
            return self._conditions[0].number(lats, lons)
        each = [condition.holds(condition.number(lats, lons)) for condition in self._conditions]
        value: Floats = np.min(each, axis=0)  # NaN wins over 0 and 1
        return value

    def present(self, values: Floats) -> Floats:
        """Tell from values, or means of them, where the concept is taken to be: 1, 0, NaN; shape (n,)."""
        if self.kind == "continuous":
            return self._conditions[0].holds(values)
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

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the data, for JSON."""
        return {
            "concept_id": self.concept_id,
            "name": self.name,
            "described": self.described,
            "kind": self.kind,
            "directness": self.directness,
            "unit": self.unit,
            "threshold": self.threshold,
            "higher_means_more": self.higher_means_more,
            "source": self.source,
            "licence": self.licence,
            "note": self.note,
        }
