"""What several commands share: options, names that options had before, the region, and loading a release."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from whyhere._text import printable
from whyhere.cli._terminal import note, progress_bar
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.geo import Region
    from whyhere.locator import Locator
    from whyhere.tables import Problem

Release = Annotated[str, typer.Option(help="Name or directory of the release.")]
Top = Annotated[int, typer.Option(min=1, max=100, help="How many different places at most.")]
Hint = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help='What you know in a few words, such as "snow, Nordic, left-hand traffic": a bounded nudge.',
    ),
]
Regions = Annotated[
    list[str] | None,
    typer.Option(
        "--region",
        metavar="REGION",
        help="Only inside: countries, a continent, a state, SOUTH,WEST,NORTH,EAST, a GeoJSON file.",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write there instead of to standard output."),
]
Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Also write a self-contained HTML page there."),
]
TextOrJson = Annotated[str, typer.Option("--format", help="table or json.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Threads of the image tower.", show_default="all cores")
]
DecodeSeconds = Annotated[
    float, typer.Option("--decode-seconds", min=0.1, help="Processor time that decoding one photo may take.")
]
DecodeMemory = Annotated[
    int,
    typer.Option(
        "--decode-memory-mb", min=50, help="Memory that all photos in decoding may need together, in MB."
    ),
]


HeldOut = Annotated[
    Path | None,
    typer.Option(
        "--held-out",
        metavar="DIR",
        help="Heads that have not learned from the photos they answer: folds.csv and a folder a fold.",
    ),
]
MarkdownOrJson = Annotated[str, typer.Option("--format", help="What to print: markdown or json.")]


def renamed(names: dict[str, tuple[str, ...]]) -> type[TyperCommand]:
    """Return a kind of command that takes options by the names they had until this version, with a notice.

    Args:
        names: The new words by the old name; a value given as `--old=value` stays with the first of them.
    """

    class Renamed(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - typer brings its click
            words: list[str] = []
            for word in args:
                old, equals, value = word.partition("=")
                new = names.get(old)
                if new is None:
                    words.append(word)
                    continue
                note(f"{old} is now {' '.join(new)}; the old name goes with the next release")
                words += [f"{new[0]}={value}"] if equals else new
            return super().parse_args(ctx, words)

    return Renamed


JSON_FORMAT = renamed({"--json": ("--format", "json")})
OUT_FILE = renamed({"--out": ("--output",)})


def one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that an option does not know."""
    if value not in known:
        raise UsageError(f"{option} {value}: choose {' or '.join(known)}")


def wants_json(format: str) -> bool:
    """Tell what `--format table|json` asks for."""
    one_of("--format", format, ("table", "json"))
    return format == "json"


def parse_regions(regions: list[str] | None) -> Region | None:
    """Parse the regions before anything slow happens; several countries and areas are one region."""
    if not regions:
        return None
    from whyhere.geo import parse_region

    if len(regions) == 1:
        return parse_region(regions[0])
    try:
        return parse_region("; ".join(regions))
    except UsageError as error:
        given = " ".join(f"--region {region}" for region in regions)
        raise UsageError(
            f"{given}: only names of countries, areas and units can be joined, such as --region France "
            "--region Spain; a box or a file stands alone, and a GeoJSON file may hold several areas"
        ) from error


def say_problem(problem: Problem) -> None:
    """Name a row or a photo that cannot be used on standard error."""
    where = f"line {problem.line}: " if problem.line else ""
    photo = f"{printable(problem.photo)}: " if problem.photo else ""
    print(f"whyhere: {problem.kind}: {where}{photo}{printable(problem.reason)}", file=sys.stderr)


def load_locator(release: str, **options: Any) -> Locator:  # noqa: ANN401 - those of Locator.from_release
    """Load a locator, with a progress bar while a gallery is embedded for the first time."""
    from whyhere.locator import Locator

    with progress_bar("Embedding the gallery (first use only)") as progress:
        return Locator.from_release(release, progress=progress, **options)


def say_conditions(locator: Locator, *, region: Region | None, hint: str | None) -> None:
    """Say on standard error what answers are given besides the photo, and what of a hint was understood."""
    if region is not None:
        note(f"answers only inside {region.name}; probabilities assume that the photo was taken there")
    if hint is None:
        return
    from whyhere.ranking import HINT_STRENGTH

    words = locator.hint_words(hint)
    for word in words.unknown:
        note(f"--hint: unknown word {word!r} is left out")
    for word in words.uncertain:
        note(f"--hint: the direction of {word!r} is uncertain")
    note(
        f"answers are given the hint {', '.join(words.known)}, which is your word, not the photo's; "
        f"it changes the odds between two places by a factor of {HINT_STRENGTH:g} at most"
    )
    if words.places:
        note(f'to answer nowhere else: --region "{"; ".join(words.places)}"')
