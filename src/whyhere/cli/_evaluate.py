"""`whyhere evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.cli._options import (
    HeldOut,
    MarkdownOrJson,
    Release,
    Threads,
    load_locator,
    one_of,
    say_problem,
)
from whyhere.cli._output import write_output
from whyhere.cli._terminal import note, progress_bar, use_utf8
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.evaluation import Benchmark, Evaluation, Problem, Protocol, SystemPrediction

_SHOWN = 20
_FAILURES = (
    "bad row",
    "conflict",
    "missing photo",
    "unreadable photo",
    "no position",
    "bad line",
    "bad value",
)


def evaluate(
    tables: Annotated[list[Path] | None, typer.Argument(metavar="[TABLE]...", hidden=True)] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="TABLE", help="CSV, TSV or Parquet of photos with true positions; also several."
        ),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder that holds the photos, at any depth.")
    ] = None,
    release: Release = "base",
    predictions: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Score these (JSON lines, of any system) instead of a release."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="PROTOCOL",
            help="Which photos count and what heads must not have seen: new-places, known-places, "
            "street-level, or a TOML file.",
        ),
    ] = None,
    held_out: HeldOut = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with these predictions, paired photo by photo."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write everything there and print the headline; an interrupted run goes on from it.",
        ),
    ] = None,
    format: MarkdownOrJson = "markdown",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N usable photos.")] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="FIELD=COLUMN,...",
            help="What columns mean: photo, lat, lon, country, region, city, kind, precision_km; numbers "
            "without a header.",
            show_default="recognised",
        ),
    ] = None,
    swap_lat_lon: Annotated[
        bool, typer.Option("--swap-lat-lon", help="The headers of latitude and longitude are swapped.")
    ] = False,
    truth: Annotated[
        str, typer.Option(help="Where the truth comes from: table, or exif (GPS metadata of the photos).")
    ] = "table",
    gallery: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Positions to look for leakage in: .npy or a table.",
            show_default="the release's",
        ),
    ] = None,
    radius_km: Annotated[
        float,
        typer.Option(
            "--radius-km", help="What counts as right where an answer states no radius (calibration)."
        ),
    ] = 200.0,
    top: Annotated[int, typer.Option(min=1, max=100, help="How many places the release gives a photo.")] = 5,
    threads: Threads = None,
) -> None:
    """Measure a release, or any other system, on photos whose places are known.

    Needs a table and the folder of its photos; with --predictions the table alone is enough, and no weights.
    Rows, photos and lines that cannot be used are named, left out and counted (exit code 1).
    """
    from whyhere import evaluation as ev

    if tables:
        note("tables are named with --data; without it they go with the next release")
    tables = [*(tables or ()), *(data or ())]
    _check(tables, photos, predictions, format, truth)
    protocol = ev.read_protocol(config) if config else None
    if held_out and (protocol is None or predictions):
        raise UsageError("--held-out needs --config, the protocol to check it against, and no --predictions")
    if protocol and not (held_out or predictions):
        raise UsageError(
            f"--config {config}: which heads have not learned from the photos? Add --held-out DIR, or "
            "--predictions FILE of a system that has not"
        )
    if protocol and limit:
        raise UsageError("--config asks about whole folds; leave --limit out")
    benchmark, files = _benchmark(tables, photos, columns, swap_lat_lon, truth, limit)
    if protocol and not held_out:
        benchmark = ev.photos_asked_about(benchmark, protocol)
    found = ev.read_predictions(predictions) if predictions else None
    other = ev.read_predictions(against) if against else None
    places = ev.read_gallery(gallery) if gallery else None
    failed = _say_problems(benchmark.problems)
    if found:
        failed += _say_problems(found.problems)
        answers: Sequence[SystemPrediction] = found.predictions
        system, problems = found.name, found.problems
    elif held_out and protocol:
        answers, benchmark = _run_heads(release, benchmark, files, protocol, held_out, out, top)
        system, problems = None, ()
        failed += sum(problem.kind == "unreadable photo" for problem in benchmark.problems)
    else:
        answers, benchmark, places = _run_release(release, benchmark, files, places, out, top, threads)
        system, problems = None, ()
        failed += sum(problem.kind == "unreadable photo" for problem in benchmark.problems)
    result = ev.score(
        answers, benchmark, system=system, radius_km=radius_km, gallery=places, problems=problems
    )
    second: Evaluation | None = None
    if other:
        failed += _say_problems(other.problems)
        second = ev.score(
            other.predictions, benchmark, system=other.name, radius_km=radius_km, problems=other.problems
        )
    extra: dict[str, Any] = {
        "against": second,
        "comparison": ev.compare(result, second) if second else None,
    }
    if out:
        ev.write_evaluation(result, out, **extra)
        note(f"names, calibration, leakage, countries and what was left out are in {out.resolve()}")
    use_utf8()
    if format == "json":
        write_output(ev.to_json(result, **extra), None)
    else:  # what is not the headline is written to --out
        write_output(ev.to_markdown(result, **extra, headline=out is not None), None)
    if failed:
        raise typer.Exit(1)


def _check(
    tables: Sequence[Path], photos: Path | None, predictions: Path | None, format: str, truth: str
) -> None:
    """Refuse options that make no sense together, before anything is read."""
    one_of("--format", format, ("markdown", "json"))
    one_of("--truth", truth, ("table", "exif"))
    if not tables and truth == "table":
        raise UsageError(
            "which photos were taken where? Add --data TABLE, or use --truth exif with --photos DIR"
        )
    if photos is None and (predictions is None or truth == "exif"):
        raise UsageError(
            "where are the photos? Add --photos DIR, or --predictions FILE to score answers there are already"
        )


def _benchmark(
    tables: Sequence[Path],
    photos: Path | None,
    columns: str | None,
    swap_lat_lon: bool,
    truth: str,
    limit: int | None,
) -> tuple[Benchmark, dict[str, Path]]:
    """Return the photos to score with their truth, and their files where a folder was named."""
    from whyhere import evaluation as ev

    files: dict[str, Path] = {}
    if not tables:
        assert photos is not None  # _check
        benchmark, files = ev.folder_benchmark(photos)
    else:
        mapping = ev.parse_columns(columns) if columns else None
        benchmark = ev.join_benchmarks(
            [ev.read_benchmark(table, columns=mapping, swap_lat_lon=swap_lat_lon) for table in tables]
        )
        if photos is not None:
            benchmark, files = ev.photos_of(benchmark, photos)
    if truth == "exif":
        with progress_bar("Reading positions") as progress:
            benchmark = ev.exif_truth(benchmark, files, limit=limit, progress=progress)
    return benchmark.keep(benchmark.queries[:limit]), files


def _run_release(
    name: str,
    benchmark: Benchmark,
    files: dict[str, Path],
    places: Any,  # noqa: ANN401 - arrays of a lazily imported library
    out: Path | None,
    top: int,
    threads: int | None,
) -> tuple[list[SystemPrediction], Benchmark, Any]:
    """Locate the photos with a release, on from what the output folder holds."""
    from whyhere import evaluation as ev
    from whyhere.releases import resolve

    resolved = resolve(name)
    run = ev.run_description(resolved, top=top)
    if places is None:
        places = ev.read_gallery(resolved.part_path(resolved.config.gallery) / "gallery.npy")
    ledger = ev.open_ledger(out, run) if out else nullcontext(None)
    with ledger as lines:
        locator = load_locator(name, threads=threads)
        with progress_bar("Locating photos") as progress:
            predictions, benchmark = ev.predict(
                locator, benchmark, files, ledger=lines, top=top, progress=progress, on_error=say_problem
            )
    return predictions, benchmark, places


def _run_heads(
    name: str,
    benchmark: Benchmark,
    files: dict[str, Path],
    protocol: Protocol,
    held_out: Path,
    out: Path | None,
    top: int,
) -> tuple[list[SystemPrediction], Benchmark]:
    """Answer the photos with heads that have not learned from them."""
    from whyhere import evaluation as ev
    from whyhere.releases import resolve

    with progress_bar("Looking at photos") as progress:
        benchmark, features, sizes = ev.features_of_photos(name, benchmark, files, progress=progress)
    benchmark = ev.photos_asked_about(benchmark, protocol, held_out=held_out, features=features)
    run = ev.run_description(resolve(name), top=top) | ev.held_out_description(held_out, protocol)
    with ev.open_ledger(out, run) if out else nullcontext(None) as lines:
        locator = load_locator(name)
        with progress_bar("Answering") as progress:
            answers = ev.predict_held_out(
                locator,
                benchmark,
                features,
                held_out,
                ledger=lines,
                sizes=sizes,
                top=top,
                progress=progress,
            )
    return answers, benchmark


def _say_problems(problems: Sequence[Problem]) -> int:
    """Name what failed on standard error, the first of each kind; return how many failed."""
    failed = 0
    for kind in _FAILURES:
        members = [problem for problem in problems if problem.kind == kind]
        failed += len(members)
        for problem in members[:_SHOWN]:
            say_problem(problem)
        if len(members) > _SHOWN:
            rest = f"{len(members) - _SHOWN:,} more of kind {kind!r}"
            print(f"whyhere: {rest}; --format json lists them all", file=sys.stderr)
    return failed
