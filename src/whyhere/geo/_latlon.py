"""A position on Earth. The order, latitude then longitude, is fixed here and nowhere else."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LatLon:
    """A WGS84 position in degrees.

    Attributes:
        lat: Latitude, -90 to 90.
        lon: Longitude, wrapped into [-180, 180).

    Raises:
        ValueError: A coordinate is not finite, or the latitude lies outside -90 to 90.

    Example:
        >>> LatLon(-17.8, 180.5)
        LatLon(lat=-17.8, lon=-179.5)
    """

    lat: float
    lon: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.lat) and math.isfinite(self.lon)):
            raise ValueError(f"latitude {self.lat} and longitude {self.lon} must be finite numbers")
        if not -90.0 <= self.lat <= 90.0:
            raise ValueError(
                f"latitude {self.lat} lies outside -90 to 90 degrees; are latitude and longitude swapped?"
            )
        if not -180.0 <= self.lon < 180.0:
            object.__setattr__(self, "lon", (self.lon + 180.0) % 360.0 - 180.0)

    def to_dict(self) -> dict[str, float]:
        """Return `{"lat": ..., "lon": ...}`."""
        return {"lat": self.lat, "lon": self.lon}
