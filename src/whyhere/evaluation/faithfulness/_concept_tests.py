"""Tests of what concepts are called, against open data: 2 intervention, 4 concept maps; and both together.

Intervention: the coefficient of a concept is set to zero (or doubled), the photo is ranked again, and the
mean of the concept's open reference under the predicted distribution is read before and after. A decision
that uses the concept for what it is called moves away from where it is common (or towards it). Controls:
taking the same amount from another concept that the photo shows about as much; and reading the effect off the
reference of another name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as changed_study
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from whyhere.concepts import ConceptLabel
from whyhere.evaluation.faithfulness._controls import (
    HALVES,
    MAP_PARTS,
    CodeScorer,
    Regrounded,
    derangements,
    grounded_columns,
    probabilities,
    without_maps,
)
from whyhere.evaluation.faithfulness._study import (
    Cell,
    Doubles,
    Figure,
    Floats,
    Outcome,
    Progress,
    Rows,
    Settings,
    Study,
    Table,
    strongest,
)
from whyhere.geo import lat_lon_of
from whyhere.ranking import CellIndex
from whyhere.references import Reference, agreement, cell_table, forest_by_state, reference_for
from whyhere.stats import Interval, auroc, mean_ranks, nan_mean

CONTROLS = 3
"""Other concepts of about equal strength that the same amount is taken from, one after the other."""

SHOWN = 5
"""A concept is shown for a photo where it is among so many largest contributions to the best place."""

BAR = 0.75
LEAST_CONCEPTS = 15
SAYINGS = ("confirmed", "undecided", "contradicted", "untested")

_INTERVENTION = Outcome(
    2,
    "Intervention",
    "Does removing or boosting a concept move the answer where open data says it should?",
    rule="Passes where the effect of removing a concept exceeds that of taking the same amount from another "
    "concept of the photo with the whole 95 % interval of the mean over concepts above 0, and for more than "
    "half of the concepts; fails where the difference is not positive, or half of the concepts or more do no "
    "better than the control.",
)
_MAPS = Outcome(
    4,
    "Concept maps against open data",
    "Is a concept's map high where open data says that the thing is?",
    rule=f"Passes where at least {LEAST_CONCEPTS} concepts have an open reference, the median AUROC over "
    f"them is at least {BAR}, and it lies above that of every draw of shuffled names; fails where the median "
    f"lies below {BAR} or within the shuffled ones.",
)


Lookup = Callable[[str], Any]
"""From a concept id to its reference, or None."""


@dataclass(frozen=True, slots=True)
class CellReferences:
    """References at the occupied cells of a gallery.

    Attributes:
        columns: Concepts that have one, as columns of the alignment, shape (c,).
        names: Names of the references.
        values: 0 to 1 at every cell, more where the concept is more common, NaN where unknown, shape (c, m).
    """

    columns: tuple[int, ...]
    names: tuple[str, ...]
    values: Doubles

    @classmethod
    def read(
        cls, labels: Sequence[ConceptLabel], cells: CellIndex, lookup: Lookup = reference_for
    ) -> CellReferences:
        """Read every reference there is at the mean position of each cell's gallery points."""
        lat, lon = lat_lon_of(cells.centres())
        columns, names, rows = [], [], []
        for column, label in enumerate(labels):
            reference = lookup(label.id)
            if reference is None:
                continue
            values = unit_values(reference, lat, lon)
            if np.unique(values[~np.isnan(values)]).size >= 2:
                columns.append(column)
                names.append(reference.name)
                rows.append(values)
        return cls(tuple(columns), tuple(names), np.array(rows).reshape(len(rows), len(lat)))

    def means(self, probabilities: Doubles) -> Doubles:
        """Return the mean of every reference under distributions over cells, (r, m) to (r, c).

        Cells without a value are left out of the mean.
        """
        known = ~np.isnan(self.values)
        above = probabilities @ np.where(known, self.values, 0.0).T
        means: Doubles = above / np.maximum(probabilities @ known.T.astype(np.float64), 1e-300)
        return means


def unit_values(reference: Reference, lat: Doubles, lon: Doubles) -> Doubles:
    """Return a reference from 0 to 1: shares as they are, anything else by its rank among these places."""
    values = np.asarray(reference.values(lat, lon), np.float64)
    if reference.kind == "binary":
        return values
    known = ~np.isnan(values)
    ranks = np.full(len(values), np.nan)
    if known.any():
        ranks[known] = (mean_ranks(values[known]) - 0.5) / known.sum()
    return ranks if reference.higher_means_more else 1.0 - ranks


@dataclass(frozen=True, slots=True)
class _Effects:
    """Effects by photo and concept with a reference, shape (n, c); NaN where the concept is not active.

    A concept with a negative coefficient, of which the photo shows less than usual, pulls away from where it
    is common: falls and rises change their signs.

    Attributes:
        removed: Fall of the reference's mean when the concept is removed.
        boosted: Rise of it when the concept is doubled.
        removed_control: The fall of the same reference when others lose the same amount, mean over them.
        boosted_control: The rise of it when others gain the same amount.
        others: Fall of every reference when the concept is removed, shape (n, c, c).
        shown: Whether the photo's report would show the concept.
    """

    removed: Doubles
    boosted: Doubles
    removed_control: Doubles
    boosted_control: Doubles
    others: Doubles
    shown: NDArray[np.bool_]


def _effects(
    study: Study, settings: Settings, references: CellReferences, progress: Progress | None
) -> _Effects:
    """Intervene in every photo, one concept with a reference at a time."""
    n, c = len(study.photos), len(references.columns)
    one, two, three, four = np.full((4, n, c), np.nan)
    found = _Effects(one, two, three, four, np.full((n, c, c), np.nan), np.zeros((n, c), np.bool_))
    done = 0
    for fold, alignment in enumerate(study.alignments):
        scorer = CodeScorer(alignment, study.gallery.embeddings)
        for photo in study.members(fold):
            if progress:
                progress(done, n)
            done += 1
            _intervene(study, int(photo), settings, references, scorer, found)
    return found


def _intervene(
    study: Study,
    photo: int,
    settings: Settings,
    references: CellReferences,
    scorer: CodeScorer,
    found: _Effects,
) -> None:
    """Intervene in one photo and note the effects."""
    code = study.codes[photo]
    active = strongest(code.z_img)
    mine = [int(concept) for concept in active if int(concept) in references.columns]
    if not mine or len(active) < 2:
        return
    rng = np.random.default_rng((settings.seed, photo, 2))
    changed: list[Floats] = [code.z_img]
    first: list[int] = []  # row of each concept's own changes; those of its controls follow

    def both_ways(concept: int, amount: np.float32) -> None:
        for change in (-amount, amount):
            changed.append(code.z_img.copy())
            changed[-1][concept] += change

    for concept in mine:
        first.append(len(changed))
        for one in (concept, *_alike(active, code.z_img, concept, rng)):
            both_ways(one, code.z_img[concept])
    scores = scorer.scores(code, np.array(changed, np.float32))
    means = references.means(probabilities(scores, study.cells, study.ranking(photo)))
    best = study.gallery.embeddings[[int(scores[0].argmax())]]
    parts = study.alignment(photo).contributions(code, best).concepts[0]
    shown = np.argsort(-np.abs(parts), kind="stable")[:SHOWN]
    for concept, start, end in zip(mine, first, [*first[1:], len(changed)], strict=True):
        column, sign = references.columns.index(concept), float(np.sign(code.z_img[concept]))
        falls = sign * (means[0] - means[start])
        rises = sign * (means[start + 1 : end : 2, column] - means[0, column])
        found.others[photo, column] = falls
        found.removed[photo, column] = falls[column]
        found.boosted[photo, column] = rises[0]
        found.shown[photo, column] = concept in shown
        controls = sign * (means[0, column] - means[start + 2 : end : 2, column])
        found.removed_control[photo, column] = float(controls.mean())
        found.boosted_control[photo, column] = float(rises[1:].mean())


def _alike(active: Rows, z: Floats, concept: int, rng: np.random.Generator) -> list[int]:
    """Draw other active concepts of about the same coefficient."""
    others = active[active != concept]
    nearest = others[np.argsort(np.abs(np.abs(z[others]) - np.abs(z[concept])), kind="stable")]
    return [int(one) for one in rng.permutation(nearest[: 2 * CONTROLS])[:CONTROLS]]


def _held_out_effects(
    study: Study,
    settings: Settings,
    references: CellReferences,
    regrounded: Regrounded,
    progress: Progress | None,
) -> _Effects:
    """Return effects read only where the alignment's maps were not taught, averaged over two halves."""
    part = regrounded.parts(HALVES)
    found = []
    for half in range(HALVES):
        held = part == half
        taught = tuple(regrounded.without(alignment, held) for alignment in study.alignments)
        values = np.where(regrounded.cells(held), references.values, np.nan)
        there = CellReferences(references.columns, references.names, values)
        found.append(_effects(changed_study(study, alignments=taught), settings, there, progress))
    names = ("removed", "boosted", "removed_control", "boosted_control", "others")
    means = {name: nan_mean(np.stack([getattr(one, name) for one in found]), 0) for name in names}
    return _Effects(**means, shown=np.any([one.shown for one in found], axis=0))


def intervention_test(
    study: Study,
    settings: Settings,
    references: CellReferences,
    regrounded: Regrounded | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Test 2: whether taking a concept away moves the answer away from where open data says it is common.

    Args:
        study: Photos and alignments.
        settings: Seed and draws.
        references: Open references at the cells.
        regrounded: Teaches alignments anew, where they have learned from open maps.
        progress: Called with photos done and photos in all.
    """
    if len(references.columns) < 2:
        reason = f"Only {len(references.columns)} concepts of the release have an open reference."
        return replace(_INTERVENTION, reason=reason)
    if regrounded is None:
        effects = _effects(study, settings, references, progress)
    else:
        effects = _held_out_effects(study, settings, references, regrounded, progress)
    names = [study.labels[column].name for column in references.columns]
    support = (~np.isnan(effects.removed)).sum(axis=0)
    enough = np.flatnonzero(support >= settings.support)
    if not len(enough):
        reason = f"No concept with a reference is active in {settings.support} photos or more."
        return replace(_INTERVENTION, reason=reason)
    gaps = [settings.mean(effects.removed[:, c] - effects.removed_control[:, c]) for c in enough]
    better = [gap.value > 0 for gap in gaps]
    clear = [gap.low > 0 for gap in gaps]
    figures = _intervention_figures(effects, enough, better, clear, settings)
    gap = figures[0].difference
    assert gap is not None
    reason = (
        f"Removing a concept moves the answer {gap.value:+.4f} ({gap.low:+.4f} to {gap.high:+.4f}) further "
        f"from where it is common than the control; {sum(better)} of {len(better)} concepts do better than "
        "the control."
    )
    fails = gap.value <= 0 or 2 * sum(better) <= len(better)
    failing = [names[c] for c, good in zip(enough, better, strict=True) if not good]
    unclear = [names[c] for c, good, sure in zip(enough, better, clear, strict=True) if good and not sure]
    notes = [
        "Effects are changes of the mean of the reference under the predicted distribution. Continuous "
        "references are scaled to their rank among the cells of the gallery, 0 to 1, so an effect of 0.01 is "
        "one percentile; yes-or-no references are shares.",
        f"No larger than the control: {', '.join(failing) or 'none'}.",
        f"Larger, but the interval reaches 0: {', '.join(unclear) or 'none'}.",
        f"{len(support) - len(enough)} of {len(support)} concepts with a reference are active in fewer than "
        f"{settings.support} photos and have no row.",
    ]
    if regrounded is not None:
        notes.insert(
            0,
            "Concepts of the release have learned from these very references. So the Earth was cut into two "
            "halves of dealt-out blocks: each effect is read in one half, with alignments taught on the "
            "other, and the two are averaged. Neighbouring blocks are alike and countries lie in several, so "
            "the effects are still too good.",
        )
    rows: list[tuple[Cell, ...]] = []
    for c, one in zip(enough, gaps, strict=True):
        there = ~np.isnan(effects.removed[:, c])
        removed, control = effects.removed[there, c].mean(), effects.removed_control[there, c].mean()
        boosted = float((effects.boosted[there, c] - effects.boosted_control[there, c]).mean())
        counts = int(there.sum()), int(effects.shown[:, c].sum())
        effect = float(removed), float(control), one.value, one.low, one.high, boosted
        rows.append((names[c], references.names[c], *counts, *effect))
    columns = (
        "concept", "reference", "photos", "shown in", "effect of removing", "control", "difference", "low",
        "high", "boosting: difference",
    )  # fmt: skip
    ordered = tuple(rows[place] for place in np.argsort([-one.value for one in gaps], kind="stable"))
    return replace(
        _INTERVENTION,
        verdict="fails" if fails else "passes" if gap.low > 0 else "undecided",
        reason=reason,
        figures=figures,
        tables=(Table("concepts", "Intervention by concept", columns, ordered),),
        notes=tuple(notes),
    )


def _intervention_figures(
    effects: _Effects, enough: Rows, better: Sequence[bool], clear: Sequence[bool], settings: Settings
) -> tuple[Figure, ...]:
    def mean(values: Doubles) -> Interval:
        """Return the mean over concepts of each one's mean over photos, by resampling photos."""
        there = ~np.isnan(values)
        total, count = np.where(there, values, 0.0), there.astype(np.float64)
        return settings.counted(len(values), lambda times: mean_of_means(total, count, times))

    figures = []
    control = f"the same amount from up to {CONTROLS} other concepts of the photo"
    for name, effect, other in (
        ("removing a concept", effects.removed, effects.removed_control),
        ("boosting a concept", effects.boosted, effects.boosted_control),
    ):
        mine, his = effect[:, enough], other[:, enough]
        figures.append(Figure(name, "", mean(mine), mean(his), control, mean(mine - his)))
    # Each draw reads every concept's effect off the reference of another concept.
    orders = derangements(effects.removed.shape[1], settings.draws, seed=settings.seed)
    his = np.mean([effects.others[:, enough, order[enough]] for order in orders], axis=0)
    mine, control = effects.removed[:, enough], f"names shuffled, mean of {len(orders)} draws"
    name = "removing a concept, by its own name"
    figures.append(Figure(name, "", mean(mine), mean(his), control, mean(mine - his)))
    return (
        *figures,
        Figure("concepts with a larger effect than the control", "%", _share(better)),
        Figure("concepts whose interval lies above it", "%", _share(clear)),
    )


def mean_of_means(total: Doubles, count: Doubles, times: Doubles) -> Doubles:
    """Return the mean over columns of each column's mean over photos, shape (r,).

    Args:
        total: Sum of what a photo adds to a column, shape (n, c).
        count: How many values that sum has, shape (n, c); columns that a set leaves empty are left out.
        times: How often each photo counts, shape (r, n).
    """
    below = times @ count
    means = np.where(below > 0, (times @ total) / np.maximum(below, 1), 0.0)
    columns = (below > 0).sum(axis=1)
    figures: Doubles = np.where(columns > 0, means.sum(axis=1) / np.maximum(columns, 1), np.nan)
    return figures


def _share(hits: Sequence[bool]) -> Interval:
    return Interval(100.0 * sum(hits) / len(hits), float("nan"), float("nan"))


@dataclass(frozen=True, slots=True)
class _Agreement:
    """One concept's map and its reference; `present` is 1 for cells with the thing, NaN where unknown."""

    column: int
    name: str
    figures: Any
    present: Doubles

    def auroc(self, scores: Doubles) -> float:
        """Return the chance that a cell with the thing scores above one without; NaN without both."""
        known = ~np.isnan(self.present) & ~np.isnan(scores)
        found = auroc(scores[known], self.present[known] >= 0.5)
        return float("nan") if found is None else found


def maps_test(
    study: Study,
    settings: Settings,
    lookup: Lookup = reference_for,
    regrounded: Regrounded | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Test 4: whether the maps of concepts agree with open data about the Earth; no photo is needed.

    Args:
        study: The release.
        settings: Seed and draws.
        lookup: Finds open references.
        regrounded: Teaches the release anew, where it has learned from open maps.
        progress: Called with concepts done and concepts in all.
    """
    lat, lon = study.gallery.lat, study.gallery.lon
    shipped = study.release.location_concepts(study.gallery.embeddings)
    maps = shipped if regrounded is None else regrounded.held_out_maps()
    cells = cell_table(lat, lon)

    def by_cell(maps: Floats, one: _Agreement) -> Doubles:
        return np.asarray(cells.average(maps[:, one.column].astype(np.float64)), np.float64)

    found: list[_Agreement] = []
    unused: list[str] = []
    for column, label in enumerate(study.labels):
        if progress:
            progress(column, len(study.labels))
        reference = lookup(label.id)
        if reference is None:
            continue
        scores = maps[:, column].astype(np.float64)
        agreed = agreement(scores, reference, lat=lat, lon=lon, seed=settings.seed, cells=cells)
        if agreed is None:
            unused.append(label.name)
        else:
            present = np.asarray(reference.present(cells.average(reference.values(lat, lon))))
            found.append(_Agreement(column, reference.name, agreed, present))
    if len(found) < 2:
        reason = (
            f"Only {len(found)} concepts of the release have an open reference that these places can test."
        )
        return replace(_MAPS, reason=reason)
    averages = [by_cell(maps, one) for one in found]
    matrix = np.array([[one.auroc(scores) for one in found] for scores in averages])
    orders = derangements(len(found), settings.draws, seed=settings.seed)
    columns = np.arange(len(found))
    shuffled = np.array([np.median(matrix[order, columns]) for order in orders])
    others = np.nanmean([matrix[order, columns] for order in orders], axis=0)
    figures = _map_figures(found, others, shuffled, settings)
    notes = [
        f"{len(lat):,} places of the gallery, averaged over H3 cells of about 110 km; intervals by "
        "resampling blocks of about 10 degrees. The gallery lies where photos are taken: deserts, ice and "
        "open sea are thin in it.",
        '"direct" references measure the thing itself; a "proxy" only says where to expect it.',
    ]
    if regrounded is not None:
        alone = without_maps(study.release).location_concepts(study.gallery.embeddings)
        for name, these in (
            ("of maps that photos alone teach", alone),
            ("of the shipped maps, where they were taught", shipped),
        ):
            there = np.array([one.auroc(by_cell(these, one)) for one in found])
            figures.append(Figure(f"median AUROC {name}", "AUROC", settings.median(there)))
        notes.insert(
            0,
            f"{len(grounded_columns(study.release))} concepts of the release have learned from these very "
            "references. What is tested is therefore not the shipped maps: the blocks were dealt out into "
            f"{MAP_PARTS} parts, and the map of each part comes from the release taught on the other parts. "
            "A country that lies in several blocks still tells about itself: for references that are sets of "
            "countries the figure is too good.",
        )
    figures += _forest(study, maps, settings)
    if unused:
        notes.append(f"Too few places with, or without, the concept: {', '.join(unused)}.")
    aurocs = [one.figures.auroc for one in found]
    below = [study.labels[one.column].name for one in found if one.figures.auroc < BAR]
    notes.append(f"AUROC below {BAR}: {', '.join(below) or 'none'}.")
    median = float(np.median(aurocs))
    reason = (
        f"Median AUROC {median:.3f} over {len(aurocs)} concepts with an open reference; with shuffled names "
        f"{shuffled.mean():.3f} ({shuffled.min():.3f} to {shuffled.max():.3f} over {len(shuffled)} draws)."
    )
    fails = median < BAR or median <= shuffled.max()
    return replace(
        _MAPS,
        verdict="fails" if fails else "passes" if len(aurocs) >= LEAST_CONCEPTS else "undecided",
        reason=reason,
        figures=tuple(figures),
        tables=(_map_table(study, found, matrix),),
        notes=tuple(notes),
    )


def _forest(study: Study, maps: Floats, settings: Settings) -> list[Figure]:
    """Return the paper's own exhibit (Fig. 5), forest by state of the USA, where that can be done."""
    gallery = study.gallery
    for column, label in enumerate(study.labels):
        if label.id == "forest":
            try:
                found = forest_by_state(maps[:, column], lat=gallery.lat, lon=gallery.lon, seed=settings.seed)
            except ValueError:  # too few places in the United States
                return []
            name = f"forest over {len(found.states)} states of the USA, Pearson (paper: .65)"
            return [Figure(name, "rho", Interval(found.pearson, found.pearson_low, found.pearson_high))]
    return []


def _map_figures(
    found: Sequence[_Agreement], others: Doubles, shuffled: Doubles, settings: Settings
) -> list[Figure]:
    aurocs = np.array([one.figures.auroc for one in found])
    spearmans = np.array([one.figures.spearman for one in found])
    spread = Interval(float(shuffled.mean()), float(shuffled.min()), float(shuffled.max()))
    control = f"names shuffled, mean and range of {len(shuffled)} draws"
    median, gap = settings.median(aurocs), settings.median(aurocs - others)
    figures = [
        Figure("median AUROC over concepts", "AUROC", median, spread, control, gap),
        Figure("median Spearman over concepts", "rho", settings.median(spearmans)),
        Figure(f"concepts with an AUROC of at least {BAR}", "%", _share((aurocs >= BAR).tolist())),
    ]
    direct = np.array([one.figures.directness == "direct" for one in found])
    for kind, chosen in (("direct", direct), ("proxy", ~direct)):
        if chosen.any():
            name = f"median AUROC, {int(chosen.sum())} with a {kind} reference"
            figures.append(Figure(name, "AUROC", settings.median(aurocs[chosen])))
    return figures


def _map_table(study: Study, found: Sequence[_Agreement], matrix: Doubles) -> Table:
    columns = (
        "concept", "reference", "directness", "AUROC", "low", "high", "other concepts, median", "rho",
        "rho low", "rho high", "cells",
    )  # fmt: skip
    rows: list[tuple[Cell, ...]] = []
    for place in np.argsort([-one.figures.auroc for one in found], kind="stable").tolist():
        name, one = study.labels[found[place].column].name, found[place].figures
        others = float(np.nanmedian(np.delete(matrix[:, place], place)))
        area = (one.auroc, one.auroc_low, one.auroc_high, others)
        rank = (one.spearman, one.spearman_low, one.spearman_high)
        rows.append((name, found[place].name, one.directness, *area, *rank, one.cells))
    return Table("concepts", "Concept maps against open references", columns, tuple(rows))


def evidence(labels: Sequence[ConceptLabel], outcomes: Sequence[Outcome]) -> tuple[Table, ...]:
    """Join what intervention and maps say about each concept: whether its name may be believed.

    A concept is "confirmed" where every test of it lies clearly on the right side (intervention beyond the
    control, whole interval above 0; AUROC with the whole interval above one half), "contradicted" where one
    lies clearly on the wrong side, "undecided" otherwise, and "untested" without an open reference or with
    too few photos.

    Args:
        labels: The concepts.
        outcomes: Tests that were run.

    Returns:
        A row a concept (`evidence.csv`), and a summary; nothing where neither test was run.
    """
    by_test: dict[int, dict[Any, dict[str, Any]]] = {}
    for outcome in outcomes:
        if outcome.number in (2, 4) and outcome.tables:
            table = outcome.table("concepts")
            rows_of = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
            by_test[outcome.number] = {row["concept"]: row for row in rows_of}
    if not by_test:
        return ()
    rows: list[tuple[Cell, ...]] = []
    names: dict[str, list[str]] = {saying: [] for saying in SAYINGS}
    for label in labels:
        moved = by_test.get(2, {}).get(label.name, {})
        mapped = by_test.get(4, {}).get(label.name, {})
        tests = [(row, chance) for row, chance in ((moved, 0.0), (mapped, 0.5)) if row]
        if not tests:
            said = "untested"
        elif any(row["high"] < chance for row, chance in tests):
            said = "contradicted"
        else:
            said = "confirmed" if all(row["low"] > chance for row, chance in tests) else "undecided"
        names[said].append(label.name)
        effects = (moved.get(name) for name in ("photos", "difference", "low", "high"))
        areas = (mapped.get(name) for name in ("AUROC", "low", "high"))
        rows.append((label.id, label.name, said, *effects, *areas))
    columns = (
        "id", "concept", "evidence", "photos", "intervention", "intervention low", "intervention high",
        "AUROC", "AUROC low", "AUROC high",
    )  # fmt: skip
    summary = tuple((said, len(members), ", ".join(members)) for said, members in names.items())
    title = "What intervention and maps say about the concepts"
    return (
        Table("evidence", "Evidence for every concept", columns, tuple(rows), in_report=False),
        Table("evidence-summary", title, ("evidence", "concepts", "which"), summary),
    )
