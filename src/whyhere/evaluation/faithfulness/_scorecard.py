"""The scorecard: runs the tests that are asked for, and writes JSON, Markdown, CSV and SVG."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import replace

from whyhere._io import write_atomically
from whyhere._text import csv_rows, markdown_cell
from whyhere.errors import UsageError
from whyhere.evaluation.faithfulness._concept_tests import (
    BAR,
    CellReferences,
    Lookup,
    evidence,
    intervention_test,
    maps_test,
)
from whyhere.evaluation.faithfulness._controls import Regrounded, grounded_columns
from whyhere.evaluation.faithfulness._photo_tests import RegionTest, regions_test, stability_test
from whyhere.evaluation.faithfulness._score_tests import (
    accuracy_test,
    calibration_test,
    exhibits,
    leakage_test,
)
from whyhere.evaluation.faithfulness._study import (
    Cell,
    Doubles,
    Figure,
    Finding,
    Outcome,
    Progress,
    Settings,
    Study,
    Table,
)
from whyhere.geo import countries, country_codes, unit_vectors
from whyhere.references import reference_for
from whyhere.report import BLUE, GREY, PALETTE, Curve, Estimate, curves, intervals, scatter
from whyhere.report.words import interval_text, markdown_table
from whyhere.stats import Interval, unit_rows

TESTS = {
    1: "accuracy",
    2: "intervention",
    3: "image regions",
    4: "concept maps",
    5: "leakage",
    6: "stability",
    7: "calibration",
}
WITHOUT_PHOTOS = (4,)
"""Tests that need no photo."""

_MARKS = {"passes": "passes", "fails": "**fails**", "undecided": "undecided", "not run": "not run"}
_DIGITS = {"%": 1, "km": 0, "points": 0, "million km2": 2, "R2": 3, "AUROC": 3, "rho": 3, "": 4}
_WIDE = 1000.0  # from here on numbers get a thousands separator
_LABELLED = 30  # concept names in a joint picture; more would hide each other


class Scorecard(Finding, frozen=True):
    """Everything that one run found.

    Attributes:
        release: Name and version of the release.
        kind: Kind of its alignment.
        date: Day of the run, ISO 8601.
        data: Name of the table of photos; "" where there is none.
        photos: How many photos were used.
        concepts: k, named concepts.
        dims: Width of the image features.
        protocol: Which alignment answered which photo, in words.
        held_out: Whether no photo was answered by an alignment that has learned from it.
        trained_on: "these photos", "some of these photos", "none of these photos" or "not known": what the
            release itself has learned from.
        seed: Seed of all draws.
        draws: Random banks, permutations and derangements drawn.
        outcomes: What the tests found that were run, in order; "lines" in JSON.
        exhibits: The paper's Table 3 and the concepts of every photo.
        seconds: Time of the whole run.
    """

    release: str
    kind: str
    date: str
    data: str
    photos: int
    concepts: int
    dims: int
    protocol: str
    held_out: bool
    trained_on: str
    seed: int
    draws: int
    outcomes: tuple[Outcome, ...] = msgspec.field(name="lines")
    exhibits: tuple[Table, ...] = ()
    seconds: float = 0.0

    @property
    def warning(self) -> str:
        """What must be said loudly about tests 1, 2, 5 and 7; "" where nothing must."""
        if self.held_out or not self.photos or self.trained_on == "none of these photos":
            return ""
        if self.trained_on == "not known":
            return (
                "It is not known whether the release has learned from these photos. If it has, lines 1, 2, 5 "
                "and 7 are worth nothing; run again with --held-out."
            )
        return (
            f"THE RELEASE HAS LEARNED FROM {self.trained_on.upper()}, AND IT ANSWERED THEM ITSELF. Lines 1, "
            "2, 5 and 7 say how well it remembers, not how good it is. Run again with --held-out."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the scorecard in its stable JSON form."""
        fields = super().to_dict()
        last = {"warning": self.warning, **{name: fields.pop(name) for name in ("lines", "exhibits")}}
        return {**fields, **last}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Scorecard:
        """Return the scorecard that `to_dict` wrote.

        Raises:
            msgspec.ValidationError: It is none.
        """

        def ends(found: Any) -> Any:  # noqa: ANN401 - intervals hold NaN where JSON has null
            if isinstance(found, dict):
                blank = math.nan if found.keys() == {"value", "low", "high"} else None
                return {key: blank if value is None else ends(value) for key, value in found.items()}
            return [ends(value) for value in found] if isinstance(found, list) else found

        lines = [{**line, "figures": ends(line["figures"])} for line in fields["lines"]]
        return msgspec.convert({**fields, "lines": lines}, cls)

    def outcome(self, number: int) -> Outcome:
        """Return what the test of a number found."""
        return next(outcome for outcome in self.outcomes if outcome.number == number)


def run_tests(
    study: Study,
    settings: Settings,
    *,
    only: Sequence[int] = tuple(TESTS),
    lookup: Lookup = reference_for,
    region_test: RegionTest | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> tuple[Outcome, ...]:
    """Run tests.

    Args:
        study: Photos and alignments.
        settings: Seed and numbers of draws.
        only: Numbers of the tests wanted.
        lookup: Finds open references.
        region_test: Covers image regions, for test 3.
        progress: Gives the callback that shows how far a named test is.

    Returns:
        What they found, in order; those that need photos are left out where the study has none.

    Raises:
        UsageError: There is no such test, or none of them can be run.
    """
    unknown = sorted(set(only) - set(TESTS))
    if unknown:
        raise UsageError(f"there is no line {unknown[0]}; lines: 1 to {max(TESTS)}")
    wanted = [number for number in TESTS if number in only and (study.photos or number in WITHOUT_PHOTOS)]
    if not wanted:
        raise UsageError("these lines need photos; add --data TABLE and --photos DIR, or ask for line 4")
    grounded = len(grounded_columns(study.release)) > 0 and bool({2, 4} & set(wanted))
    regrounded = Regrounded(study, seed=settings.seed) if grounded else None

    def intervention(study: Study, settings: Settings, shown: Progress | None) -> Outcome:
        references = CellReferences.read(study.labels, study.cells, lookup)
        return intervention_test(study, settings, references, regrounded, shown)

    tests: dict[int, Callable[[Study, Settings, Progress | None], Outcome]] = {
        1: accuracy_test,
        2: intervention,
        3: lambda study, settings, shown: regions_test(study, settings, region_test, shown),
        4: lambda study, settings, shown: maps_test(study, settings, lookup, regrounded, shown),
        5: leakage_test,
        6: stability_test,
        7: calibration_test,
    }
    found = []
    for number in wanted:
        start = time.perf_counter()
        outcome = tests[number](study, settings, progress(f"{number}. {TESTS[number]}") if progress else None)
        found.append(replace(outcome, seconds=round(time.perf_counter() - start, 1)))
    return tuple(found)


def run_scorecard(
    study: Study,
    settings: Settings,
    *,
    release: str,
    kind: str,
    date: str,
    data: str = "",
    trained_on: str = "not known",
    only: Sequence[int] = tuple(TESTS),
    lookup: Lookup = reference_for,
    region_test: RegionTest | None = None,
    progress: Callable[[str], Progress] | None = None,
) -> Scorecard:
    """Run tests and put them together; arguments as for `run_tests` and fields as of `Scorecard`."""
    start = time.perf_counter()
    outcomes = run_tests(
        study, settings, only=only, lookup=lookup, region_test=region_test, progress=progress
    )
    return Scorecard(
        release=release,
        kind=kind,
        date=date,
        data=data,
        photos=len(study.photos),
        concepts=len(study.labels),
        dims=int(study.features[0].shape[-1]) if study.photos else 0,
        protocol=study.protocol,
        held_out=study.held_out,
        trained_on=trained_on,
        seed=settings.seed,
        draws=settings.draws,
        outcomes=outcomes,
        exhibits=(*evidence(study.labels, outcomes), *exhibits(study, settings)),
        seconds=round(time.perf_counter() - start, 1),
    )


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Where embeddings lie on their first two principal components. It shows, it proves nothing.

    Attributes:
        photos: Image features, shape (n, 2).
        continents: Continent of every photo's true place, "" where unknown.
        joint_photos: Photos in the location space, shape (n, 2).
        joint_places: Their true places (the nearest of the gallery), shape (n, 2).
        joint_concepts: Concepts, shape (k, 2).
        concepts: Names of the concepts.
        explained: Part of the variance that the two axes hold, of the images and of the joint picture.
    """

    photos: Doubles
    continents: tuple[str, ...]
    joint_photos: Doubles
    joint_places: Doubles
    joint_concepts: Doubles
    concepts: tuple[str, ...]
    explained: tuple[float, float]


def embeddings(study: Study) -> tuple[Embeddings, Table] | tuple[None, None]:
    """Project the embeddings of a study, and measure the gap between their kinds; nothing below 3 photos.

    In the location space a photo is what its own alignment scores places with, concepts and remainder
    together; a held-out one has not learned from it, so that the gaps are honest.
    """
    n, release = len(study.photos), study.release
    if n < 3:
        return None, None
    images = study.feature_rows(range(n))
    sums = [
        study.alignment(photo).basis.astype(np.float64) @ code.z_img.astype(np.float64) + code.residual
        for photo, code in enumerate(study.codes)
    ]
    here = unit_vectors(study.lat, study.lon)
    nearest = [int((study.cells.directions @ one).argmax()) for one in here]
    photos = unit_rows(np.array(sums))
    places = unit_rows(study.gallery.embeddings[nearest].astype(np.float64) - release.location_mean)
    concepts = unit_rows(release.basis.T.astype(np.float64))
    joint = np.concatenate((photos, places, concepts))
    flat, table = principal_axes(joint), countries()
    codes = country_codes(study.lat, study.lon)
    drawn = Embeddings(
        principal_axes(images),
        tuple(table[code].continent if code in table else "" for code in codes),
        flat[:n],
        flat[n : 2 * n],
        flat[2 * n :],
        tuple(label.name for label in study.labels),
        (_explained(images), _explained(joint)),
    )
    return drawn, _gaps(photos, places, concepts)


def principal_axes(rows: Doubles) -> Doubles:
    """Return rows on their first two principal components, shape (n, 2), signs fixed."""
    centred = rows - rows.mean(axis=0)
    two = np.linalg.svd(centred, full_matrices=False)[2][:2]
    if len(two) < 2:
        two = np.vstack((two, np.zeros((2 - len(two), rows.shape[1]))))
    signs = np.sign(two[np.arange(2), np.abs(two).argmax(axis=1)])
    flat: Doubles = centred @ (two * np.where(signs == 0, 1.0, signs)[:, None]).T
    return flat


def _explained(rows: Doubles) -> float:
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    return float(values[:2].sum() / max(float(values.sum()), 1e-300))


def _gaps(photos: Doubles, places: Doubles, concepts: Doubles) -> Table:
    """Say how far the kinds lie apart in the location space, all at unit length."""
    similar = photos @ places.T
    shuffled = float((similar.sum() - np.trace(similar)) / max(similar.size - len(similar), 1))
    recall = float((similar.argmax(axis=1) == np.arange(len(photos))).mean())
    centre = {"photos": photos.mean(axis=0), "places": places.mean(axis=0), "concepts": concepts.mean(axis=0)}
    rows: list[tuple[Cell, ...]] = [
        ("cosine of photo and its own place, mean", float(np.diag(similar).mean())),
        ("cosine of photo and another photo's place, mean", shuffled),
        ("photos whose own place is the nearest of all the photos' places, %", 100 * recall),
    ]
    for first, second in (("photos", "places"), ("photos", "concepts"), ("places", "concepts")):
        distance = float(np.linalg.norm(centre[first] - centre[second]))
        rows.append((f"distance between the centres of {first} and {second}", distance))
    return Table("gaps", "How far the kinds of embeddings lie apart", ("what", "value"), tuple(rows))


def plots(scorecard: Scorecard, picture: Embeddings | None = None) -> dict[str, str]:
    """Draw a scorecard, and the embeddings as `embeddings` gives them: SVG text by file name."""
    drawn: dict[str, str] = {}
    for outcome in scorecard.outcomes:
        if outcome.verdict != "not run":
            drawn |= {f"line-{outcome.number}-{name}.svg": svg for name, svg in _drawn(outcome).items()}
    return drawn if picture is None else drawn | _clouds(picture)


def _drawn(outcome: Outcome) -> dict[str, str]:
    match outcome.number:
        case 1:
            return {"curve": _accuracy_curve(outcome.table("curve"))}
        case 2:
            title = "Removing a concept: effect beyond the control"
            return {"concepts": _by_concept(outcome.table("concepts"), "difference", title, mark=0.0)}
        case 4:
            title = "Concept maps against open references: AUROC"
            return {"concepts": _by_concept(outcome.table("concepts"), "AUROC", title, mark=BAR)}
        case 7:
            names = ("reliability", "risk")
            return {name: _confidence(name, outcome.table(name)) for name in names}
    by_unit: dict[str, list[Figure]] = {}
    for figure in outcome.figures:
        by_unit.setdefault(figure.unit, []).append(figure)
    return {
        {"%": "percent", "": "effect"}.get(unit, unit.lower()): intervals(
            f"{outcome.title}: {unit or 'effect'}",
            [(one.name, [[_estimate(one.value), _estimate(one.control)]]) for one in figures],
            series=(("measured", BLUE), ("control", GREY)),
            panels=[unit or "effect"],
            mark=0.0 if unit in ("", "R2") else None,
        ).svg
        for unit, figures in by_unit.items()
    }


def _estimate(one: Interval | None) -> Estimate | None:
    return None if one is None else (one.value, one.low, one.high)


def _accuracy_curve(table: Table) -> str:
    def lines(name: str, colour: str, value: str, low: str, high: str) -> Curve:
        band = list(zip(table.column(low), table.column(high), strict=True))
        return Curve(name, list(enumerate(table.column(value))), colour, band=band)

    shown = [lines("concepts", BLUE, "GeoScore", "GeoScore low", "GeoScore high")]
    if None not in table.column("random GeoScore, mean"):
        ends = "random, lowest draw", "random, highest draw"
        shown.append(lines("random banks, with their range", GREY, "random GeoScore, mean", *ends))
    return curves(
        "Accuracy from the strongest concepts alone",
        shown,
        x_label="concepts kept of each photo",
        y_label="mean GeoScore",
        x_ticks=[(place, str(step)) for place, step in enumerate(table.column("concepts kept"))],
    ).svg


def _by_concept(table: Table, column: str, title: str, *, mark: float) -> str:
    ends = zip(*(table.column(name) for name in (column, "low", "high")), strict=True)
    rows = [(name, [[one]]) for name, one in zip(table.column("concept"), ends, strict=True)]
    return intervals(title, rows, series=(("measured", BLUE),), panels=[column], mark=mark).svg


def _confidence(name: str, table: Table) -> str:
    """Draw how often answers are right: by what they claim, or by how many are given."""
    x, y = table.columns[-2], "right, %"
    own = list(zip(table.column(x), table.column(y), strict=True))
    if name == "reliability":
        top = max(5.0, *(max(point) for point in own))
        title, x_label = "Reliability of first answers", "claimed probability, %"
        shown = Curve("what is claimed", [(0.0, 0.0), (top, top)], GREY), Curve("what is held", own, BLUE)
    else:
        level, least = own[0][1], min(share for share, _ in own)
        title, x_label = "Answering only the surest photos", "photos answered, %"
        everyone = Curve("all photos", [(least, level), (100.0, level)], GREY)
        shown = everyone, Curve("the surest", own, BLUE)
    return curves(title, shown, x_label=x_label, y_label="truth within the radius, %").svg


def _clouds(picture: Embeddings) -> dict[str, str]:
    """Draw the images by continent, and images, places and concepts together."""
    by_continent: dict[str, list[tuple[float, float]]] = {
        name: [] for name in sorted(set(picture.continents))
    }
    for point, name in zip(picture.photos.tolist(), picture.continents, strict=True):
        by_continent[name].append(tuple(point))
    colours = dict(zip(filter(None, by_continent), PALETTE * 2, strict=False)) | {"": GREY}
    images = [(name, colours[name], points) for name, points in by_continent.items()]
    joint = picture.joint_photos, picture.joint_places, picture.joint_concepts
    photos, places, concepts = ([(float(x), float(y)) for x, y in rows] for rows in joint)
    spread = np.linalg.norm(picture.joint_concepts - np.median(picture.joint_concepts, axis=0), axis=1)
    farthest = np.argsort(-spread, kind="stable")[:_LABELLED].tolist()
    shares = [f"PCA: two axes hold {100 * share:.0f} % of the variance" for share in picture.explained]
    return {
        "images-pca.svg": scatter(f"Image embeddings, {shares[0]}", images).svg,
        "joint-pca.svg": scatter(
            f"Photos, places and concepts in the location space, {shares[1]}",
            [
                ("photos", PALETTE[0], photos),
                ("their places", PALETTE[1], places),
                ("concepts", PALETTE[2], concepts),
            ],
            names=[(concepts[number], picture.concepts[number]) for number in farthest],
            links=zip(photos, places, strict=True),
        ).svg,
    }


def markdown(scorecard: Scorecard, *, plots: tuple[str, ...] = ()) -> str:
    """Write a scorecard as Markdown: what it found first, then every test with its control.

    Args:
        scorecard: The scorecard.
        plots: Names of the SVG files beside it; those of each test are shown with it.
    """
    return "".join(_pieces(scorecard, plots))


def _pieces(scorecard: Scorecard, plots: tuple[str, ...]) -> Iterator[str]:
    yield f"# Faithfulness of {markdown_cell(scorecard.release)}\n\n"
    if scorecard.warning:
        yield f"> **{scorecard.warning}**\n\n"
    data = markdown_cell(scorecard.data)
    where = f"{scorecard.photos} photos of {data}; " if scorecard.photos else "no photos; "
    yield (
        f"{scorecard.date}; {where}{scorecard.protocol}; {scorecard.concepts} concepts, alignment of kind "
        f"{scorecard.kind}, {scorecard.dims} features; seed {scorecard.seed}, {scorecard.draws} draws; "
        f"{scorecard.seconds:.0f} s. Intervals are 95 %, by resampling photos (line 4: blocks of the Earth "
        "for a concept, concepts for a median). What the lines mean: docs/faithfulness.md.\n\n"
    )
    yield "| line | | verdict | in short |\n|---|---|---|---|\n"
    for one in scorecard.outcomes:
        yield f"| {one.number} | {one.title} | {_MARKS[one.verdict]} | {markdown_cell(one.reason)} |\n"
    for one in scorecard.outcomes:
        yield from _section(one, tuple(name for name in plots if name.startswith(f"line-{one.number}-")))
    if scorecard.exhibits:
        yield "\n## Exhibits\n"
        for table in scorecard.exhibits:
            yield from _table(table)
    pictures = [name for name in plots if not name.startswith("line-")]
    if pictures:
        yield "\n## Pictures of the embeddings\n\n"
        yield "".join(f"![{name.removesuffix('.svg')}]({name})\n" for name in pictures)


def _section(one: Outcome, plots: tuple[str, ...]) -> Iterator[str]:
    yield f"\n## {one.number}. {one.title}: {one.verdict}\n\n{one.question}\n\n"
    yield f"{markdown_cell(one.reason)}\n"
    if one.rule:
        yield f"\n*Rule.* {one.rule}\n"
    if one.figures:
        rows = [
            (
                markdown_cell(figure.name) + (f", {figure.unit}" if figure.unit else ""),
                _shown(figure.value, figure.unit),
                _shown(figure.control, figure.unit),
                _shown(figure.difference, figure.unit, sign="+"),
            )
            for figure in one.figures
        ]
        yield "\n" + markdown_table(("measured", "value", "control", "difference"), rows)
        controls = dict.fromkeys(figure.control_name for figure in one.figures if figure.control_name)
        if controls:
            yield f"\nControl: {'; '.join(controls)}.\n"
    for table in one.tables:
        yield from _table(table)
    if one.notes:
        yield "\n"
        yield "".join(f"- {markdown_cell(note)}\n" for note in one.notes)
    for name in plots:
        yield f"\n![{one.title}]({name})\n"


def _table(table: Table) -> Iterator[str]:
    if not table.in_report:
        yield f"\n{table.title}: `{table.id}.csv`.\n"
    elif table.rows:
        yield f"\n**{table.title}**\n\n"
        head = [markdown_cell(name) for name in table.columns]
        yield markdown_table(head, [list(map(_written, row)) for row in table.rows])


def _shown(interval: Interval | None, unit: str, *, sign: str = "") -> str:
    """Write a figure with its interval."""
    if interval is None:
        return ""

    def write(one: float) -> str:
        form = f"{sign}{',' if abs(one) >= _WIDE else ''}.{_DIGITS.get(unit, 3)}f"
        return f"{one:{form}}" if math.isfinite(one) else "?"

    return interval_text((interval.value, interval.low, interval.high), write)


def _written(one: Cell) -> str:
    if not isinstance(one, float):
        return "" if one is None else markdown_cell(str(one))
    if not math.isfinite(one):
        return ""
    size = abs(one)
    form = ",.0f" if size >= 100 else ".1f" if size >= 10 else ".3g" if size >= 1 else ".4f"
    return f"{one:{form}}"


def scorecard_json(scorecard: Scorecard, *, ascii_only: bool = False) -> str:
    """Write a scorecard as JSON that ends with a newline."""
    return json.dumps(scorecard.to_dict(), indent=1, ensure_ascii=ascii_only, allow_nan=False) + "\n"


def write_scorecard(
    scorecard: Scorecard, folder: Path, *, picture: Embeddings | None = None
) -> tuple[Path, ...]:
    """Write scorecard.json, scorecard.md, SVG plots, and a CSV file of each long table.

    `scorecard.md` names its plots without a folder: copied together, they can lie anywhere.

    Args:
        scorecard: The scorecard.
        folder: Where to; made where absent.
        picture: Embeddings on two axes.

    Returns:
        The files.

    Raises:
        UsageError: The folder cannot be written.
    """
    drawn = plots(scorecard, picture)
    texts = {
        "scorecard.json": scorecard_json(scorecard),
        "scorecard.md": markdown(scorecard, plots=tuple(drawn)),
        **drawn,
    }
    for table in (*(t for one in scorecard.outcomes for t in one.tables), *scorecard.exhibits):
        if not table.in_report:
            texts[f"{table.id}.csv"] = csv_rows([table.columns, *table.rows])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_atomically(folder / name, text)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot write there: {error.strerror or error}") from error
    return tuple(folder / name for name in texts)
