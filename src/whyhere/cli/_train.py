"""`whyhere train`."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyhere._text import csv_rows
from whyhere.cli._terminal import progress_bars
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.tables import PhotoTable

_SHOWN = 20  # bad rows that are printed; all of them go into the file


def train(
    data: Annotated[
        list[Path],
        typer.Option(
            metavar="TABLE", help="CSV or Parquet with photo, latitude and longitude; for base also several."
        ),
    ],
    release: Annotated[Path, typer.Option(metavar="OUT", help="Directory of the release to be made.")],
    photos: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of photos or of tar files, or one tar file.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="In place of photos: .npy with a row for each row of the table."),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            metavar="FILE", help="TOML file, or the name of a shipped one: small, paper, geoclip, base."
        ),
    ] = "small",
    concepts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your own concepts, as `whyhere concepts build` writes them."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    device: Annotated[str, typer.Option(help="cpu, or a torch device such as cuda.")] = "cpu",
) -> None:
    """Train a release of your own on photos with coordinates.

    Needs the extra `train`. Features of the photos are computed once and kept. With several processes:
    torchrun --nproc-per-node 2 -m whyhere train ...

    --config base makes the release that ships with whyhere, from tables with their photos beside them. It
    needs no extra.
    """
    if config == "base":
        if photos is not None or concepts is not None or resume:
            raise UsageError("--config base takes --data, --release and --features only")
        _train_base(data, release, features)
        return
    if len(data) > 1:
        raise UsageError("give one --data; only --config base takes several tables")
    from whyhere.training import read_train_config, train_release

    first = int(os.environ.get("RANK", "0")) == 0
    choices = read_train_config(config)
    if concepts is not None:
        choices = replace(choices, directions=str(concepts))
    with progress_bars(shown=first) as progress:
        report = train_release(
            data[0],
            release,
            choices,
            photos=photos,
            features=features,
            resume=resume,
            device=device,
            progress=progress,
            on_problems=lambda table: _report_problems(table, release),
        )
    if first:
        if report.facts.check:
            print(report.facts.check.sentence, file=sys.stderr)
        print(f"{report.facts.accuracy}\nRelease: {report.release}", file=sys.stderr)


def _train_base(data: list[Path], release: Path, features: Path | None) -> None:
    from whyhere.training import train_base

    with progress_bars() as progress:
        report = train_base(data, release, features=features, progress=progress)
    print(
        f"{report.photos:,} photos, {report.landmarks:,} landmarks; temperature "
        f"{report.ranking.temperature:.3f}, background {report.ranking.background:g}, abstains below "
        f"{report.ranking.abstain_below:.3f}\nRelease: {report.release}",
        file=sys.stderr,
    )


def _report_problems(table: PhotoTable, release: Path) -> None:
    """Say on standard error which rows are left out; all of them go into training/bad_rows.csv."""
    print(f"{len(table.queries)} of {table.rows} rows are good", file=sys.stderr)
    for problem in table.problems[:_SHOWN]:
        print(f"whyhere: line {problem.line}: {problem.reason}", file=sys.stderr)
    if not table.problems:
        return

    path = release / "training" / "bad_rows.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [("line", "reason"), *((problem.line, problem.reason) for problem in table.problems)]
    path.write_text(csv_rows(rows), encoding="utf-8", newline="")
    print(f"{len(table.problems)} bad rows are left out, all listed in {path}", file=sys.stderr)
