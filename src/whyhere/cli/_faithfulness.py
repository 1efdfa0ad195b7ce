"""`whyhere faithfulness`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.cli._terminal import shown as message_of
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.evaluation.faithfulness import RegionTest, Study
    from whyhere.locator import Locator
    from whyhere.releases import Release

FORMATS = ("markdown", "json")
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
    release: Annotated[str, typer.Option(help="Name or directory of the release.")] = "base",
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out",
            metavar="DIR",
            help="Heads that have not learned from the photos they answer: folds.csv and a folder a fold.",
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(metavar="1,4,...", help="Only these lines.", show_default="all that can be run"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write scorecard.json, scorecard.md, plots and tables there."),
    ] = None,
    format: Annotated[str, typer.Option("--format", help="What to print: markdown or json.")] = "markdown",
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
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of the image tower.", show_default="all cores")
    ] = None,
) -> None:
    """Test whether a release's explanations can be believed: seven lines, each beside its control.

    1 accuracy from concepts alone, 2 intervention, 3 image regions, 4 concept maps against open data, 5 what
    the remainder knows, 6 stability, 7 calibration. Line 4 needs no photos. A release that has learned from
    the photos must be tested with --held-out, or the report says so.
    """
    import datetime

    from msgspec.structs import replace

    from whyhere.cli._output import write_output
    from whyhere.cli._terminal import progress_bar
    from whyhere.evaluation import faithfulness as fa
    from whyhere.locator import Locator
    from whyhere.releases import resolve

    if format not in FORMATS:
        raise UsageError(f"--format {format}: there is no such format; choose markdown or json")
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
    with progress_bar("Embedding the gallery (first use only)") as shown:
        locator = Locator.from_release(release, threads=threads, progress=shown)
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
            region_test=_region_test(found, locator, threads) if 3 in tests else None,
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
    write_output(lambda console: iter([_shown(text, ascii_only=bool(console["ascii_only"]))]), None)


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
    release: Release,
    locator: Locator,
    data: Path | None,
    folder: Path | None,
    held_out: Path | None,
    limit: int | None,
) -> tuple[Study, str, str]:
    """Return what the tests work on, the name of the data, and what the release has learned from."""
    from whyhere.cli._terminal import progress_bar
    from whyhere.embeddings import EmbeddingCache, tower_fingerprint
    from whyhere.evaluation import faithfulness as fa
    from whyhere.evaluation import photos_of, read_benchmark
    from whyhere.images import display_name

    if data is None:
        return fa.maps_study(locator), "", "not known"
    benchmark, files = photos_of(read_benchmark(data), folder or data.parent)
    for problem in benchmark.problems[:_SHOWN]:
        photo = f"{display_name(problem.photo)}: " if problem.photo else ""
        print(f"whyhere: {problem.kind}: {photo}{display_name(problem.reason)}", file=sys.stderr)
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


def _region_test(release: Release, locator: Locator, threads: int | None) -> RegionTest | None:
    """Return what covers image regions, or None where the tower shows no hidden tokens."""
    from PIL import Image

    from whyhere.alignment import Alignment
    from whyhere.evaluation.faithfulness import AREAS
    from whyhere.releases import asset_path

    config = release.config.image_tower
    if not config.asset:
        return None
    from whyhere.encoders import TracingTower
    from whyhere.explain import concept_score, deletion_insertion, photo_regions

    tracing = TracingTower(asset_path(config.asset) / "image_tower.onnx", threads=threads)
    parts, unit = locator.parts, locator.parts.view_average != "logits"

    def test(image: Image.Image, alignment: Alignment, ids: Sequence[str], seed: int) -> Sequence[Any]:
        regions = photo_regions(tracing, image, alignment, ids, spec=parts.preprocessing, unit=unit)
        return [
            deletion_insertion(
                parts.tower,
                image,
                region,
                concept_score(alignment, region.concept_id, unit=unit),
                spec=parts.preprocessing,
                areas=AREAS,
                seed=seed,
            )
            for region in regions
        ]

    return test


def _shown(text: str, *, ascii_only: bool) -> str:
    return text.encode("ascii", "replace").decode() if ascii_only else text
