"""Making probabilities right on photos that were not learned from, and saying how good a release is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
from whyhere.geo import great_circle_km, unit_vectors, vector_distance_km
from whyhere.ranking import (
    CellIndex,
    RankedPlace,
    RankingConfig,
    best_points,
    cell_probabilities,
    rank_places,
)

Doubles = NDArray[np.float64]

KERNEL_KM = 100.0
"""Scale of the kernel that spreads a cell's probability: the truth may lie where the gallery has no point."""

TOLERANCE = 0.01
"""Claims this much farther off are as good: less can be told from a few hundred photos."""

BACKGROUNDS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8)
LEAST_PHOTOS = 20
"""With fewer held-out photos nothing can be said about when to abstain."""

_TOP = 5


BASE_RANKING = RankingConfig(
    temperature=0.07,
    cell_resolution=3,
    radius_km=300.0,
    abstain_below=0.0,
    added_weight=0.05,  # photos are rare where only points lie that were added to cover the land
)
"""How `base` ranks before temperature, background and threshold are fitted."""

CALIBRATIONS = tuple(
    replace(BASE_RANKING, temperature=float(temperature), background=background)
    for temperature in np.geomspace(0.03, 0.16, 11)
    for background in (0.0, 0.1, 0.2)
)
"""What the calibration of `base` is chosen from."""


@dataclass(frozen=True, slots=True)
class RankedAnswers:
    """Five answers to a photo.

    Attributes:
        places: The answers.
        km: Their distances to the truth, shape (5,).
        surface: Probability of every cell, shape (m,).
    """

    places: tuple[RankedPlace, ...]
    km: Doubles
    surface: Doubles

    @property
    def claimed(self) -> float:
        """Probability of the five together."""
        return sum(place.probability for place in self.places)

    @property
    def held(self) -> bool:
        """Whether one of them holds the truth."""
        return bool((self.km <= [place.radius_km for place in self.places]).any())


def rank_answers(
    scores: NDArray[np.float32],
    lat: float,
    lon: float,
    gallery: Gallery,
    cells: CellIndex,
    ranking: RankingConfig,
) -> RankedAnswers:
    """Rank five places as `whyhere locate` does, and say how far each is from the truth."""
    surface = cell_probabilities(
        scores, cells, temperature=ranking.temperature, background=ranking.background
    )
    return _ranked(surface, scores, lat, lon, gallery, cells, ranking.radius_km)


def _ranked(
    surface: Doubles,
    scores: NDArray[np.float32],
    lat: float,
    lon: float,
    gallery: Gallery,
    cells: CellIndex,
    radius_km: float,
) -> RankedAnswers:
    places = rank_places(surface, scores, cells, top=_TOP, radius_km=radius_km)
    points = [place.point for place in places]
    km = great_circle_km(lat, lon, gallery.lat[points], gallery.lon[points])
    return RankedAnswers(places, np.asarray(km, np.float64), surface)


def forecast_loss(places: Sequence[RankedPlace], distances_km: Doubles) -> float:
    """Score answers as a forecast: the truth is within the radius of answer 1, 2, ... or elsewhere.

    The logarithmic score is proper: in expectation it is least when the probabilities are right.

    Args:
        places: The answers, the most probable first.
        distances_km: Distance from each answer to the truth, shape (len(places),).

    Returns:
        -log of the probability given to what happened.
    """
    for place, km in zip(places, distances_km, strict=True):
        if km <= place.radius_km:
            return -float(np.log(max(place.probability, 1e-12)))
    return -float(np.log(max(1.0 - sum(place.probability for place in places), 1e-12)))


def forecasts(
    scores: NDArray[np.float32], lat: Doubles, lon: Doubles, gallery: Gallery, cells: CellIndex
) -> Doubles:
    """Say of photos how five answers would fare under each of `CALIBRATIONS`.

    Args:
        scores: Scores of the gallery by alignments that did not learn from the photos, shape (m, n).
        lat: True latitudes in degrees, shape (m,).
        lon: True longitudes, shape (m,).
        gallery: The gallery.
        cells: Its cells.

    Returns:
        Forecast loss, probability of the five answers together, whether one of them holds the truth, and the
        latter two for the first answer alone: shape (5, m, calibrations).
    """
    found = np.empty((5, len(scores), len(CALIBRATIONS)))
    for row, photo in enumerate(scores):
        # Only the best point of a cell can be answered, whatever the calibration: the others are left out.
        best = best_points(photo, cells)
        few = replace(cells, cell_of_point=np.arange(len(best)), directions=cells.directions[best])
        km = great_circle_km(lat[row], lon[row], gallery.lat[best], gallery.lon[best])
        for column, ranking in enumerate(CALIBRATIONS):
            surface = cell_probabilities(
                photo, cells, temperature=ranking.temperature, background=ranking.background
            )
            places = rank_places(surface, photo[best], few, top=_TOP, radius_km=ranking.radius_km)
            answers = RankedAnswers(places, km[[place.point for place in places]], surface)
            found[:, row, column] = (
                forecast_loss(places, answers.km),
                answers.claimed,
                answers.held,
                places[0].probability,
                answers.km[0] <= places[0].radius_km,
            )
    return found


def best_calibration(found: Doubles) -> RankingConfig:
    """Choose, from `forecasts`, the least loss among those whose claims are nearest to what they hold."""
    loss, five, five_held, first, first_held = found.mean(axis=1)
    gap = np.maximum(np.abs(five - five_held), np.abs(first - first_held))
    right = np.flatnonzero(gap <= gap.min() + TOLERANCE)
    return CALIBRATIONS[int(right[loss[right].argmin()])]


def threshold_to_abstain(probability: Sequence[float], error_km: Sequence[float]) -> float:
    """Return the probability of the first answer below which no place stands out.

    The most probable answers are trusted first; abstaining begins where the next tenth of the photos, in
    falling probability, is on the wrong continent (more than 2,500 km off) more often than not.
    """
    claimed, km = np.asarray(probability), np.asarray(error_km)
    order = np.argsort(-claimed, kind="stable")
    tenth = max(len(order) // 10, 1)
    for start in range(0, len(order) - tenth + 1, tenth):
        if np.median(km[order[start : start + tenth]]) > 2500.0:
            return float(claimed[order[start]])
    return 0.0


def negative_log_densities(
    scores: NDArray[np.float32], cells: CellIndex, lat: float, lon: float, *, temperatures: Sequence[float]
) -> Doubles:
    """Score one photo's probability surface at the place where it was taken, for t temperatures.

    Args:
        scores: Scores of the gallery points, from a head that never saw the photo, shape (n,).
        cells: The cells of the points.
        lat: True latitude in degrees.
        lon: True longitude in degrees.
        temperatures: What to try.

    Returns:
        -log of the probability density per km2 at the truth, under an exponential kernel of `KERNEL_KM`
        around the points of each cell, shape (t,). Lower is better; it is a proper score.
    """
    distances_km = vector_distance_km(cells.centres(), unit_vectors(lat, lon))
    kernel = np.exp(-distances_km / KERNEL_KM) / (2 * np.pi * KERNEL_KM**2)
    densities = [cell_probabilities(scores, cells, temperature=one) @ kernel for one in temperatures]
    return -np.log(np.maximum(densities, 1e-300))


@dataclass(frozen=True, slots=True)
class HeldOutCheck:
    """What held-out photos say of a trained release: when to abstain, and whether it beats its start.

    The photos are the ones that chose when to stop, and so flatter; the release it started from may have
    learned from them, and so may flatter too. The card says both.

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
    photos = list(zip(features, lat.tolist(), lon.tolist(), strict=True))
    queries = tuple(Query(str(row), y, x, 1) for row, (_, y, x) in enumerate(photos))
    truth = Benchmark("held-out photos", None, len(queries), queries, ())
    cells = ranking.cells_of(gallery)
    surfaces = []
    for row, (photo, _, _) in enumerate(photos, start=1):
        scores = alignment.scores(alignment.encode_image(photo), gallery.embeddings)
        surfaces.append((scores, cell_probabilities(scores, cells, temperature=ranking.temperature)))
        if progress is not None:
            progress(row, len(photos))
    area = cells.prior_km2 / cells.prior_km2.sum()
    for background in BACKGROUNDS:
        answers = [
            _ranked(
                (1 - background) * mass + background * area, scores, y, x, gallery, cells, ranking.radius_km
            )
            for (scores, mass), (_, y, x) in zip(surfaces, photos, strict=True)
        ]
        if sum(one.claimed for one in answers) <= sum(one.held for one in answers):
            break
    evaluation = score(_predictions(answers, gallery), truth, system=names[0])
    threshold = 0.0
    if len(photos) >= LEAST_PHOTOS:
        threshold = threshold_to_abstain(
            [one.probability or 0.0 for one in evaluation.scores], [one.error_km for one in evaluation.scores]
        )
    comparison = None
    if start is not None:
        cells, other = start_ranking.cells_of(gallery), []
        for photo, y, x in photos:
            scores = start.scores(start.encode_image(photo), gallery.embeddings)
            other.append(rank_answers(scores, y, x, gallery, cells, start_ranking))
        comparison = compare(evaluation, score(_predictions(other, gallery), truth, system=names[1]))
    fitted = replace(ranking, abstain_below=threshold, background=background)
    return HeldOutCheck(fitted, evaluation, comparison)


def _predictions(answers: Sequence[RankedAnswers], gallery: Gallery) -> list[SystemPrediction]:
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
                for place in one.places
            ),
        )
        for row, one in enumerate(answers)
    ]


def ranking_section(ranking: RankingConfig) -> dict[str, Any]:
    """Return the `ranking` section of a release's config.json."""
    added = {} if ranking.added_weight == 1.0 else {"added_weight": ranking.added_weight}
    return {
        "temperature": ranking.temperature,
        "background": ranking.background,
        "cell_resolution": ranking.cell_resolution,
        "radius_km": ranking.radius_km,
        **added,
        "abstain_below": round(ranking.abstain_below, 4),
    }
