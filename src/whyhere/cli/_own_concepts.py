"""`whyhere concepts build` and `check`: a bank of one's own, from words, prompts and example photos."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from whyhere.cli._console import print_json
from whyhere.cli._output import checked_target
from whyhere.errors import MissingFileError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from whyhere.concepts import ConceptDirection, Directions, Encode, OwnBank
    from whyhere.releases import Release

NOT_BUILT = "build them with `whyhere concepts build {} --out FILE`"
BUILT_SUFFIXES = (".safetensors", ".json")
_Made = TypeVar("_Made")
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
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


def build(
    bank: BankPath,
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Write FILE.safetensors and FILE.json: `directions` for training."),
    ],
    release: ReleaseName = "base",
    text_tower: TextTowerFolder = None,
    as_json: AsJson = False,
) -> None:
    """Find the directions of a bank of your own and write them.

    Weak concepts get none; each is named with its reason. `whyhere concepts check` says more. Exit code 1
    where a photo cannot be read.
    """
    from whyhere.concepts import load_directions, save_directions

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
    as_json: AsJson = False,
) -> None:
    """Say how good the directions of a bank of your own are; BANK may also be what `build` wrote.

    Exit code 1 where a concept is weak or a photo cannot be read.
    """
    from whyhere.concepts import load_directions

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
        from whyhere.training import tower_fingerprint_of

        fingerprint = tower_fingerprint_of(start)
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
        from whyhere.encoders._export import export_text_tower

        if not folder.is_dir():
            raise MissingFileError(f"--text-tower {folder}: no such folder")
        with TemporaryDirectory() as stage:
            export_text_tower(folder, Path(stage))
            tower = TextTower.load(Path(stage))
    elif start.config.text_tower is not None:
        tower = load_text_tower(start)
    else:
        return None
    return lambda texts: _with_bar("Reading prompts", lambda told: tower.embed(texts, progress=told))


def _embedded(
    own: OwnBank, start: Release
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64] | None, int]:
    """Embed the example photos of a bank and its background; unreadable ones are named, left out, counted."""
    wanted = {**own.photos, "": own.background}
    wanted = {key: photos for key, photos in wanted.items() if photos}
    if not wanted:
        return {}, None, 0
    import numpy as np

    from whyhere._assembly import preprocessing_of
    from whyhere.releases import home, load_image_tower
    from whyhere.training import StoredPhoto, cached_features, tower_fingerprint_of

    tower = load_image_tower(start)
    found: dict[str, NDArray[np.float64]] = {}
    failed: set[str] = set()  # a photo may belong to two concepts
    for key, photos in wanted.items():
        stored = [StoredPhoto(p, 0, (stat := p.stat()).st_size, stat.st_mtime_ns) for p in photos]
        names = [str(p) for p in photos]

        def embed(
            told: Callable[[int, int], None], stored: list[StoredPhoto] = stored, names: list[str] = names
        ) -> tuple[NDArray[np.float32], dict[int, str]]:
            return cached_features(
                stored,
                names,
                tower=tower,
                tower_fingerprint=tower_fingerprint_of(start),
                spec=preprocessing_of(start, tower),
                folder=home() / "features",
                progress=told,
            )

        features, unreadable = _with_bar(f"Encoding photos of {key or 'the background'}", embed)
        for row, reason in unreadable.items():
            if names[row] not in failed:
                print(f"whyhere: {names[row]}: {reason}; left out", file=sys.stderr)
            failed.add(names[row])
        good = [row for row in range(len(names)) if row not in unreadable]
        found[key] = np.asarray(features[good], np.float64)
    background = found.pop("", None)
    return found, background, len(failed)


def _with_bar(description: str, work: Callable[[Callable[[int, int], None]], _Made]) -> _Made:
    """Run work that reports its progress, with a bar on a terminal."""
    from whyhere.cli._progress import place_progress

    with place_progress(description) as told:
        return work(told)
