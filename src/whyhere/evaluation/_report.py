"""What an evaluation found, as Markdown for people and pull requests, as JSON, and as a folder of files."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from whyhere.report import markdown_table
from whyhere.stats import Interval

COUNTRY_ROWS = 30
PROBLEMS_SHOWN = 12

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
        pieces += _comparison(comparison)
    if headline:
        return "".join(pieces).rstrip("\n") + "\n"
    pieces += [*_names(evaluation), *_calibration(evaluation.calibration), *_leakage(evaluation)]
    pieces += _groups("continent", evaluation.continents, len(evaluation.continents))
    pieces += _groups("country", evaluation.countries, COUNTRY_ROWS)
    pieces += _problems(evaluation)
    return "".join(pieces)


def _head(evaluation: Evaluation) -> Iterator[str]:
    benchmark, scores = evaluation.benchmark, evaluation.scores
    columns, protocol = benchmark["columns"], benchmark["protocol"]
    yield f"# {_text(evaluation.system)} on {_text(benchmark['name'])}\n\n"
    layout = f", layout: {columns['layout']}" if columns else ""
    yield f"- Photos scored: {evaluation.photos:,} of {benchmark['rows']:,} rows{layout}.\n"
    silent = evaluation.photos - evaluation.answered
    yield f"- Answered with a position: {evaluation.answered:,}. Without one, and so wrong: {silent:,}.\n"
    if protocol:
        yield f"- Protocol: {_protocol(protocol)}\n"
    if any(score.precision_km > 0 for score in scores):
        counted = ", ".join(
            f"{sum(score.precision_km < threshold for score in scores):,} within {name}"
            for threshold, name in zip(THRESHOLDS_KM, DISTANCES, strict=True)
        )
        yield f"- A photo counts at distances that its position is known better than: {counted}.\n"
    yield "- Distances are great-circle distances on a sphere of radius 6371.0088 km.\n"
    yield f"- Intervals: 95 %, bootstrap over photos, {evaluation.resamples:,} resamples.\n"
    if evaluation.seconds_per_photo is not None:
        yield f"- Time: {evaluation.seconds_per_photo:.3g} s a photo (mean, wall clock).\n"
    yield "\n"


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


def _accuracy(evaluation: Evaluation, against: Evaluation | None) -> Iterator[str]:
    more = ["median km", "mean km", "GeoScore"]
    rows = []
    for system in (evaluation, against):
        if system:
            name, best = _text(system.system), system.best_of_five
            rows.append([f"{name}, first", *_figures(system.accuracy, [*DISTANCES, *more])])
            if best:
                rows.append([f"{name}, best of five", *_figures(best, DISTANCES), "", "", ""])
    yield f"## Accuracy\n\n{markdown_table(['answer', *_WITHIN, *more], rows)}\n"


def _kinds(evaluation: Evaluation, against: Evaluation | None) -> Iterator[str]:
    more = ["median km", "GeoScore"]
    others = {kind.name: kind for kind in against.kinds} if against else {}
    rows = [
        [
            _text(kind.name),
            f"{figures.photos:,}",
            _text(system.system),
            *_figures(figures.accuracy, [*DISTANCES, *more]),
        ]
        for kind in evaluation.kinds
        for system, figures in ((evaluation, kind), (against, others.get(kind.name)))
        if system and figures
    ]
    if rows:
        head = ["kind", "photos", "answer", *_WITHIN, *more]
        yield f"## By kind of photo\n\n{markdown_table(head, rows)}\n"


def _comparison(comparison: Comparison) -> Iterator[str]:
    first, second = _text(comparison.first), _text(comparison.second)
    both = f"{comparison.answered_by_both:,}"
    yield f"## {first} against {second}\n\n"
    yield (
        f"{comparison.photos:,} photos. {first} is nearer to the truth on {comparison.closer:,}, {second} on "
        f"{comparison.farther:,}, equally near {comparison.equal:,}. Differences are first less second, on "
        "the same resampled photos; a difference is clear where its interval leaves out 0. Figures count "
        f"these photos alone, and the mean the {both} that both answered, so that they may differ from those "
        "above.\n\n"
    )
    titles = dict(zip(DISTANCES, _WITHIN, strict=True))
    titles |= {"country": "% country right", "mean km": f"mean km ({both} photos)"}
    rows = [
        [
            titles.get(name, name),
            _number(figure.first),
            _number(figure.second),
            _figure(figure.difference),
            "yes" if figure.resolved else "no",
        ]
        for name, figure in comparison.figures.items()
    ]
    yield f"{markdown_table(['figure', first, second, 'difference', 'clear'], rows)}\n"
    rows = []
    for kind, one in comparison.kinds.items():
        gaps = {name: figure.difference for name, figure in one.figures.items()}
        rows.append([_text(kind), f"{one.photos:,}", *_figures(gaps, [*DISTANCES, "median km"])])
    if rows:
        table = markdown_table(["kind", "photos", *_WITHIN, "median km"], rows)
        yield f"By kind of photo, first less second:\n\n{table}\n"


def _names(evaluation: Evaluation) -> Iterator[str]:
    rows = [
        [level, f"{one.photos:,}", f"{one.from_table:,}", _figure(one.right) if one.right else "-"]
        for level, one in evaluation.names.items()
    ]
    table = markdown_table(["level", "photos with a truth", "of these from the table", "% right"], rows)
    yield f"## Names\n\n{table}\n"
    yield "Truths that the table does not give are GeoNames' for the position; answers are named alike.\n\n"


def _calibration(found: Calibration) -> Iterator[str]:
    stated, curve, own = found.reliability, found.risk_coverage, found.abstention
    if stated is None and not found.confidence and own is None:
        return
    yield "## Calibration\n\n"
    yield (
        f"Right: the truth lies within the radius that the answer states ({found.stated_radius:,} photos), "
        f"else within {found.radius_km:g} km.\n\n"
    )
    if stated:
        head = ["probability of the first answer", "photos", "mean probability", "right"]
        rows = [
            [f"{b.low:.1f} to {b.high:.1f}", f"{b.photos:,}", f"{b.probability:.3f}", f"{b.right:.3f}"]
            for b in stated.bins
        ]
        yield f"{markdown_table(head, rows)}\n"
        yield (
            f"Mean probability {_figure(stated.probability, 3)}, right {_figure(stated.right, 3)}; "
            f"expected calibration error {_figure(stated.ece, 3)}, "
            f"Brier score {_figure(stated.brier, 3)}.\n\n"
        )
    if found.confidence:
        rows = [
            [f"{level.confidence:g}", f"{level.photos:,}", f"{level.right:.3f}", _number(level.median_km)]
            for level in found.confidence
        ]
        yield f"{markdown_table(['confidence', 'photos', 'right', 'median km'], rows)}\n"
    if curve:
        head = ["share answered", *(f"{100 * share:.0f} %" for share in curve.coverage)]
        yield f"Answering only the surest, by {curve.order} "
        yield f"(area under the wrong share: {curve.area:.3f}):\n\n"
        yield f"{markdown_table(head, [['right', *(f'{share:.3f}' for share in curve.right)]])}\n"
    if own:
        yield (
            f"It abstains on {own.abstained:,} of {own.photos:,} photos: right where it answers "
            f"{_number(own.right_answered, 3)}, where it abstains {_number(own.right_abstained, 3)}.\n\n"
        )


def _leakage(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.leakage
    yield "## Leakage\n\n"
    if found is None:
        yield "Not checked: no gallery was given (`--gallery`).\n\n"
        return
    yield (
        f"{found.leaked:,} of {evaluation.photos:,} photos were taken at one of the {found.gallery:,} "
        "positions of the gallery, to 25 m or 0.0001 degrees.\n"
    )
    if found.leaked and found.without:
        head = [*_WITHIN, "median km", "mean km", "GeoScore"]
        yield f"Without them:\n\n{markdown_table(head, [[_figure(one) for one in found.without.values()]])}"
    yield "\n"


def _groups(kind: str, groups: Sequence[Group], limit: int) -> Iterator[str]:
    head = [kind, "photos", "answered here", *_WITHIN, "median km", "GeoScore", "% country"]
    rows = [
        [
            group.name,
            f"{group.photos:,}",
            f"{group.answered_here:,}",
            *_figures(group.within, DISTANCES),
            _number(group.median_km),
            _number(group.geoscore, 0),
            _number(group.country_right, 1),
        ]
        for group in groups[:limit]
    ]
    yield f"## By {kind}\n\n{markdown_table(head, rows)}\n"
    if len(groups) > limit:
        yield f"{len(groups) - limit} more in the JSON form.\n\n"


def _problems(evaluation: Evaluation) -> Iterator[str]:
    if not evaluation.problems:
        return
    yield "## Left out\n\n"
    for kind, count in Counter(problem.kind for problem in evaluation.problems).items():
        members = [problem for problem in evaluation.problems if problem.kind == kind]
        shown = "; ".join(
            (f"line {p.line}" if p.line else _text(p.photo or "")) + f": {_text(p.reason)}"
            for p in members[:PROBLEMS_SHOWN]
        )
        more = f"; {count - PROBLEMS_SHOWN:,} more" if count > PROBLEMS_SHOWN else ""
        yield f"- {kind}: {count:,} ({shown}{more})\n"
    yield "\n"


def _figures(figures: Mapping[str, Interval], names: Iterable[str]) -> list[str]:
    return [_figure(figures[name]) if name in figures else "-" for name in names]


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
