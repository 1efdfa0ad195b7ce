"""A made-up explanation with round numbers, so that golden files stay put."""

from __future__ import annotations

import numpy as np
from msgspec.structs import replace
from PIL import Image

from whyhere.alignment import Contributions
from whyhere.concepts import ConceptLabel
from whyhere.explain import answer_of, contrast
from whyhere.geo import PlaceName, great_circle_km
from whyhere.prediction import Answer, Change, Explanation, Intervention, Prediction, RegionPicture

LABELS = tuple(
    ConceptLabel(f"{group}-{number}", f"{name} {number}", group, "A test.", "text")
    for group, name, count in (
        ("landform", "volcanic peak", 4),
        ("vegetation and crops", "palm tree", 5),
        ("water", "open ocean", 2),
        ("script and signs", "sign", 2),
    )
    for number in range(1, count + 1)
)
# Multiples of 1/1024: sums are exact in every order.
HERE = np.array([84, 12, 3, -20, 61, 40, 8, 4, -5, 30, -44, 0, 0], np.float32) / 1024
THERE = np.array([10, 30, -3, 5, 70, -16, 8, 2, 0, 44, -12, 0, 0], np.float32) / 1024
CHANGED = np.array([0, 12, 3, -20, 61, 40, 8, 4, -5, 30, -44, 0, 0], np.float32) / 1024
STRENGTH = np.array([1, 0.5, 0.25, 0.25, 0.75, -0.5, 0.5, 0.25, 0.125, 0.5, -0.375, 0, 0])


def parts(values: np.ndarray, remainder: float, **about: object) -> Answer:
    """Return the parts of a place from its summands."""
    sums = Contributions(values[None], np.array([remainder], np.float32))
    return answer_of(sums, 0, LABELS, STRENGTH, **{"rank": None, **about})


def explanation_of(prediction: Prediction, *, with_regions: bool = False) -> Explanation:
    """Explain the first answer of a prediction, against Suva, and without volcanic peaks."""
    best, second = prediction.answers[:2]
    about = {"lat": best.lat, "lon": best.lon, "place": best.place, "radius_km": best.radius_km}
    here = parts(HERE, 0.125, **about, probability=best.probability, rank=1)
    there = parts(
        THERE, -0.0625, lat=-18.125, lon=178.4375, place=PlaceName("Suva", "Central", "Fiji", "FJ"),
        radius_km=200.0, probability=0.0004, how="nearest", asked="Suva, Central, Fiji", asked_km=3.25,
    )  # fmt: skip
    moved = (
        replace(second, rank=1, probability=0.19),
        replace(best, rank=2, probability=0.08),
        *prediction.answers[2:],
    )
    intervention = Intervention(
        changes=(Change("landform-1", "volcanic peak 1", "landform", 1.0, 0.0),),
        untouched=("sign 1",),
        only=(),
        remainder_removed=False,
        after=replace(prediction, answers=moved, surface=prediction.surface[::2]),
        here=parts(CHANGED, 0.125, **about, probability=0.08, rank=2),
        shift_km=float(great_circle_km(best.lat, best.lon, second.lat, second.lon).round(3)),
        radius_km=best.radius_km,
        probability_before=0.214,
        probability_after=0.08,
        total_variation=0.1875,
    )
    regions = ()
    if with_regions:
        regions = (RegionPicture("landform-1", png(), "brighter where it raises the concept"),)
    return Explanation(prediction, here, contrast(here, there), intervention, regions=regions)


def png() -> bytes:
    """Return a small picture."""
    import io

    buffer = io.BytesIO()
    Image.new("RGB", (48, 32), (180, 90, 40)).save(buffer, "PNG")
    return buffer.getvalue()
