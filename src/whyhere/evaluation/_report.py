"""What an evaluation found, as Markdown for people and pull requests, as JSON, and as a folder of files."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from whyhere._io import write_atomically
from whyhere._text import csv_rows
from whyhere.errors import UsageError
from whyhere.evaluation._calibration import Calibration
from whyhere.evaluation._charts import bias_map, error_chart, reliability_chart, risk_coverage_chart
from whyhere.evaluation._evaluation import Comparison, Evaluation, PhotoScore
from whyhere.evaluation._metrics import DISTANCES, THRESHOLDS_KM, Group
from whyhere.images import display_name
from whyhere.stats import Interval

COUNTRY_ROWS = 30
LINES_SHOWN = 12

_WITHIN = [f"% within {name}" for name in DISTANCES]


def to_markdown(
    evaluation: Evaluation,
    *,
    against: Evaluation | None = None,
    comparison: Comparison | None = None,
    headline: bool = False,
) -> str:
    """Write an evaluation as Markdown.

    Args:
        evaluation: What was found.
        against: A second system on the same benchmark, for the first table.
        comparison: The two compared.
        headline: What matters most alone: the accuracy, and the comparison.

    Returns:
        Text that ends with a newline.
    """
    pieces = [*_head(evaluation), *_accuracy(evaluation, against), *_kinds(evaluation, against)]
    if comparison:
        pieces += [*_comparison(comparison), *_compared_kinds(comparison)]
    if headline:
        return "\n".join(pieces).rstrip("\n") + "\n"
    pieces += [*_names(evaluation), *_calibration(evaluation.calibration), *_leakage(evaluation)]
    pieces += _groups("By continent", "continent", evaluation.continents, len(evaluation.continents))
    pieces += _groups("By country", "country", evaluation.countries, COUNTRY_ROWS)
    pieces += _problems(evaluation)
    return "\n".join(pieces) + "\n"


def _head(evaluation: Evaluation) -> Iterator[str]:
    benchmark = evaluation.benchmark
    columns = benchmark["columns"]
    yield f"# {_text(evaluation.system)} on {_text(benchmark['name'])}\n"
    layout = f", layout: {columns['layout']}" if columns else ""
    yield f"- Photos scored: {evaluation.photos:,} of {benchmark['rows']:,} rows{layout}."
    silent = evaluation.photos - evaluation.answered
    yield f"- Answered with a position: {evaluation.answered:,}. Without one, and so wrong: {silent:,}."
    if benchmark["protocol"]:
        yield f"- Protocol: {_protocol(benchmark['protocol'])}"
    imprecise = sum(score.precision_km > 0 for score in evaluation.scores)
    if imprecise:
        counted = ", ".join(
            f"{sum(score.precision_km < threshold for score in evaluation.scores):,} within {name}"
            for threshold, name in zip(THRESHOLDS_KM, DISTANCES, strict=True)
        )
        yield f"- A photo counts at distances that its position is known better than: {counted}."
    yield "- Distances are great-circle distances on a sphere of radius 6371.0088 km."
    yield f"- Intervals: 95 %, bootstrap over photos, {evaluation.resamples:,} resamples."
    if evaluation.seconds_per_photo is not None:
        yield f"- Time: {evaluation.seconds_per_photo:.3g} s a photo (mean, wall clock)."
    yield ""


def _accuracy(evaluation: Evaluation, against: Evaluation | None) -> Iterator[str]:
    yield "## Accuracy\n"
    columns = [*DISTANCES, "median km", "mean km", "GeoScore"]
    yield from _header(["answer", *_WITHIN, *columns[5:]])
    for system in (evaluation, against):
        if system is None:
            continue
        name = _text(system.system)
        yield _row([f"{name}, first", *(_figure(system.accuracy[column]) for column in columns)])
        best = system.best_of_five
        if best:
            yield _row(
                [f"{name}, best of five", *(_figure(best[column]) for column in DISTANCES), "", "", ""]
            )
    yield ""


def _protocol(protocol: Mapping[str, Any]) -> str:
    how = {
        "new-places": f"nothing within {protocol['cluster_km']:g} km of a photo is learned from",
        "known-places": "the photos asked about have another, independent one within "
        f"{protocol['known_km']:g} km that is learned from",
        "photos": "all other photos are learned from",
    }[protocol["split"]]
    folds = f"{protocol['folds']} folds" if protocol["folds"] else "one left out at a time"
    kinds = f"; only {', '.join(map(_text, protocol['kinds']))}" if protocol["kinds"] else ""
    return f"{_text(protocol['name'])} ({folds}): {how}; near-duplicates are never on both sides{kinds}."


def _kinds(evaluation: Evaluation, against: Evaluation | None) -> Iterator[str]:
    if not evaluation.kinds:
        return
    yield "## By kind of photo\n"
    yield from _header(["kind", "photos", "answer", *_WITHIN, "median km", "GeoScore"])
    others = {kind.name: kind for kind in against.kinds} if against else {}
    for kind in evaluation.kinds:
        for system, figures in ((evaluation, kind), (against, others.get(kind.name))):
            if system and figures:
                columns = [*DISTANCES, "median km", "GeoScore"]
                cells = [_figure(figures.accuracy[column]) for column in columns]
                yield _row([_text(kind.name), f"{figures.photos:,}", _text(system.system), *cells])
    yield ""


def _compared_kinds(comparison: Comparison) -> Iterator[str]:
    if not comparison.kinds:
        return
    columns = [*DISTANCES, "median km"]
    yield "By kind of photo, first less second:\n"
    yield from _header(["kind", "photos", *_WITHIN, "median km"])
    for name, one in comparison.kinds.items():
        cells = [_figure(one.figures[c].difference) if c in one.figures else "-" for c in columns]
        yield _row([_text(name), f"{one.photos:,}", *cells])
    yield ""


def _comparison(comparison: Comparison) -> Iterator[str]:
    first, second = _text(comparison.first), _text(comparison.second)
    both = f", and the mean the {comparison.answered_by_both:,} that both answered"
    yield f"## {first} against {second}\n"
    yield (
        f"{comparison.photos:,} photos. {first} is nearer to the truth on {comparison.closer:,}, {second} on "
        f"{comparison.farther:,}, equally near {comparison.equal:,}. Differences are first less second, on "
        "the same resampled photos; a difference is clear where its interval leaves out 0. Figures count "
        f"these photos alone{both}, so that they may differ from those above.\n"
    )
    yield from _header(["figure", first, second, "difference", "clear"])
    for name, figure in comparison.figures.items():
        title = f"% within {name}" if name in DISTANCES else "% country right" if name == "country" else name
        if name == "mean km":
            title = f"mean km ({comparison.answered_by_both:,} photos)"
        clear = "yes" if figure.resolved else "no"
        yield _row([title, _number(figure.first), _number(figure.second), _figure(figure.difference), clear])
    yield ""


def _names(evaluation: Evaluation) -> Iterator[str]:
    yield "## Names\n"
    yield from _header(["level", "photos with a truth", "of these from the table", "% right"])
    for level, figure in evaluation.names.items():
        right = _figure(figure.right) if figure.right else "-"
        yield _row([level, f"{figure.photos:,}", f"{figure.from_table:,}", right])
    yield "\nTruths that the table does not give are GeoNames' for the position; answers are named alike.\n"


def _calibration(found: Calibration) -> Iterator[str]:
    if found.reliability is None and not found.confidence and found.abstention is None:
        return
    yield "## Calibration\n"
    yield (
        f"Right: the truth lies within the radius that the answer states ({found.stated_radius:,} photos), "
        f"else within {found.radius_km:g} km.\n"
    )
    stated = found.reliability
    if stated:
        yield from _header(["probability of the first answer", "photos", "mean probability", "right"])
        for b in stated.bins:
            yield _row(
                [f"{b.low:.1f} to {b.high:.1f}", f"{b.photos:,}", f"{b.probability:.3f}", f"{b.right:.3f}"]
            )
        yield (
            f"\nMean probability {_figure(stated.probability, 3)}, right {_figure(stated.right, 3)}; "
            f"expected calibration error {_figure(stated.ece, 3)}, Brier score {_figure(stated.brier, 3)}.\n"
        )
    if found.confidence:
        yield from _header(["confidence", "photos", "right", "median km"])
        for level in found.confidence:
            cells = [f"{level.photos:,}", f"{level.right:.3f}", _number(level.median_km)]
            yield _row([f"{level.confidence:g}", *cells])
        yield ""
    curve = found.risk_coverage
    if curve:
        yield f"Answering only the surest, by {curve.order} (area under the wrong share: {curve.area:.3f}):\n"
        yield from _header(["share answered", *(f"{100 * share:.0f} %" for share in curve.coverage)])
        yield _row(["right", *(f"{share:.3f}" for share in curve.right)]) + "\n"
    own = found.abstention
    if own:
        yield (
            f"It abstains on {own.abstained:,} of {own.photos:,} photos: right where it answers "
            f"{_number(own.right_answered, 3)}, where it abstains {_number(own.right_abstained, 3)}.\n"
        )


def _leakage(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.leakage
    yield "## Leakage\n"
    if found is None:
        yield "Not checked: no gallery was given (`--gallery`).\n"
        return
    yield (
        f"{found.leaked:,} of {evaluation.photos:,} photos were taken at one of the {found.gallery:,} "
        "positions of the gallery, to 25 m or 0.0001 degrees."
    )
    if found.leaked and found.without:
        yield "Without them:\n"
        yield from _header([*_WITHIN, "median km", "mean km", "GeoScore"])
        yield _row([_figure(figure) for figure in found.without.values()])
    yield ""


def _groups(title: str, kind: str, groups: Sequence[Group], limit: int) -> Iterator[str]:
    yield f"## {title}\n"
    yield from _header(
        [
            kind,
            "photos",
            "answered here",
            *_WITHIN,
            "median km",
            "GeoScore",
            "% country",
        ]
    )
    for group in groups[:limit]:
        figures = [_figure(figure) for figure in group.within.values()]
        rest = [_number(group.median_km), _number(group.geoscore, 0), _number(group.country_right, 1)]
        yield _row([group.name, f"{group.photos:,}", f"{group.answered_here:,}", *figures, *rest])
    if len(groups) > limit:
        yield f"\n{len(groups) - limit} more in the JSON form."
    yield ""


def _problems(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.problems:
        return
    yield "## Left out\n"
    counts = Counter(problem.kind for problem in evaluation.problems)
    for kind, count in counts.items():
        members = [problem for problem in evaluation.problems if problem.kind == kind]
        shown = "; ".join(
            (f"line {p.line}" if p.line else _text(p.photo or "")) + f": {_text(p.reason)}"
            for p in members[:LINES_SHOWN]
        )
        more = f"; {count - LINES_SHOWN:,} more" if count > LINES_SHOWN else ""
        yield f"- {kind}: {count:,} ({shown}{more})"
    yield ""


def _header(names: Sequence[str]) -> Iterator[str]:
    yield _row(names)
    yield "|" + "---|" * len(names)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _figure(figure: Interval, digits: int | None = None) -> str:
    """Return a figure with its interval where it has one."""
    value = _number(figure.value, digits)
    if math.isnan(figure.low):
        return value
    return f"{value} ({_number(figure.low, digits)} to {_number(figure.high, digits)})"


def _number(value: float, digits: int | None = None) -> str:
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "-∞" if value < 0 else "∞"
    if digits is None:
        digits = 0 if abs(value) >= 100.5 else 1
    text = f"{value:,.{digits}f}"
    return text.removeprefix("-") if float(text.replace(",", "")) == 0 else text


def _text(text: str) -> str:
    """Make a name safe to stand in a line of Markdown."""
    return re.sub(r"([|<>`*_\[\]])", r"\\\1", display_name(text))


def to_json(
    evaluation: Evaluation, *, against: Evaluation | None = None, comparison: Comparison | None = None
) -> str:
    """Write an evaluation as JSON.

    Args:
        evaluation: What was found; the object itself.
        against: A second system, under "against".
        comparison: The two compared, under "comparison".

    Returns:
        Indented text that ends with a newline.
    """
    value: dict[str, Any] = evaluation.to_dict()
    if against:
        value["against"] = against.to_dict()
    if comparison:
        value["comparison"] = comparison.to_dict()
    return json.dumps(value, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def write_evaluation(
    evaluation: Evaluation,
    folder: Path,
    *,
    against: Evaluation | None = None,
    comparison: Comparison | None = None,
) -> tuple[Path, ...]:
    """Write evaluation.json, evaluation.md, photos.csv, map.svg and the charts.

    Args:
        evaluation: What was found.
        folder: Where to; made where absent. Files of an earlier evaluation are replaced.
        against: A second system on the same benchmark.
        comparison: The two compared.

    Returns:
        The files.

    Raises:
        UsageError: The folder cannot be written.
    """
    texts = {
        "evaluation.json": to_json(evaluation, against=against, comparison=comparison),
        "evaluation.md": to_markdown(evaluation, against=against, comparison=comparison),
        "photos.csv": _photos_csv(evaluation),
        "map.svg": bias_map(evaluation),
        "errors.svg": error_chart(evaluation),
        "reliability.svg": reliability_chart(evaluation),
        "risk_coverage.svg": risk_coverage_chart(evaluation),
    }
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            if text is None:  # of an earlier evaluation, perhaps, but not of this one
                (folder / name).unlink(missing_ok=True)
            else:
                write_atomically(folder / name, text)
                written.append(folder / name)
    except OSError as error:
        raise UsageError(f"--out {folder}: cannot write there: {error.strerror or error}") from error
    return tuple(written)


def _photos_csv(evaluation: Evaluation) -> str:
    """Return one row a photo; what is unknown or infinite is empty."""
    names = PhotoScore.__struct_fields__
    rows = (score.to_dict() for score in evaluation.scores)
    return csv_rows([names, *(row.values() for row in rows)])
