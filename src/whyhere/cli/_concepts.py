"""`whyhere concepts`: what whyhere can name, and how well it knows each of these things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyhere.errors import UsageError

if TYPE_CHECKING:
    from whyhere.concepts import Concept, ConceptDirection

app = typer.Typer(no_args_is_help=True, help="List and show the geographic concepts.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


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
    as_json: AsJson = False,
) -> None:
    """List the concepts, where their directions come from and which are too weak to be shown."""
    from whyhere.concepts import GROUPS, load_bank, load_directions
    from whyhere.concepts import SOURCES as KNOWN_SOURCES

    if group is not None and group not in GROUPS:
        raise UsageError(f"--group {group}: unknown; known groups: {', '.join(GROUPS)}")
    if source is not None and source not in KNOWN_SOURCES:
        raise UsageError(f"--source {source}: unknown; known sources: {', '.join(KNOWN_SOURCES)}")
    bank = load_bank()
    rows = [
        _row(concept, direction)
        for concept, direction in zip(bank, load_directions(bank=bank).concepts, strict=True)
        if group in (None, concept.group)
        and source in (None, direction.source)
        and weak in (None, direction.weak)
    ]
    if as_json:
        _print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "name", "group", "direction", "agreement", "state", box=None, pad_edge=False)
    for row in rows:
        agreement = "-" if row["agreement"] is None else f"{row['agreement']:.2f}"
        state = f"weak: {row['reason']}" if row["weak"] else "used"
        table.add_row(row["id"], row["name"], row["group"], row["direction"], agreement, state)
    Console(markup=False, highlight=False).print(table)
    used = sum(not row["weak"] for row in rows)
    typer.echo(f"{len(rows)} concepts, {used} of them used", err=True)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="CONCEPT", help="Id, name or synonym, such as souk.")],
    as_json: AsJson = False,
) -> None:
    """Show one concept: what it means, its words and prompts, and where its direction comes from."""
    from whyhere.concepts import load_bank, load_directions

    bank = load_bank()
    concept = bank.find(name)
    direction = next(d for d in load_directions(bank=bank).concepts if d.id == concept.id)
    details = {
        **concept.to_dict(),
        "direction": {k: v for k, v in direction.to_dict().items() if k not in ("id",)},
    }
    if as_json:
        _print_json(details)
        return
    typer.echo(f"{concept.name} ({concept.id}): {concept.definition}")
    for title, value in (
        ("group", concept.group),
        ("synonyms", ", ".join(concept.synonyms)),
        ("prompts", "; ".join(concept.prompts)),
        ("term from", concept.source),
        ("can be verified with", concept.reference),
    ):
        if value:
            typer.echo(f"{title}: {value}")
    typer.echo(f"direction: {direction.source}")
    if direction.words:
        typer.echo(f"  words: {', '.join(direction.words)}")
    if direction.teacher:
        typer.echo(f"  teacher: {', '.join(direction.teacher)}")
    for title, number in (
        ("text and teacher agree", direction.agreement),
        ("direction and teacher agree", direction.quality),
    ):
        if number is not None:
            typer.echo(f"  {title}: correlation {number:.2f} over photos held out")
    typer.echo(f"  state: {'weak, never shown: ' + direction.reason if direction.weak else 'used'}")


def _row(concept: Concept, direction: ConceptDirection) -> dict[str, Any]:
    """Return what `list` says about one concept."""
    return {
        "id": concept.id,
        "name": concept.name,
        "group": concept.group,
        "definition": concept.definition,
        "direction": direction.source,
        "agreement": direction.agreement,
        "quality": direction.quality,
        "weak": direction.weak,
        "reason": direction.reason,
    }


def _print_json(value: object) -> None:
    """Print a value as indented JSON."""
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
