"""`whyhere probe`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.errors import MissingFileError, UsageError

if TYPE_CHECKING:
    from whyhere.evaluation.probing import FeatureMaker, ProbeReport, Skipped, Task

FORMATS = ("table", "json", "markdown")
NEEDED = ("sklearn", "scipy", "joblib", "threadpoolctl")


def probe(
    stations: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Weather stations (Lat, Lon, meanT, meanP): temperature, rain."),
    ] = None,
    table: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="A table of your own with lat and lon; may be repeated."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="What to predict from --table; one for each, in order."),
    ] = None,
    kind: Annotated[str, typer.Option(help="What --target holds: value, class or auto.")] = "auto",
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave bad rows of tables out instead of stopping.")
    ] = False,
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this task; may be repeated.", show_default="all"),
    ] = None,
    release: Annotated[str, typer.Option(help="Name or directory of the release.")] = "base",
    probes: Annotated[str, typer.Option(help="linear, mlp or both.")] = "both",
    splits: Annotated[str, typer.Option(help="random, blocked or both.")] = "both",
    points: Annotated[int, typer.Option(min=100, max=1_000_000, help="Points of a task at most.")] = 3000,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts, each tested once a repeat.")] = 3,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="Times all is repeated.")] = 2,
    resolution: Annotated[
        int, typer.Option("--block-resolution", min=0, max=4, help="H3 resolution of the blocks.")
    ] = 1,
    buffer_km: Annotated[
        float, typer.Option("--buffer-km", min=0, help="Margin around tested blocks.")
    ] = 100.0,
    controls: Annotated[
        bool, typer.Option("--controls/--no-controls", help="Also random and principal directions.")
    ] = True,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="A first look: 500 points, linear probes, 2 folds once, no controls; rough figures.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of points, folds and networks.")] = 0,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="all cores")] = None,
    format: Annotated[str, typer.Option("--format", help="table, json or markdown.")] = "table",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write probe.json, probe.md and SVG plots there."),
    ] = None,
) -> None:
    """Measure what location embeddings and concepts know: climate, country, people, or your own table.

    Compares raw coordinates, sines, spherical harmonics, GeoCLIP's embedding and the release's concept space
    on random and on spatially blocked splits. Tasks whose data is missing are named and skipped.
    """
    import datetime
    import time

    start = time.perf_counter()
    _one_of("--format", format, FORMATS)
    _one_of("--kind", kind, ("auto", "value", "class"))
    _check_packages()
    from whyhere.cli._output import write_output
    from whyhere.cli._terminal import progress_bar
    from whyhere.evaluation.probing import ProbeReport, Settings, run_probes

    if quick:
        points, folds, repeats, probes, controls = min(points, 500), 2, 1, "linear", False
    settings = Settings(
        probes=_both("--probes", probes, ("linear", "mlp")),
        splits=_both("--splits", splits, ("random", "blocked")),
        folds=folds,
        repeats=repeats,
        resolution=resolution,
        buffer_km=buffer_km,
        seed=seed,
    )
    if out is not None:
        _make_directory(out)
    tables = _pairs(table or [], target or [])
    tasks, skipped = _tasks(stations, tables, kind, skip_bad_rows, set(task or ()), points, seed)
    for missing in skipped:
        print(f"whyhere: skipping {missing.name}: {missing.reason}", file=sys.stderr)
    if not tasks:
        raise UsageError("there is nothing to probe: every task was skipped")
    maker, called = _features(release, controls, seed)
    with progress_bar("Probing") as progress:
        scores, kept = run_probes(tasks, maker, settings, jobs=jobs or _cores(), progress=progress)
    report = ProbeReport(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        release=called,
        settings=settings,
        concept_space=maker.space,
        tasks=tuple(tasks),
        skipped=tuple(skipped),
        scores=tuple(scores),
        kept=tuple(kept),
        seconds=round(time.perf_counter() - start, 1),
    )
    write_output(lambda console: _pieces(report, format, ascii_only=bool(console["ascii_only"])), None)
    if out is not None:
        _write_all(report, out)


def _tasks(
    stations: Path | None,
    tables: list[tuple[Path, str]],
    kind: str,
    skip_bad_rows: bool,
    only: set[str],
    points: int,
    seed: int,
) -> tuple[list[Task], list[Skipped]]:
    """Load what was asked for, and say what cannot be had."""
    from dataclasses import replace

    from whyhere.evaluation.probing import Skipped, Task, finished, land_tasks, read_table, station_tasks

    loaded: list[Task | Skipped] = [*station_tasks(stations, skip_bad_rows=skip_bad_rows)]
    loaded += land_tasks(points, seed=seed)
    for path, column in tables:
        own: Any = read_table(path, column, kind=kind, skip_bad_rows=skip_bad_rows)  # type: ignore[arg-type]
        taken = {one.name for one in loaded}
        name = own.name if own.name not in taken else f"{path.stem} {own.name}"
        number = 2
        while name in taken:
            name, number = f"{path.stem} {own.name} {number}", number + 1
        loaded.append(replace(own, name=name))
    names = [one.name for one in loaded]
    unknown = sorted(only - set(names))
    if unknown:
        raise UsageError(f"--task {unknown[0]}: there is no such task; tasks: {', '.join(names)}")
    wanted = [one for one in loaded if not only or one.name in only]
    ready = [finished(one, points=points, seed=seed) if isinstance(one, Task) else one for one in wanted]
    return [one for one in ready if isinstance(one, Task)], [one for one in ready if isinstance(one, Skipped)]


def _features(release: str, controls: bool, seed: int) -> tuple[FeatureMaker, str]:
    """Load what a release makes features with; also its name and version."""
    from whyhere.alignment import load_alignment
    from whyhere.encoders import LocationEncoder
    from whyhere.evaluation.probing import FeatureMaker
    from whyhere.releases import resolve

    found = resolve(release)
    weights = found.part_path(found.config.location_encoder) / "location_encoder.safetensors"
    alignment = load_alignment(found.directory / "model.safetensors", found.config.alignment)
    maker = FeatureMaker(LocationEncoder.load(weights), alignment, controls=controls, seed=seed)
    return maker, f"{found.name} {found.version}"


def _pieces(report: ProbeReport, format: str, *, ascii_only: bool) -> Iterator[str]:
    """Yield the report in a format."""
    from whyhere.evaluation.probing import markdown, plain_table

    if format == "json":
        yield json.dumps(report.to_dict(), indent=1, ensure_ascii=ascii_only, allow_nan=False) + "\n"
        return
    for piece in markdown(report) if format == "markdown" else plain_table(report):
        yield piece.replace("±", "+-").encode("ascii", "replace").decode() if ascii_only else piece


def _write_all(report: ProbeReport, out: Path) -> None:
    """Write JSON, Markdown and plots into a directory."""
    from whyhere.cli._output import write_output
    from whyhere.evaluation.probing import plots

    files = {"probe.json": list(_pieces(report, "json", ascii_only=False))}
    files["probe.md"] = list(_pieces(report, "markdown", ascii_only=False))
    files |= {name: [text] for name, text in plots(report).items()}
    for name, pieces in files.items():
        write_output(lambda _, pieces=pieces: iter(pieces), out / name)  # type: ignore[misc]
    print(f"Wrote {', '.join(files)} to {out}", file=sys.stderr)


def _check_packages() -> None:
    """Refuse early where the extra is not installed."""
    from importlib.util import find_spec

    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise MissingFileError(
            f"probes need packages that are not installed ({', '.join(missing)}); run: "
            'pip install "whyhere[probe]"'
        )


def _pairs(tables: list[Path], targets: list[str]) -> list[tuple[Path, str]]:
    """Match tables with targets; one table may have several."""
    if len(tables) == 1 and targets:
        return [(tables[0], name) for name in targets]
    if len(tables) != len(targets):
        raise UsageError(
            f"{len(tables)} --table and {len(targets)} --target: give a --target COLUMN for every "
            "--table FILE"
        )
    return list(zip(tables, targets, strict=True))


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{option} {value}: choose one of {', '.join(known)}")


def _both(option: str, value: str, known: tuple[str, str]) -> Any:  # noqa: ANN401 - literals
    """Turn an option into a tuple of its choices."""
    _one_of(option, value, (*known, "both"))
    return known if value == "both" else (value,)


def _make_directory(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot make this directory ({error.strerror})") from error


def _cores() -> int:
    """Cores that this process may use."""
    import os

    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
