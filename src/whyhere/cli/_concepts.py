"""`whyhere concepts list` and `show`: what whyhere can name, and how well it knows each of these things."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from whyhere.cli._console import print_json
from whyhere.cli._own_concepts import NOT_BUILT, build, check, is_built, read_bank
from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.concepts import Concept, ConceptBank, ConceptDirection

app = typer.Typer(no_args_is_help=True, help="List and show the geographic concepts; build and check a bank.")
app.command()(build)
app.command()(check)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Bank = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|FOLDER",
        help="A bank of your own, or what `concepts build` made of it.",
        show_default="the bank that ships",
    ),
]
InRelease = Annotated[
    str, typer.Option("--release", help="The release that may use them: name or directory.")
]


@app.command("list")
def list_(
    group: Annotated[
        str | None, typer.Option(metavar="GROUP", help="Only this group, such as landform.")
    ] = None,
    source: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Only this source of directions, such as combined.")
    ] = None,
    weak: Annotated[
        bool | None, typer.Option("--weak/--strong", help="Only concepts below, or above, the bar.")
    ] = None,
    bank: Bank = None,
    release: InRelease = "base",
    as_json: AsJson = False,
) -> None:
    """List the concepts, where their directions come from and which are too weak to be shown."""
    from whyhere.concepts import GROUPS
    from whyhere.concepts import SOURCES as KNOWN_SOURCES

    known, directions = _bank(bank)
    groups = GROUPS if bank is None else tuple(dict.fromkeys(concept.group for concept in known))
    if group is not None and group not in groups:
        raise UsageError(f"--group {group}: unknown; known groups: {', '.join(groups)}")
    if source is not None and source not in KNOWN_SOURCES:
        raise UsageError(f"--source {source}: unknown; known sources: {', '.join(KNOWN_SOURCES)}")
    if directions is None and (source is not None or weak is not None):
        raise UsageError(f"--source, --weak and --strong need directions: {NOT_BUILT.format(bank)}")
    rows = [
        _row(concept, direction)
        for concept, direction in zip(known, directions or [None] * len(known), strict=True)
        if group in (None, concept.group)
        and (source is None or (direction is not None and direction.source == source))
        and (weak is None or (direction is not None and direction.weak == weak))
    ]
    if as_json:
        print_json(rows)
        return
    from whyhere.cli._output import print_table

    used = _used_by(release) if bank is None else None
    cells = []
    for row in rows:
        agreement = "-" if row["agreement"] is None else f"{row['agreement']:.2f}"
        cells.append(
            (row["id"], row["name"], row["group"], row["direction"] or "-", agreement, _state(row, used))
        )
    print_table(("id", "name", "group", "direction", "agreement", "state"), cells)
    if directions is None:
        typer.echo(f"{len(rows)} concepts, no directions yet: {NOT_BUILT.format(bank)}", err=True)
        return
    strong = sum(not row["weak"] for row in rows)
    by = ""
    if used is not None:
        by = f", {sum(row['id'] in used.ids for row in rows)} of them used by release {used.release}"
    typer.echo(f"{len(rows)} concepts, {strong} with a usable direction{by}", err=True)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="CONCEPT", help="Id, name or synonym, such as souk.")],
    bank: Bank = None,
    release: InRelease = "base",
    as_json: AsJson = False,
) -> None:
    """Show one concept: what it means, its words and prompts, and where its direction comes from."""
    known, directions = _bank(bank)
    concept = known.find(name)
    direction = next((d for d in directions or () if d.id == concept.id), None)
    if as_json:
        about = None if direction is None else {k: v for k, v in direction.to_dict().items() if k != "id"}
        print_json({**concept.to_dict(), "direction": about})
        return
    typer.echo(": ".join(filter(None, (f"{concept.name} ({concept.id})", concept.definition))))
    for title, value in (
        ("group", concept.group),
        ("synonyms", ", ".join(concept.synonyms)),
        ("prompts", "; ".join(concept.prompts)),
        ("term from", concept.source),
        ("can be verified with", concept.reference),
    ):
        if value:
            typer.echo(f"{title}: {value}")
    if direction is None:
        typer.echo(f"direction: not built; {NOT_BUILT.format(bank)}")
        return
    _show_direction(direction)
    if bank is None:
        used = _used_by(release)
        words = "uses it" if concept.id in used.ids else "does not use it: no map, no explanation names it"
        typer.echo(f"release {used.release}: {words}")


def _show_direction(direction: ConceptDirection) -> None:
    """Print where a direction comes from and how far it can be trusted."""
    typer.echo(f"direction: {direction.source}")
    for title, value in (
        ("words", ", ".join(direction.words)),
        ("unknown words", ", ".join(direction.unknown)),
        ("teacher", ", ".join(direction.teacher)),
        ("example photos", str(direction.examples or "")),
    ):
        if value:
            typer.echo(f"  {title}: {value}")
    judge = "examples" if direction.examples else "teacher"
    for title, number in (
        (f"text and {judge} agree", direction.agreement),
        ("direction and teacher agree", direction.quality),
    ):
        if number is not None:
            typer.echo(f"  {title}: correlation {number:.2f} over photos held out")
    if direction.auroc is not None:
        between = f"{direction.auroc_low:.2f} to {direction.auroc_high:.2f}"
        typer.echo(f"  examples told from others: AUROC {direction.auroc:.2f} ({between}), held out in pairs")
    if direction.nearest:
        typer.echo(f"  nearest concept: {direction.nearest}, cosine {direction.nearest_cosine:.2f}")
    typer.echo(f"  state: {'weak, never shown: ' + direction.reason if direction.weak else 'usable'}")


class _Used(NamedTuple):
    """The concepts of a release."""

    release: str
    ids: frozenset[str]


def _used_by(release: str) -> _Used:
    """Return which concepts a release uses: a direction that is good enough is not used by every release."""
    from whyhere.concepts import read_labels
    from whyhere.releases import resolve

    found = resolve(release)
    labels = read_labels(found.directory / "concepts.json")
    return _Used(f"{found.name} {found.version}", frozenset(label.id for label in labels))


def _state(row: dict[str, Any], used: _Used | None) -> str:
    """Say of a row of the list whether the concept is used, and why not."""
    if row["weak"]:
        return f"weak: {row['reason']}"
    if not row["direction"]:
        return "not built"
    return "usable" if used is None else "used" if row["id"] in used.ids else f"not in {used.release}"


def _bank(path: Path | None) -> tuple[ConceptBank, tuple[ConceptDirection, ...] | None]:
    """Return a bank and the provenance of its directions, None where they were not built."""
    from whyhere.concepts import load_bank, load_directions

    if path is None:
        return (bank := load_bank()), load_directions(bank=bank).concepts
    if is_built(path):
        directions = load_directions(path, tower=None)
        return directions.bank or load_bank(), directions.concepts
    return read_bank(path).bank, None


def _row(concept: Concept, direction: ConceptDirection | None) -> dict[str, Any]:
    """Return what `list` says about one concept."""
    return {
        "id": concept.id,
        "name": concept.name,
        "group": concept.group,
        "definition": concept.definition,
        "direction": None if direction is None else direction.source,
        "agreement": None if direction is None else direction.agreement,
        "quality": None if direction is None else direction.quality,
        "weak": None if direction is None else direction.weak,
        "reason": "" if direction is None else direction.reason,
    }
