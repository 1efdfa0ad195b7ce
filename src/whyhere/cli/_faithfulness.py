"""`whyhere faithfulness`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from whyhere.cli._output import plain, write_output
from whyhere.cli._terminal import progress_bar
from whyhere.cli._terminal import shown as message_of
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.evaluation.faithfulness import Study
    from whyhere.locator import Locator
    from whyhere.releases import Release as Resolved

_SHOWN = 20
_QUICK = 40


def faithfulness(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="TABLE", help="CSV, TSV or Parquet of photos with true positions."),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Folder that holds the photos, at any depth.", show_default="the table's"
        ),
    ] = None,
    release: Release = "base",
    held_out: HeldOut = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="1,4,...", help="Only these lines.", show_default="all that can be run"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write scorecard.json, scorecard.md, plots and tables there."),
    ] = None,
    format: MarkdownOrJson = "markdown",
    limit: Annotated[int | None, typer.Option(min=2, help="Only the first N usable photos.")] = None,
    draws: Annotated[
        int, typer.Option(min=2, max=200, help="Random banks, shuffled names and permutations.")
    ] = 20,
    stability_photos: Annotated[
        int, typer.Option("--stability-photos", min=2, help="Photos that are changed for line 6.")
    ] = 40,
    region_photos: Annotated[
        int, typer.Option("--region-photos", min=1, help="Photos that are covered in part for line 3.")
    ] = 24,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="A first look: 40 photos, 5 draws, 8 photos for lines 3 and 6, no pictures; rough figures.",
        ),
    ] = False,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Also draw the embeddings (with --out).")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 0,
    threads: Threads = None,
) -> None:
    """Test whether a release's explanations can be believed: seven lines, each beside its control.

    1 accuracy from concepts alone, 2 intervention, 3 image regions, 4 concept maps against open data, 5 what
    the remainder knows, 6 stability, 7 calibration. Line 4 needs no photos. A release that has learned from
    the photos must be tested with --held-out, or the report says so.
    """
    import datetime

    from msgspec.structs import replace

    from whyhere.evaluation import faithfulness as fa
    from whyhere.releases import resolve

    one_of("--format", format, ("markdown", "json"))
    tests = _tests(only, with_photos=data is not None)
    if data is None and (photos is not None or held_out is not None):
        raise UsageError("where were the photos taken? Add --data TABLE")
    if quick:
        limit, draws, pictures = min(limit or _QUICK, _QUICK), min(draws, 5), False
        stability_photos, region_photos = min(stability_photos, 8), min(region_photos, 8)
    settings = fa.Settings(
        seed=seed, draws=draws, stability_photos=stability_photos, region_photos=region_photos
    )
    found = resolve(release)
    locator = load_locator(release, threads=threads)
    study, name, knows = _study(found, locator, data, photos, held_out, limit)
    with ExitStack() as stack:

        def progress(test: str) -> Callable[[int, int], None]:
            stack.close()  # the bar of the test before: two at once would write into each other
            return stack.enter_context(progress_bar(test))

        scorecard = fa.run_scorecard(
            study,
            settings,
            release=f"{found.name} {found.version}",
            kind=str(found.config.alignment.get("kind")),
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            data=name,
            trained_on=knows,
            only=tests,
            region_test=fa.region_test(locator) if 3 in tests else None,
            progress=progress,
        )
    if scorecard.warning:
        print(f"whyhere: {scorecard.warning}", file=sys.stderr)
    plots: tuple[str, ...] = ()
    if out is not None:
        drawn, gaps = fa.embeddings(study) if pictures else (None, None)
        if gaps is not None:
            scorecard = replace(scorecard, exhibits=(*scorecard.exhibits, gaps))
        written = fa.write_scorecard(scorecard, out, picture=drawn)
        plots = tuple(path.name for path in written if path.suffix == ".svg")
        print(f"Wrote {len(written)} files to {out.resolve()}", file=sys.stderr)
    text = (
        fa.scorecard_json(scorecard, ascii_only=True)
        if format == "json"
        else fa.markdown(scorecard, plots=plots)
    )
    write_output(lambda console: plain([text], console), None)


def _tests(only: str | None, *, with_photos: bool) -> tuple[int, ...]:
    """Return the numbers of the tests wanted."""
    from whyhere.evaluation.faithfulness import TESTS, WITHOUT_PHOTOS

    if only is None:
        return tuple(TESTS) if with_photos else WITHOUT_PHOTOS
    try:
        tests = tuple(sorted({int(word) for word in only.split(",")}))
    except ValueError:
        raise UsageError(f"--only {only}: name lines by their numbers, such as 1,4") from None
    unknown = [test for test in tests if test not in TESTS]
    if unknown:
        raise UsageError(f"--only {only}: there is no line {unknown[0]}; lines: 1 to {max(TESTS)}")
    without = [test for test in tests if test not in WITHOUT_PHOTOS]
    if without and not with_photos:
        raise UsageError(f"line {without[0]} needs photos; add --data TABLE, and --photos DIR")
    return tests


def _study(
    release: Resolved,
    locator: Locator,
    data: Path | None,
    folder: Path | None,
    held_out: Path | None,
    limit: int | None,
) -> tuple[Study, str, str]:
    """Return what the tests work on, the name of the data, and what the release has learned from."""
    from whyhere.embeddings import EmbeddingCache, tower_fingerprint
    from whyhere.evaluation import faithfulness as fa
    from whyhere.evaluation import photos_of, read_benchmark

    if data is None:
        return fa.maps_study(locator), "", "not known"
    benchmark, files = photos_of(read_benchmark(data), folder or data.parent)
    for problem in benchmark.problems[:_SHOWN]:
        say_problem(problem)
    if len(benchmark.problems) > _SHOWN:
        print(f"whyhere: {len(benchmark.problems) - _SHOWN:,} more problems", file=sys.stderr)
    cache = EmbeddingCache(locator.parts.embedder, fingerprint=tower_fingerprint(release))
    with progress_bar("Looking at photos") as shown:
        study = fa.photo_study(
            locator,
            benchmark.keep(benchmark.queries[:limit]),
            files,
            cache,
            held_out=held_out,
            progress=shown,
            on_error=lambda error: print(f"whyhere: {message_of(error)}", file=sys.stderr),
        )
    return study, benchmark.name, fa.trained_on(release.directory, study)
