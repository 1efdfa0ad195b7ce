"""Made-up predictions for all report tests: ordinary, at the date line, at a pole, abstained, hostile."""

from __future__ import annotations

import io
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import h3
import numpy as np
import pytest
from PIL import Image, ImageDraw

from whyhere.geo import LatLon, PlaceName, great_circle_km
from whyhere.prediction import (
    Answer,
    Assumptions,
    ConceptContribution,
    CountryShare,
    HintWords,
    Prediction,
    ReleaseCard,
    SurfaceCell,
    UnitShare,
)

GOLDEN = Path(__file__).parent / "golden"
UPDATE_GOLDEN = "WHYHERE_UPDATE_GOLDEN"

HOSTILE_NAME = "=cmd|'/c calc'!A1\n\x1b[31m<script>alert(1)</script>\"'&]]>\u202egpj.exe\udcff\x00é"

CONCEPTS = {
    "landform": ("volcanic peaks", "sea cliff", "coral reef", "sand dunes", "canyon", "glacier", "plain"),
    "vegetation": (
        "palm trees",
        "rainforest",
        "conifer forest",
        "savanna",
        "heath",
        "vineyard",
        "rice field",
    ),
    "climate": ("tropical light", "snow on the ground", "dry haze", "overcast sky"),
    "built": ("wooden houses", "dense high-rises", "brick terraces", "red tile roofs", "thatched roofs"),
    "road": ("white centre line", "driving on the left", "unpaved road", "utility poles of wood"),
    "water": ("open ocean", "lagoon", "fjord", "river delta", "canal"),
}


def contributions(seed: int, *, scale: float = 0.05) -> tuple[ConceptContribution, ...]:
    """Return one contribution a concept, the largest first, rounded so that golden files stay put."""
    # `Random.random` promises the same numbers in every version; golden files rely on it.
    rng = random.Random(seed)
    items = [
        ConceptContribution(
            id=f"{group}.{name.replace(' ', '-')}",
            name=name,
            group=group,
            contribution=round(scale * (rng.random() + rng.random() - 0.94 + rng.random() ** 8), 6),
            strength=-0.5 if name in ("snow on the ground", "fjord") else 1.0,
            evidence="untested" if name in ("overcast sky", "fjord") else "confirmed",
        )
        for group, names in CONCEPTS.items()
        for name in names
    ]
    return tuple(sorted(items, key=lambda item: (-item.contribution, item.id)))


def answer(
    rank: int,
    lat: float,
    lon: float,
    place: PlaceName,
    *,
    probability: float,
    radius_km: float = 200.0,
    remainder: float = 0.118,
    seed: int | None = None,
) -> Answer:
    """Return an answer whose contributions and remainder add up to its score."""
    concepts = contributions(rank if seed is None else seed)
    score = round(sum(concept.contribution for concept in concepts) + remainder, 6)
    return Answer(rank, lat, lon, radius_km, probability, place, score, concepts, remainder)


def surface(
    peaks: list[tuple[float, float, float, float]], *, resolution: int = 3
) -> tuple[SurfaceCell, ...]:
    """Return cells around (lat, lon, weight, spread in km) peaks, in falling probability."""
    mass: dict[str, float] = {}
    for lat, lon, weight, spread_km in peaks:
        edge_km = h3.average_hexagon_edge_length(resolution, unit="km")
        steps = int(2.5 * spread_km / edge_km / 1.7) + 1
        cells = sorted(h3.grid_disk(h3.latlng_to_cell(lat, lon, resolution), steps))
        centres = np.array([h3.cell_to_latlng(cell) for cell in cells])
        km = great_circle_km(lat, lon, centres[:, 0], centres[:, 1])
        # A rough surface, like a softmax over the points of a gallery.
        rng = random.Random(7)
        rough = np.array([rng.random() ** 4 + 0.02 for _ in cells])
        share = np.exp(-((km / spread_km) ** 2)) * rough
        for cell, value in zip(cells, weight * share / share.sum(), strict=True):
            mass[cell] = mass.get(cell, 0.0) + float(value)
    kept = [SurfaceCell(cell, round(value, 9)) for cell, value in mass.items() if value > 1e-6]
    return tuple(sorted(kept, key=lambda item: (-item.probability, item.cell)))


def picture(width: int = 480, height: int = 320, *, hue: int = 0) -> bytes:
    """Return a small JPEG that looks a little like a landscape."""
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for y in range(height):
        shade = y / height
        draw.line([(0, y), (width, y)], (int(120 + 90 * shade), int(170 + 50 * shade), 235 - hue))
    ridge = [
        (x, height * (0.55 + 0.13 * np.sin(x / 41.0 + hue) + 0.06 * np.sin(x / 13.0))) for x in range(width)
    ]
    draw.polygon([*ridge, (width, height), (0, height)], fill=(46, 92 + hue // 2, 70))
    draw.rectangle([0, int(height * 0.86), width, height], fill=(214, 196, 150))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def card() -> ReleaseCard:
    return ReleaseCard(
        name="base",
        version="0.1.0",
        summary="CLIP ViT-B/16 image tower, GeoCLIP location encoder, heads trained on 121 street photos.",
        accuracy="On 121 held-out street photos, 9.9 % (5.0 to 15.7) lie within 200 km of the first answer.",
        limits=(
            "Trained on little data: treat every answer as a lead to check.",
            "Street-level photos only; indoor, aerial and close-up photos are out of scope.",
        ),
        attribution=(
            "Weights: CLIP (MIT) and GeoCLIP (MIT).",
            "Training photos: Mapillary contributors, CC BY-SA 4.0, through OpenStreetView-5M.",
            "Place names: GeoNames, CC BY 4.0.",
            "Map: Natural Earth, public domain.",
        ),
    )


@pytest.fixture(scope="session", autouse=True)
def named_areas(everything: list[Prediction]) -> None:
    """Name every area once: names are kept, so that no property test is slow at its first example."""
    assert all(answer.area.name for prediction in everything for answer in prediction.answers)


@pytest.fixture(scope="session")
def kauai() -> Prediction:
    return Prediction(
        photo="photos/Kauai.png",
        release="base 0.1.0",
        abstained=False,
        exif_gps=LatLon(22.1536, -159.6414),
        answers=(
            answer(
                1,
                22.0753,
                -159.319,
                PlaceName("Kapaa", "Hawaii", "United States", "US", 1.2),
                probability=0.214,
            ),
            answer(
                2,
                -17.535,
                -149.5696,
                PlaceName("Papeete", "Îles du Vent", "French Polynesia", "PF", 0.9),
                probability=0.093,
            ),
            answer(
                3, 18.2345, -66.0355, PlaceName("Caguas", "Caguas", "Puerto Rico", "PR"), probability=0.0712
            ),
            answer(
                4, -21.1151, 55.5364, PlaceName("Le Tampon", "Réunion", "Réunion", "RE"), probability=0.034
            ),
            answer(
                5,
                19.64,
                -155.99,
                PlaceName("Kailua-Kona", "Hawaii", "United States", "US"),
                probability=0.0271,
            ),
        ),
        surface=surface(
            [
                (22.0, -159.5, 0.3, 150.0),
                (20.3, -156.0, 0.1, 150.0),
                (-17.5, -149.6, 0.15, 200.0),
                (18.2, -66.4, 0.12, 300.0),
                (-21.1, 55.5, 0.06, 150.0),
                (10.0, -84.0, 0.12, 700.0),
            ]
        ),
        thumbnail=picture(),
    )


@pytest.fixture(scope="session")
def fiji() -> Prediction:
    return Prediction(
        photo="fiji.jpg",
        release="base 0.1.0",
        abstained=False,
        exif_gps=None,
        answers=(
            answer(
                1,
                -16.78,
                179.98,
                PlaceName("Labasa", "Northern", "Fiji", "FJ", 64.0),
                probability=0.41,
                seed=11,
            ),
            answer(
                2,
                -17.7134,
                -178.065,
                PlaceName("Open sea, 190 km from Labasa", None, None, None),
                probability=0.2,
                seed=12,
            ),
            answer(
                3,
                -13.83,
                -171.76,
                PlaceName("Apia", "Tuamasaga", "Samoa", "WS", 0.6),
                probability=0.1,
                seed=13,
            ),
        ),
        surface=surface([(-16.8, 179.9, 0.6, 250.0), (-13.8, -171.8, 0.2, 200.0)]),
        thumbnail=picture(320, 480, hue=40),
        assumptions=Assumptions(None, HintWords("lagoons at qqzzy", ("lagoon",), ("at", "qqzzy")), 0.2),
        countries=(
            CountryShare("FJ", "Fiji", 0.45, (UnitShare("Northern", 0.4), UnitShare("Central", 0.05))),
            CountryShare(None, "open sea", 0.25),
            CountryShare("WS", "Samoa", 0.125, (UnitShare("Tuamasaga", 0.1),)),
        ),
    )


@pytest.fixture(scope="session")
def poles() -> Prediction:
    return Prediction(
        photo="ice.jpg",
        release="base 0.1.0",
        abstained=False,
        exif_gps=LatLon(-89.0, 45.0),
        answers=(
            answer(
                1,
                89.6,
                12.0,
                PlaceName("Open sea, 780 km from Longyearbyen", None, None, None),
                probability=0.3,
                seed=21,
            ),
            answer(
                2,
                -90.0,
                0.0,
                PlaceName("Amundsen-Scott South Pole Station", None, "Antarctica", "AQ"),
                probability=0.2,
                seed=22,
            ),
        ),
        surface=surface([(90.0, 0.0, 0.5, 300.0), (-90.0, 0.0, 0.3, 300.0)]),
        thumbnail=None,
    )


@pytest.fixture(scope="session")
def abstained() -> Prediction:
    return Prediction(
        photo="blurry.jpg",
        release="base 0.1.0",
        abstained=True,
        exif_gps=None,
        answers=tuple(
            answer(
                rank,
                lat,
                lon,
                PlaceName(name, admin, country, code),
                probability=0.008 / rank,
                radius_km=200.0,
                seed=30 + rank,
            )
            for rank, (lat, lon, name, admin, country, code) in enumerate(
                (
                    (52.52, 13.405, "Berlin", "Land Berlin", "Germany", "DE"),
                    (-34.6, -58.38, "Buenos Aires", "Buenos Aires F.D.", "Argentina", "AR"),
                    (35.68, 139.69, "Tokyo", "Tokyo", "Japan", "JP"),
                    (-1.29, 36.82, "Nairobi", "Nairobi County", "Kenya", "KE"),
                    (-33.87, 151.21, "Sydney", "New South Wales", "Australia", "AU"),
                ),
                start=1,
            )
        ),
        surface=surface(
            [(50.0, 10.0, 0.2, 900.0), (35.0, 137.0, 0.1, 500.0), (-33.0, -60.0, 0.1, 700.0)], resolution=2
        ),
        thumbnail=picture(360, 360, hue=90),
        assumptions=Assumptions("box -60,-90,60,160", None, 0.0005),
        countries=(CountryShare("DE", "Germany", 0.0625), CountryShare("AR", "Argentina", 0.05)),
    )


@pytest.fixture(scope="session")
def hostile() -> Prediction:
    nasty = ConceptContribution("x", '<img src=x onerror="alert(1)">=1+1', "</table>", 0.05)
    place = PlaceName('@SUM(A1)"><script>alert(2)</script>', "\u202e]]>", "-1", "XX")
    only = Answer(1, 0.0, -180.0, 25.0, 0.5, place, 0.0625, (nasty,), 0.0125)
    return Prediction(HOSTILE_NAME, "base 0.1.0", False, LatLon(0.0, 180.0), (only,), (), None)


@pytest.fixture(scope="session")
def everything(kauai, fiji, poles, abstained, hostile) -> list[Prediction]:
    return [kauai, fiji, poles, abstained, hostile]


def _bare(page: str) -> str:
    """Return a page for a golden file: without its style sheet and the basemap, a line for each element."""
    page = re.sub(r"(?s)<style>.*?</style>|sha256-[\w+/=]+", "", page)
    page = re.sub(r'(<path id="(?:globe|coast|borders|[\w-]+-land)"[^>]* d=")[^"]+', r"\1", page)
    page = re.sub(r'(<path class="graticule" d=")[^"]+', r"\1", page)
    return page.replace("><", ">\n<")


@pytest.fixture(scope="session")
def check_golden() -> Callable[[str, str], None]:
    """Compare text with a golden file; with WHYHERE_UPDATE_GOLDEN=1 in the environment, write it first."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        data = (_bare(text) if path.suffix == ".html" else text).encode("utf-8")
        if os.environ.get(UPDATE_GOLDEN) == "1":
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        assert data == path.read_bytes(), (
            f"differs from {path.name}; where that is meant, set {UPDATE_GOLDEN}=1"
        )

    return check
