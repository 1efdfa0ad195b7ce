"""How a release turns scores into answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from whyhere.errors import MissingFileError


@dataclass(frozen=True, slots=True)
class RankingConfig:
    """The `ranking` section of a release's `config.json`.

    Attributes:
        temperature: Divides scores before the softmax; fitted by cross-validation.
        cell_resolution: H3 resolution of the probability surface.
        radius_km: Default merging radius.
        abstain_below: No place stands out where the best answer is less probable than this.
        background: Probability that the photo tells nothing, spread by area; fitted by cross-validation.
        added_weight: How much a square kilometre weighs, before the photo is looked at, of cells that hold
            only points added to cover the land: photos are rare there. 1 weighs all land alike; fitted by
            cross-validation.
    """

    temperature: float
    cell_resolution: int
    radius_km: float
    abstain_below: float
    background: float = 0.0
    added_weight: float = 1.0

    @classmethod
    def from_dict(cls, section: Mapping[str, Any], *, where: str) -> RankingConfig:
        """Read the section.

        Args:
            section: The section.
            where: File it stands in, for messages.

        Raises:
            MissingFileError: A value is missing, unknown, not a number or out of range.
        """
        names = {field.name for field in fields(cls)}
        odd = sorted((section.keys() ^ names) - ({"background", "added_weight"} - section.keys()))
        if odd:
            raise MissingFileError(f"{where}: in `ranking`, {', '.join(odd)} is missing or unknown")
        for name, value in section.items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
            if not number or value < 0:
                raise MissingFileError(
                    f"{where}: ranking.{name} must be a number of at least 0, not {value!r}"
                )
        config = cls(**section)
        if not (config.temperature > 0 and config.radius_km > 0 and config.cell_resolution in range(8)):
            raise MissingFileError(
                f"{where}: ranking needs temperature and radius_km above 0 "
                "and a whole cell_resolution of 0 to 7"
            )
        if not 0 < config.added_weight <= 1:
            raise MissingFileError(f"{where}: ranking.added_weight must lie above 0 and be at most 1")
        if config.background >= 1:
            raise MissingFileError(f"{where}: ranking.background is a probability below 1")
        return config
