"""`whyhere concepts list` and `show`: what whyhere can name, and how well it knows each of these things."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from whyhere.cli._options import JSON_FORMAT, TextOrJson, wants_json
from whyhere.cli._output import checked_target
from whyhere.cli._terminal import print_json, progress_bar
from whyhere.errors import MissingFileError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from whyhere.concepts import Concept, ConceptBank, ConceptDirection, Directions, Encode, OwnBank
    from whyhere.releases import Release

NOT_BUILT = "build them with `whyhere concepts build {} --out FILE`"
BUILT_SUFFIXES = (".safetensors", ".json")
SHIPPED_TOWER = "clip-vit-b16"

BankPath = Annotated[
    Path,
    typer.Argument(metavar="BANK", help="A TOML file, or a folder with a folder of photos for each concept."),
]
ReleaseName = Annotated[str, typer.Option("--release", help="Release whose image tower is meant.")]
TextTowerFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="CLIP model of the same tower in the layout of the Hugging Face hub; it reads the prompts.",
        show_default="the release's, else known words",
    ),
]


def build(
    bank: BankPath,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Write FILE.safetensors and FILE.json: `directions` for training."),
    ],
    release: ReleaseName = "base",
    text_tower: TextTowerFolder = None,
    format: TextOrJson = "table",
) -> None:
    """Find the directions of a bank of your own and write them.

    Weak concepts get none; each is named with its reason. `whyhere concepts check` says more. Exit code 1
    where a photo cannot be read.
    """
    from whyhere.concepts import load_directions, save_directions

    as_json = wants_json(format)
    _check_out(out)
    directions, unreadable = _directions(read_bank(bank), release, text_tower)
    weak = [concept for concept in directions.concepts if concept.weak]
    if not len(directions):
        reasons = "; ".join(f"{concept.id}: {concept.reason}" for concept in weak)
        raise UsageError(f"{bank}: no concept is good enough for a direction, nothing is written ({reasons})")
    try:
        save_directions(directions, out)
    except OSError as error:
        raise UsageError(f"--out {out}: cannot write there ({error.strerror})") from error
    load_directions(out, tower=None)
    if as_json:
        print_json(_report(directions))
    for concept in weak:
        print(f"whyhere: {concept.id} is weak and left out: {concept.reason}", file=sys.stderr)
    print(f"{len(directions)} of {len(directions.concepts)} concepts: {_written(out)[0]}", file=sys.stderr)
    _tell_unreadable(unreadable)
    if unreadable:
        raise typer.Exit(1)


def check(
    bank: BankPath,
    release: ReleaseName = "base",
    text_tower: TextTowerFolder = None,
    format: TextOrJson = "table",
) -> None:
    """Say how good the directions of a bank of your own are; BANK may also be what `build` wrote.

    Exit code 1 where a concept is weak or a photo cannot be read.
    """
    from whyhere.concepts import load_directions

    as_json = wants_json(format)
    unreadable = 0
    if is_built(bank):
        if text_tower is not None:
            raise UsageError(
                f"--text-tower {text_tower}: {bank} is built and only read; name the bank it was built from"
            )
        directions = load_directions(bank, tower=None)
    else:
        directions, unreadable = _directions(read_bank(bank), release, text_tower)
    if as_json:
        print_json(_report(directions))
    else:
        _print_table(directions)
    weak = sum(concept.weak for concept in directions.concepts)
    print(f"{len(directions.concepts)} concepts, {weak} of them weak", file=sys.stderr)
    _tell_unreadable(unreadable)
    if weak or unreadable:
        raise typer.Exit(1)


def is_built(path: Path) -> bool:
    """Say whether a path names the files that `build` writes; a bank never does, whatever lies beside it."""
    if path.is_dir() or (path.is_file() and path.suffix not in BUILT_SUFFIXES):
        return False
    if path.suffix in BUILT_SUFFIXES:
        return True
    return all(file.is_file() for file in _written(path))


def _written(out: Path) -> tuple[Path, ...]:
    """Return the two files of a path given with or without their suffix."""
    stem = out.with_suffix("") if out.suffix in BUILT_SUFFIXES else out
    return tuple(stem.parent / f"{stem.name}{suffix}" for suffix in BUILT_SUFFIXES)


def _check_out(out: Path) -> None:
    """Refuse a target that cannot be meant or written, before photos are encoded."""
    if out.suffix.lower() == ".toml":
        raise UsageError(f"--out {out}: that is the name of a bank; name it without .toml")
    checked_target("--out", out, ())
    for file in _written(out):
        checked_target("--out", file, ())


def _tell_unreadable(count: int) -> None:
    """Say how many photos were left out, if any."""
    if count:
        print(f"whyhere: {count} photo{'s' * (count > 1)} could not be read", file=sys.stderr)


def read_bank(path: Path) -> OwnBank:
    """Read a bank of one's own."""
    from whyhere.concepts import read_own_bank
    from whyhere.images import PHOTO_SUFFIXES

    return read_own_bank(path, photo_suffixes=PHOTO_SUFFIXES)


def _report(directions: Directions) -> dict[str, Any]:
    """Return what is known about directions as plain values."""
    concepts = [
        {**concept.to_dict(), "unknown": list(concept.unknown), "examples": concept.examples}
        for concept in directions.concepts
    ]
    return {
        "tower": directions.tower,
        "used": len(directions),
        "weak": sum(concept.weak for concept in directions.concepts),
        "concepts": concepts,
        "report": directions.report,
    }


def _print_table(directions: Directions) -> None:
    """Print one line for each concept."""
    from whyhere.cli._output import print_table

    print_table(
        ("id", "state", "direction"),
        [
            (concept.id, "weak" if concept.weak else "ok", _in_words(concept))
            for concept in directions.concepts
        ],
    )


def _in_words(concept: ConceptDirection) -> str:
    """Return what is known about one direction, the reason why it is weak first."""
    said = f" ({', '.join(concept.words)})" if concept.words else ""
    parts = [concept.reason, "" if concept.source == "none" else f"{concept.source}{said}"]
    if concept.unknown and concept.source != "none":
        parts.append(f"unknown {', '.join(concept.unknown)}")
    if concept.examples:
        parts.append(f"{concept.examples} photos")
    if concept.auroc is not None:
        parts.append(f"AUROC {concept.auroc:.2f} ({concept.auroc_low:.2f} to {concept.auroc_high:.2f})")
    if concept.agreement is not None:
        parts.append(f"text and photos agree {concept.agreement:.2f}")
    if concept.nearest_cosine is not None:
        parts.append(f"nearest {concept.nearest} {concept.nearest_cosine:.2f}")
    return "; ".join(filter(None, parts))


def _directions(own: OwnBank, release: str, text_tower: Path | None) -> tuple[Directions, int]:
    """Build the directions of a bank for the image tower of a release; count its unreadable photos."""
    from whyhere.concepts import OwnMaterial, build_own_directions, load_directions, open_vocabulary
    from whyhere.releases import resolve

    start = resolve(release)
    tower = start.config.image_tower.asset or ""
    shipped = load_directions() if tower == SHIPPED_TOWER else None
    photos, background, unreadable = _embedded(own, start)
    if shipped is not None:
        fingerprint = shipped.tower_fingerprint
    else:
        from whyhere.embeddings import tower_fingerprint

        fingerprint = tower_fingerprint(start)
    material = OwnMaterial(
        tower=tower,
        tower_fingerprint=fingerprint,
        photos=photos,
        background=background,
        image_mean=None if shipped is None else shipped.image_mean.astype(float),
        encode=_encoder(start, text_tower),
        vocabulary=None if shipped is None else open_vocabulary(),
    )
    return build_own_directions(own, material), unreadable


def _encoder(start: Release, folder: Path | None) -> Encode | None:
    """Return the text tower of a model folder, or of the release, as a function."""
    from tempfile import TemporaryDirectory

    from whyhere.encoders import TextTower
    from whyhere.releases import load_text_tower

    if folder is not None:
        from whyhere.encoders import export_text_tower

        if not folder.is_dir():
            raise MissingFileError(f"--text-tower {folder}: no such folder")
        with TemporaryDirectory() as stage:
            export_text_tower(folder, Path(stage))
            tower = TextTower.load(Path(stage))
    elif start.config.text_tower is not None:
        tower = load_text_tower(start)
    else:
        return None

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        with progress_bar("Reading prompts") as told:
            return tower.embed(texts, progress=told)

    return embed


def _embedded(
    own: OwnBank, start: Release
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64] | None, int]:
    """Embed the example photos of a bank and its background; unreadable ones are named, left out, counted."""
    wanted = {**own.photos, "": own.background}
    wanted = {key: photos for key, photos in wanted.items() if photos}
    if not wanted:
        return {}, None, 0
    import numpy as np

    from whyhere.embeddings import EmbeddingCache, StoredPhoto

    cache = EmbeddingCache.open(start, view_average="embeddings")
    found: dict[str, NDArray[np.float64]] = {}
    failed: set[str] = set()  # a photo may belong to two concepts
    for key, photos in wanted.items():
        stored, names = [StoredPhoto.of(path) for path in photos], [str(path) for path in photos]
        with progress_bar(f"Encoding photos of {key or 'the background'}") as told:
            embedded = cache.embed_photos(stored, names, progress=told)
        for row, reason in embedded.unreadable.items():
            if names[row] not in failed:
                print(f"whyhere: {names[row]}: {reason}; left out", file=sys.stderr)
            failed.add(names[row])
        good = embedded.rows[embedded.rows >= 0]
        found[key] = np.asarray(embedded.values[good], np.float64)
    background = found.pop("", None)
    return found, background, len(failed)


app = typer.Typer(no_args_is_help=True, help="List and show the geographic concepts; build and check a bank.")
app.command(cls=JSON_FORMAT)(build)
app.command(cls=JSON_FORMAT)(check)

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


@app.command("list", cls=JSON_FORMAT)
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
    format: TextOrJson = "table",
) -> None:
    """List the concepts, where their directions come from and which are too weak to be shown."""
    as_json = wants_json(format)
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


@app.command(cls=JSON_FORMAT)
def show(
    name: Annotated[str, typer.Argument(metavar="CONCEPT", help="Id, name or synonym, such as souk.")],
    bank: Bank = None,
    release: InRelease = "base",
    format: TextOrJson = "table",
) -> None:
    """Show one concept: what it means, its words and prompts, and where its direction comes from."""
    as_json = wants_json(format)
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
