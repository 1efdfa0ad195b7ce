"""What a place is called."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class PlaceName:
    """Name of a place, from GeoNames.

    Attributes:
        name: Town or city, or words such as "Open sea, 320 km from Suva".
        admin1: First-level administrative unit (state, province, region), or None.
        country: English country name, or None on the open sea.
        country_code: ISO 3166-1 alpha-2 code, or None on the open sea.
        distance_km: How far the position lies from the town or city, or None where the name says it or there
            is none.
    """

    name: str
    admin1: str | None
    country: str | None
    country_code: str | None
    distance_km: float | None = None

    def to_dict(self) -> dict[str, str | float | None]:
        """Return the fields as a plain dictionary."""
        return asdict(self)

    def __str__(self) -> str:
        return ", ".join(dict.fromkeys(part for part in (self.name, self.admin1, self.country) if part))
