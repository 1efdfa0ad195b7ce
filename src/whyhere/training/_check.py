"""What the held-out photos say about a trained release: when to abstain, and whether it beats its start.

The photos are the ones that chose when to stop, and so flatter; the release it started from may have learned
from them, and so may flatter too. The card says both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.alignment import Alignment
from whyhere.evaluation import (
    Benchmark,
    Comparison,
    Evaluation,
    Guess,
    Query,
    SystemPrediction,
    compare,
    score,
)
from whyhere.gallery import Gallery
from whyhere.geo import great_circle_km
from whyhere.ranking import CellIndex, RankedPlace, RankingConfig, cell_probabilities, rank_places
from whyhere.training._base_calibration import threshold_to_abstain

BACKGROUNDS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8)
LEAST_PHOTOS = 20
"""With fewer held-out photos nothing can be said about when to abstain."""

_TOP = 5

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HeldOutCheck:
    """What was found.

    Attributes:
        ranking: Temperature, background and threshold, fitted on the held-out photos.
        evaluation: How the release answers them.
        comparison: Against the release it started from, photo by photo; None where that one sees photos in
            another way.
    """

    ranking: RankingConfig
    evaluation: Evaluation
    comparison: Comparison | None

    @property
    def sentence(self) -> str:
        """One sentence against the release before; empty where it cannot be compared."""
        if self.comparison is None:
            return ""
        parts = []
        for name in ("200 km", "750 km", "2500 km"):
            figure = self.comparison.figures[name]
            low, high = figure.difference.low, figure.difference.high
            sure = "clear" if figure.resolved else "not clear"
            parts.append(
                f"within {name} {figure.first:.0f} % against {figure.second:.0f} % "
                f"(difference {figure.difference.value:+.0f}, {low:+.0f} to {high:+.0f}: {sure})"
            )
        return (
            f"On the same {self.comparison.photos} held-out photos {self.comparison.first} against "
            f"{self.comparison.second}: {'; '.join(parts)}."
        )

    def lines(self) -> list[str]:
        """Return the Markdown lines of a model card."""
        lines = [self._claims(), ""]
        if self.comparison is None:
            return lines
        one = self.comparison
        lines += [
            f"Against {one.second}, on the same {one.photos} photos (95 % paired bootstrap; {one.second} may "
            "have learned from some of them):",
            "",
            f"| figure | {one.first} | {one.second} | difference |",
            "|---|--:|--:|--:|",
        ]
        for name, figure in one.figures.items():
            gap = figure.difference
            lines.append(
                f"| {name} | {figure.first:,.1f} | {figure.second:,.1f} | "
                f"{gap.value:,.1f} ({gap.low:,.1f} to {gap.high:,.1f}) |"
            )
        return [*lines, ""]

    def _claims(self) -> str:
        found = self.evaluation.calibration.reliability
        assert found is not None  # every answer states a probability
        text = (
            f"First answers claim {found.probability.value:.0%} on average and hold the truth for "
            f"{found.right.value:.0%} ({found.photos} held-out photos). "
        )
        if found.photos < LEAST_PHOTOS:
            return text + f"Fewer than {LEAST_PHOTOS} photos cannot say when to abstain: it always answers."
        if not self.ranking.abstain_below:
            return (
                text
                + "No probability was so low that answers were on the wrong continent more often than not."
            )
        return text + f"It abstains below {self.ranking.abstain_below:.0%}."


def check_held_out(
    alignment: Alignment,
    start: Alignment | None,
    *,
    names: tuple[str, str],
    features: NDArray[np.float32],
    lat: Doubles,
    lon: Doubles,
    gallery: Gallery,
    ranking: RankingConfig,
    start_ranking: RankingConfig,
    progress: Callable[[int, int], None] | None = None,
) -> HeldOutCheck:
    """Fit background and threshold of a release on held-out photos, and compare it with its start.

    The background is the least one with which the five answers claim no more than they hold.

    Args:
        alignment: The trained alignment.
        start: Alignment of the release that it started from, or None.
        names: What the two releases are called.
        features: Features of the photos, shape (n, p).
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        gallery: The gallery of both.
        ranking: Ranking of the trained release with its temperature; background and threshold are fitted.
        start_ranking: Ranking of the other one.
        progress: Called with photos done and photos in all.
    """
    truth = Benchmark(
        "held-out photos",
        None,
        len(lat),
        tuple(Query(str(row), float(lat[row]), float(lon[row]), 1) for row in range(len(lat))),
        (),
    )
    told = progress or (lambda done, total: None)
    cells = _cells(gallery, ranking)
    surfaces = []
    for row, photo in enumerate(features):
        scores = alignment.scores(alignment.encode_image(photo), gallery.embeddings)
        surfaces.append((scores, cell_probabilities(scores, cells, temperature=ranking.temperature)))
        told(row + 1, len(features))
    area = cells.prior_km2 / cells.prior_km2.sum()
    for background in BACKGROUNDS:
        ranked = [
            rank_places(
                (1 - background) * mass + background * area,
                scores,
                cells,
                top=_TOP,
                radius_km=ranking.radius_km,
            )
            for scores, mass in surfaces
        ]
        if _modest(ranked, gallery, lat, lon):
            break
    evaluation = score(_predictions(ranked, gallery), truth, system=names[0])
    threshold = 0.0
    if len(lat) >= LEAST_PHOTOS:
        threshold = threshold_to_abstain(
            [one.probability or 0.0 for one in evaluation.scores], [one.error_km for one in evaluation.scores]
        )
    fitted = RankingConfig(
        temperature=ranking.temperature,
        cell_resolution=ranking.cell_resolution,
        radius_km=ranking.radius_km,
        abstain_below=threshold,
        background=background,
        added_weight=ranking.added_weight,
    )
    comparison = None
    if start is not None:
        other = _answers(start, features, gallery, start_ranking)
        comparison = compare(evaluation, score(_predictions(other, gallery), truth, system=names[1]))
    return HeldOutCheck(fitted, evaluation, comparison)


def _cells(gallery: Gallery, ranking: RankingConfig) -> CellIndex:
    return CellIndex.build(
        gallery.lat,
        gallery.lon,
        resolution=ranking.cell_resolution,
        added=gallery.added,
        added_weight=ranking.added_weight,
    )


def _answers(
    alignment: Alignment, features: NDArray[np.float32], gallery: Gallery, ranking: RankingConfig
) -> list[tuple[RankedPlace, ...]]:
    cells = _cells(gallery, ranking)
    ranked = []
    for photo in features:
        scores = alignment.scores(alignment.encode_image(photo), gallery.embeddings)
        mass = cell_probabilities(
            scores, cells, temperature=ranking.temperature, background=ranking.background
        )
        ranked.append(rank_places(mass, scores, cells, top=_TOP, radius_km=ranking.radius_km))
    return ranked


def _predictions(ranked: list[tuple[RankedPlace, ...]], gallery: Gallery) -> list[SystemPrediction]:
    return [
        SystemPrediction(
            str(row),
            tuple(
                Guess(
                    lat=float(gallery.lat[place.point]),
                    lon=float(gallery.lon[place.point]),
                    probability=min(place.probability, 1.0),
                    radius_km=place.radius_km,
                )
                for place in places
            ),
        )
        for row, places in enumerate(ranked)
    ]


def _modest(ranked: list[tuple[RankedPlace, ...]], gallery: Gallery, lat: Doubles, lon: Doubles) -> bool:
    """Whether the five answers together claim no more than they hold."""
    claimed = held = 0.0
    for row, places in enumerate(ranked):
        points = [place.point for place in places]
        km = great_circle_km(lat[row], lon[row], gallery.lat[points], gallery.lon[points])
        claimed += sum(place.probability for place in places)
        held += bool((km <= [place.radius_km for place in places]).any())
    return claimed <= held


def ranking_section(ranking: RankingConfig) -> dict[str, Any]:
    """Return the `ranking` section of a release's config.json."""
    return {
        "temperature": ranking.temperature,
        "background": ranking.background,
        "cell_resolution": ranking.cell_resolution,
        "radius_km": ranking.radius_km,
        "abstain_below": round(ranking.abstain_below, 4),
        **({} if ranking.added_weight == 1.0 else {"added_weight": ranking.added_weight}),
    }
