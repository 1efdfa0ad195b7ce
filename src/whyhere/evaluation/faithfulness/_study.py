"""What all tests work on, photos of known places with the alignment that answers each, and what one finds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere._record import Record
from whyhere.alignment import Alignment, ImageCode
from whyhere.concepts import ConceptLabel
from whyhere.embeddings import EmbeddingCache, StoredPhoto
from whyhere.errors import PhotoError, UsageError
from whyhere.evaluation import Benchmark, HeldOut, read_held_out
from whyhere.gallery import Gallery
from whyhere.geo import great_circle_km
from whyhere.images import open_photo
from whyhere.ranking import CellIndex, RankingConfig
from whyhere.stats import Interval, counts_interval, mean_interval, median_interval

if TYPE_CHECKING:
    from whyhere.locator import Locator

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
Rows = NDArray[np.intp]
Cell = str | int | float | None
Verdict = Literal["passes", "fails", "undecided", "not run"]
Progress = Callable[[int, int], None]


class Finding(Record, frozen=True):
    """A record of measured numbers; those that are not finite become None in its JSON form."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        fields: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return fields


class Figure(Finding, frozen=True):
    """One measured number beside its control.

    Attributes:
        name: What is measured.
        unit: "%", "km", "R2", "AUROC", "rho", "points", "million km2" or "".
        value: The figure with its 95 % interval.
        control: The same of what explains nothing; None where there is no control.
        control_name: What the control is.
        difference: Value minus control, paired; its interval is not the difference of the two intervals.
    """

    name: str
    unit: str
    value: Interval
    control: Interval | None = None
    control_name: str = ""
    difference: Interval | None = None


class Table(Finding, frozen=True):
    """Rows behind the figures: one a concept, a photo or a step of a curve.

    Attributes:
        id: Name in file names and JSON, such as "concepts".
        title: Title for people.
        columns: Heads of the columns.
        rows: As many cells each as there are columns.
        in_report: Whether the Markdown report shows it; long ones are in the JSON and CSV files only.
    """

    id: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    in_report: bool = True

    def column(self, name: str) -> list[Any]:
        """Return the cells below a head."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


class Outcome(Finding, frozen=True):
    """What one test found.

    Attributes:
        number: 1 to 7.
        title: Such as "Concept maps against open data".
        question: What it asks, in one sentence.
        verdict: "passes", "fails" or "undecided" by the rule in `rule`, or "not run".
        reason: The verdict in words and numbers.
        rule: What decides, fixed before any result was seen.
        figures: Measured numbers.
        tables: Rows behind them.
        notes: What a reader must know to read them rightly.
        seconds: Time it took.
    """

    number: int
    title: str
    question: str
    verdict: Verdict = "not run"
    reason: str = ""
    rule: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def figure(self, name: str) -> Figure:
        """Return the figure of a name."""
        return next(figure for figure in self.figures if figure.name == name)

    def table(self, id: str) -> Table:
        """Return the table of an id."""
        return next(table for table in self.tables if table.id == id)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run may be asked for, and the statistics that follow from it.

    Attributes:
        seed: Seed of every draw.
        draws: Random banks, derangements of names and permutations of places.
        resamples: Resampled sets of a bootstrap.
        stability_photos: Photos that the test of stability changes and looks at again.
        region_photos: Photos that the test of image regions blurs regions of.
        support: Photos that a concept must be active in for a row of its own in the test by intervention.
    """

    seed: int = 0
    draws: int = 20
    resamples: int = 2000
    stability_photos: int = 40
    region_photos: int = 24
    support: int = 5

    def mean(self, values: Doubles) -> Interval:
        """Return the mean of the values that are not NaN, one a photo, by resampling them."""
        return mean_interval(values, seed=self.seed, resamples=self.resamples)

    def median(self, values: Doubles) -> Interval:
        """Return the median of the values that are not NaN, one a photo, by resampling them."""
        return median_interval(values, seed=self.seed, resamples=self.resamples)

    def counted(self, units: int, statistic: Callable[[Doubles], Doubles]) -> Interval:
        """Return a figure whose units, photos say, may carry any amount of data; see `counts_interval`."""
        return counts_interval(units, statistic, seed=self.seed, resamples=self.resamples)

    def against(self, name: str, unit: str, mine: Doubles, control: Doubles, control_name: str) -> Figure:
        """Return a mean over photos beside that of its control, paired photo by photo."""
        difference = self.mean(mine - control)
        return Figure(name, unit, self.mean(mine), self.mean(control), control_name, difference)


@dataclass(frozen=True)
class Study:
    """Photos of known places and the alignments that answer them.

    Attributes:
        photos: Names of the n photos; none for a study of maps alone.
        files: Their files, or none.
        lat: True latitudes in degrees, shape (n,).
        lon: True longitudes in degrees, shape (n,).
        features: Features of every photo, as `encode_image` takes them.
        alignments: One a fold; a single one where the release itself answers.
        rankings: How scores become probabilities, one a fold.
        fold_of: Fold of every photo, shape (n,).
        labels: Names of the k concepts.
        gallery: Places that can be answered.
        cells: H3 cells of the gallery.
        release: The release's own alignment, which need not answer any photo: for tests without photos.
        held_out: Whether no alignment has learned from a photo that it answers.
        random_sets: Alignments with random banks, one a draw and fold, for kinds that need training.
        embed: Embeds changed photos, upright RGB images; None where there are no image files.
        open_image: Opens a photo as such an image.
    """

    photos: tuple[str, ...]
    files: tuple[Path, ...]
    lat: Doubles
    lon: Doubles
    features: tuple[Floats, ...]
    alignments: tuple[Alignment, ...]
    rankings: tuple[RankingConfig, ...]
    fold_of: Rows
    labels: tuple[ConceptLabel, ...]
    gallery: Gallery
    cells: CellIndex
    release: Alignment
    held_out: bool = False
    random_sets: tuple[tuple[Alignment, ...], ...] = ()
    embed: Callable[[Image.Image], Floats] | None = None
    open_image: Callable[[Path], Image.Image] = lambda path: open_photo(path).image

    @cached_property
    def codes(self) -> tuple[ImageCode, ...]:
        """Every photo as its alignment sees it."""
        return tuple(
            self.alignments[fold].encode_image(features)
            for fold, features in zip(self.fold_of, self.features, strict=True)
        )

    @cached_property
    def best(self) -> Rows:
        """The best-scoring place of every photo, remainder included: row of the gallery, shape (n,)."""
        return np.array([self.scores(photo).argmax() for photo in range(len(self.photos))], np.intp)

    @property
    def protocol(self) -> str:
        """Which alignment answered which photo, in words."""
        count = len(self.alignments)
        if not self.photos:
            return "maps alone"
        if not self.held_out:
            return "the release itself answers"
        if count == len(self.photos):
            return "every photo is answered by a head that has learned from the others"
        return (
            f"every photo is answered by the head of its fold, which has not learned from it ({count} folds)"
        )

    def alignment(self, photo: int) -> Alignment:
        """Return the alignment that answers a photo."""
        return self.alignments[int(self.fold_of[photo])]

    def ranking(self, photo: int) -> RankingConfig:
        """Return how scores of a photo become probabilities."""
        return self.rankings[int(self.fold_of[photo])]

    def scores(self, photo: int, code: ImageCode | None = None) -> Floats:
        """Score the gallery for a photo, or for another code of it, shape (places,)."""
        return self.alignment(photo).scores(code or self.codes[photo], self.gallery.embeddings)

    def contributions_at_best(self, photo: int) -> Floats:
        """Return what each concept contributes to the best-scoring place of a photo, shape (k,)."""
        here = self.gallery.embeddings[self.best[photo]][None]
        parts: Floats = self.alignment(photo).contributions(self.codes[photo], here).concepts[0]
        return parts

    def members(self, fold: int) -> Rows:
        """Return the photos that a fold's alignment answers."""
        return np.flatnonzero(self.fold_of == fold)

    def others(self, fold: int) -> Rows:
        """Return the photos that a fold's alignment may have learned from; all where there are no folds."""
        others = np.flatnonzero(self.fold_of != fold)
        return others if self.held_out and len(others) else np.arange(len(self.photos))

    def errors_km(self, rows: Sequence[int] | Rows, photos: Rows | slice = slice(None)) -> Doubles:
        """Return the distance from places of the gallery, one a photo in the last axis, to the truth."""
        points, gallery = np.asarray(rows, np.intp), self.gallery
        return great_circle_km(self.lat[photos], self.lon[photos], gallery.lat[points], gallery.lon[points])

    def feature_rows(self, photos: Sequence[int] | Rows) -> Doubles:
        """Return features as rows, shape (m, p); several views are averaged at unit length."""
        rows = []
        for photo in photos:
            one = np.atleast_2d(self.features[photo].astype(np.float64))
            rows.append((one / np.linalg.norm(one, axis=1, keepdims=True)).mean(axis=0))
        return np.array(rows)

    def drawn(self, wanted: int, seed: int, *, number: int) -> list[int]:
        """Draw photos for a test that cannot look at all, in their order; `number` is the test's."""
        order = np.random.default_rng((seed, number)).permutation(len(self.photos))[:wanted]
        return sorted(int(photo) for photo in order)


def strongest(values: Floats | Doubles, count: int | None = None) -> Rows:
    """Return what is not 0, at most `count` of it, largest first by size."""
    order = np.argsort(-np.abs(values), kind="stable")[:count]
    found: Rows = order[values[order] != 0]
    return found


def maps_study(locator: Locator) -> Study:
    """Return a study without photos, for the test of concept maps."""
    heads = HeldOut((locator.parts.alignment,), (locator.parts.ranking,), np.empty(0, np.intp), ())
    return _study(locator, heads, (), (), np.empty((0, 2)), ())


def photo_study(
    locator: Locator,
    benchmark: Benchmark,
    files: Mapping[str, Path],
    cache: EmbeddingCache,
    *,
    held_out: Path | None = None,
    progress: Progress | None = None,
    on_error: Callable[[PhotoError], None] | None = None,
) -> Study:
    """Look at photos and give each the alignment that answers it.

    Args:
        locator: The release.
        benchmark: The photos and their truth.
        files: The files of the photos.
        cache: Embeds photos with the tower of the release, and keeps what it made.
        held_out: Folder of alignments that have not learned from the photos they answer.
        progress: Called with photos done and photos in all.
        on_error: Called with each photo that cannot be read; it is left out.

    Raises:
        UsageError: Fewer than two photos can be read, or one has no fold.
        MissingFileError: A file of the folder is missing or damaged.
    """
    paths = [files[query.photo] for query in benchmark.queries]
    found = cache.embed_photos([StoredPhoto.of(path) for path in paths], progress=progress)
    if on_error:
        for photo, reason in found.unreadable.items():
            on_error(PhotoError(str(paths[photo]), reason))
    readable = [photo for photo in range(len(paths)) if photo not in found.unreadable]
    kept = [benchmark.queries[photo] for photo in readable]
    if len(kept) < 2:
        raise UsageError("a scorecard needs at least two photos that can be read")
    parts, names = locator.parts, tuple(query.photo for query in kept)
    if held_out is None:
        heads = HeldOut((parts.alignment,), (parts.ranking,), np.zeros(len(names), np.intp), ())
    else:
        ids = parts.alignment.concept_ids
        heads = read_held_out(held_out, names, concept_ids=ids, ranking=parts.ranking)
    truth = np.array([(query.lat, query.lon) for query in kept])
    return _study(
        locator,
        heads,
        names,
        [paths[photo] for photo in readable],
        truth,
        [found[photo] for photo in readable],
        held_out=held_out is not None,
        embed=cache.embed,
    )


def _study(
    locator: Locator,
    heads: HeldOut,
    photos: tuple[str, ...],
    files: Sequence[Path],
    truth: Doubles,
    features: Sequence[Floats],
    *,
    held_out: bool = False,
    embed: Callable[[Image.Image], Floats] | None = None,
) -> Study:
    parts = locator.parts
    return Study(
        photos=photos,
        files=tuple(files),
        lat=truth[:, 0],
        lon=truth[:, 1],
        features=tuple(features),
        alignments=heads.alignments,
        rankings=heads.rankings,
        fold_of=heads.fold_of,
        labels=parts.concepts,
        gallery=parts.gallery,
        cells=locator.cells,
        release=parts.alignment,
        held_out=held_out,
        random_sets=heads.random_sets,
        embed=embed,
    )


def trained_on(directory: Path, study: Study) -> str:
    """Say what a release has learned from.

    A release may list the SHA-256 of its training photos in `training_photos.txt`, one a line. Without it, an
    alignment whose mean of features is the mean of just these photos has learned from them.

    Args:
        directory: The release.
        study: The photos, and the release's alignment.

    Returns:
        "these photos", "some of these photos", "none of these photos" or "not known".
    """
    path = directory / "training_photos.txt"
    if path.is_file():
        lines = (line.partition("#")[0].strip().lower() for line in path.read_text("utf-8").splitlines())
        known = {line for line in lines if line}
        met = sum(hashlib.sha256(file.read_bytes()).hexdigest() in known for file in study.files)
        if not met:
            return "none of these photos"
        return "these photos" if met == len(study.files) else "some of these photos"
    mean, rows = getattr(study.release, "feature_mean", None), study.feature_rows(range(len(study.photos)))
    same = mean is not None and mean.shape == rows.shape[1:]
    return "these photos" if same and np.abs(rows.mean(axis=0) - mean).max() <= 1e-4 else "not known"
