"""The scorecard itself: the lines that are asked for, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from whyhere.errors import UsageError
from whyhere.evaluation.faithfulness._accuracy_line import accuracy_line
from whyhere.evaluation.faithfulness._calibration_line import calibration_line
from whyhere.evaluation.faithfulness._evidence import evidence
from whyhere.evaluation.faithfulness._exhibits import exhibits
from whyhere.evaluation.faithfulness._grounded import Regrounded, grounded_columns
from whyhere.evaluation.faithfulness._intervention_line import intervention_line
from whyhere.evaluation.faithfulness._leakage_line import leakage_line
from whyhere.evaluation.faithfulness._maps_line import maps_line
from whyhere.evaluation.faithfulness._references import CellReferences, Lookup, shipped_reference
from whyhere.evaluation.faithfulness._regions_line import RegionTest, regions_line
from whyhere.evaluation.faithfulness._scorecard import Line, Scorecard, Table
from whyhere.evaluation.faithfulness._stability_line import stability_line
from whyhere.evaluation.faithfulness._study import Settings, Study

LINES = {
    1: "accuracy",
    2: "intervention",
    3: "image regions",
    4: "concept maps",
    5: "leakage",
    6: "stability",
    7: "calibration",
}
WITHOUT_PHOTOS = (4,)
"""Lines that need no photo."""

Progress = Callable[[int, int], None]
ProgressOf = Callable[[str], Progress]


def run_lines(
    study: Study,
    settings: Settings,
    *,
    only: Sequence[int] = tuple(LINES),
    lookup: Lookup = shipped_reference,
    region_test: RegionTest | None = None,
    progress: ProgressOf | None = None,
) -> tuple[Line, ...]:
    """Measure lines.

    Args:
        study: Photos and alignments.
        settings: Seed and numbers of draws.
        only: Numbers of the lines wanted.
        lookup: Finds open references.
        region_test: Covers image regions, for line 3.
        progress: Gives the callback that shows how far a named line is.

    Returns:
        The lines in order; those that need photos are left out where the study has none.

    Raises:
        UsageError: There is no such line, or none of them can be run.
    """
    unknown = sorted(set(only) - set(LINES))
    if unknown:
        raise UsageError(f"there is no line {unknown[0]}; lines: 1 to {max(LINES)}")
    wanted = [number for number in LINES if number in only and (study.photos or number in WITHOUT_PHOTOS)]
    if not wanted:
        raise UsageError("these lines need photos; add --data TABLE and --photos DIR, or ask for line 4")
    found = []
    grounded = len(grounded_columns(study.release)) > 0 and bool({2, 4} & set(wanted))
    regrounded = Regrounded(study, seed=settings.seed) if grounded else None
    for number in wanted:
        start = time.perf_counter()
        shown = progress(f"{number}. {LINES[number]}") if progress else None
        line = _line(number, study, settings, lookup, regrounded, region_test, shown)
        found.append(replace(line, seconds=round(time.perf_counter() - start, 1)))
    return tuple(found)


def _line(
    number: int,
    study: Study,
    settings: Settings,
    lookup: Lookup,
    regrounded: Regrounded | None,
    region_test: RegionTest | None,
    progress: Progress | None,
) -> Line:
    match number:
        case 1:
            return accuracy_line(study, settings, progress)
        case 2:
            references = CellReferences.read(study.labels, study.cells, lookup)
            return intervention_line(study, settings, references, regrounded, progress)
        case 3:
            return regions_line(study, settings, region_test, progress)
        case 4:
            return maps_line(study, settings, lookup, regrounded, progress)
        case 5:
            return leakage_line(study, settings, progress)
        case 6:
            return stability_line(study, settings, progress)
        case _:
            return calibration_line(study, settings, progress)


def run_scorecard(
    study: Study,
    settings: Settings,
    *,
    release: str,
    kind: str,
    date: str,
    data: str = "",
    protocol: str = "the release itself answers",
    trained_on: str = "not known",
    only: Sequence[int] = tuple(LINES),
    lookup: Lookup = shipped_reference,
    region_test: RegionTest | None = None,
    progress: ProgressOf | None = None,
    more_exhibits: Sequence[Table] = (),
) -> Scorecard:
    """Measure lines and put them together; arguments as for `run_lines` and fields as of `Scorecard`."""
    start = time.perf_counter()
    lines = run_lines(study, settings, only=only, lookup=lookup, region_test=region_test, progress=progress)
    return Scorecard(
        release=release,
        kind=kind,
        date=date,
        data=data,
        photos=len(study.photos),
        concepts=len(study.labels),
        dims=int(study.features[0].shape[-1]) if study.photos else 0,
        protocol=protocol,
        held_out=study.held_out,
        trained_on=trained_on,
        seed=settings.seed,
        draws=settings.draws,
        lines=lines,
        exhibits=(*evidence(study.labels, lines), *exhibits(study, settings), *more_exhibits),
        seconds=round(time.perf_counter() - start, 1),
    )
