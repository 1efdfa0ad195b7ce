"""Runs: a release answers a benchmark, or heads do that have not learned from the photos they answer.

Such heads lie in a folder (`--held-out`):

    DIR/folds.csv               photo,fold (empty for photos that every fold has learned from)
    DIR/<fold>/config.json      {"alignment": {...}, "ranking": {...} (optional)}
    DIR/<fold>/model.safetensors
    DIR/<fold>/concepts.json    names of the concepts (optional)
    DIR/<fold>/landmarks.json   names of the landmarks (where it has any)
    DIR/random/<draw>/<fold>/   the same with random banks, where a bank is trained with its head (optional)
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from whyhere._record import Record
from whyhere.alignment import Alignment, load_alignment
from whyhere.concepts import ConceptLabel, LandmarkLabel, read_labels, read_landmarks
from whyhere.errors import MissingFileError, PhotoError, UsageError
from whyhere.evaluation._benchmark import Benchmark, Progress, unreadable
from whyhere.evaluation._predictions import Ledger, SystemPrediction, system_prediction
from whyhere.evaluation._protocol import (
    FOLDS_FILE,
    Protocol,
    asked_about,
    assign_folds,
    check_folds,
    near_duplicates,
    read_folds,
)
from whyhere.ranking import RankingConfig
from whyhere.tables import NameIndex, Problem

if TYPE_CHECKING:
    from whyhere.locator import Locator
    from whyhere.releases import Release


def predict(
    locator: Locator,
    benchmark: Benchmark,
    files: Mapping[str, Path],
    *,
    ledger: Ledger | None = None,
    top: int = 5,
    progress: Progress | None = None,
    on_error: Callable[[Problem], None] | None = None,
) -> tuple[list[SystemPrediction], Benchmark]:
    """Locate the photos of a benchmark, those of the ledger excepted.

    Args:
        locator: Locates them; never sees the truth.
        benchmark: The benchmark.
        files: Its photos.
        ledger: Holds what was answered before, and takes what is answered now.
        top: How many different places at most.
        progress: Called with photos done and photos in all.
        on_error: Called with each photo that cannot be read, as it turns up.

    Returns:
        The predictions, and the benchmark without the photos that cannot be read (which are problems, not
        wrong answers: no system could have answered them).
    """
    sizes = {query.photo: _size(files[query.photo]) for query in benchmark.queries}
    done = {
        photo: known for photo, size in sizes.items() if ledger and (known := ledger.get(photo, size=size))
    }
    waiting = [query for query in benchmark.queries if query.photo not in done]
    problems: list[Problem] = []

    def told() -> None:
        if progress:
            progress(len(done) + len(problems), len(benchmark.queries))

    told()
    # Photos go through the image tower in batches: the first of a batch takes the time of all. Only the mean
    # says something.
    started = time.perf_counter()
    found = locator.locate_each([files[query.photo] for query in waiting], top=top)
    for query, answered in zip(waiting, found, strict=True):
        if isinstance(answered, PhotoError):
            problems.append(unreadable(query, answered.reason))
            if on_error:
                on_error(problems[-1])
        else:
            seconds = time.perf_counter() - started
            prediction = system_prediction(answered, photo=query.photo, seconds=seconds)
            if ledger:
                ledger.add(prediction, size=sizes[query.photo])
            done[query.photo] = prediction
            started = time.perf_counter()
        told()
    kept = tuple(query for query in benchmark.queries if query.photo in done)
    return [done[query.photo] for query in kept], benchmark.keep(kept, *problems)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it went away; opening it says so
        return -1


class HeldOut(Record, frozen=True):
    """What the folder holds.

    Attributes:
        alignments: One a fold.
        rankings: One a fold; the release's own where a fold has none.
        fold_of: Fold of every photo, shape (n,).
        random_sets: Alignments with random banks, by draw and fold.
        labels: Names of the concepts, one tuple a fold; None where a fold does not name them.
        landmarks: Names of the landmarks, one tuple a fold.
    """

    alignments: tuple[Alignment, ...]
    rankings: tuple[RankingConfig, ...]
    fold_of: NDArray[np.intp]
    random_sets: tuple[tuple[Alignment, ...], ...]
    labels: tuple[tuple[ConceptLabel, ...] | None, ...] = ()
    landmarks: tuple[tuple[LandmarkLabel, ...], ...] = ()


def read_held_out(
    folder: Path, photos: Sequence[str], *, concept_ids: tuple[str, ...] | None, ranking: RankingConfig
) -> HeldOut:
    """Read the folder.

    Args:
        folder: The folder.
        photos: Names of the photos, which `folds.csv` gives folds, by these names or by their base names.
        concept_ids: Concepts of the release, which every fold must have; None where each may have its own.
        ranking: Ranking of the release.

    Raises:
        MissingFileError: A file is missing or damaged.
        UsageError: A photo has no fold, or a fold has other concepts than the release.
    """
    folds = read_folds(folder / FOLDS_FILE)
    by_base: dict[str, str | None] = {}
    for photo, fold in folds.items():
        base = PurePosixPath(photo).name
        by_base[base] = fold if by_base.get(base, fold) == fold else None
    chosen = []
    for photo in photos:
        found = folds.get(photo) or by_base.get(PurePosixPath(photo).name)
        if not found:
            raise UsageError(f"{folder / FOLDS_FILE}: no fold for the photo {photo!r}")
        chosen.append(found)
    names = sorted(set(chosen))
    loaded = [_load(folder / name) for name in names]
    for name, (alignment, _) in zip(names, loaded, strict=True):
        if concept_ids is not None and alignment.concept_ids != concept_ids:
            raise UsageError(f"{folder / name}: its concepts are not those of the release")
    rankings = tuple(
        RankingConfig.from_dict(config["ranking"], where=str(folder / name / "config.json"))
        if "ranking" in config
        else ranking
        for name, (_, config) in zip(names, loaded, strict=True)
    )
    for name, one in zip(names, rankings, strict=True):
        if one.cell_resolution != ranking.cell_resolution:
            raise UsageError(f"{folder / name}: its cell_resolution is not that of the release")
    draws = sorted(path for path in (folder / "random").glob("*") if path.is_dir())
    return HeldOut(
        tuple(alignment for alignment, _ in loaded),
        rankings,
        np.array([names.index(one) for one in chosen], np.intp),
        tuple(tuple(_load(draw / name)[0] for name in names) for draw in draws),
        tuple(_labels(folder / name) for name in names),
        tuple(read_landmarks(folder / name / "landmarks.json") for name in names),
    )


def _labels(folder: Path) -> tuple[ConceptLabel, ...] | None:
    path = folder / "concepts.json"
    return read_labels(path) if path.is_file() else None


def _load(folder: Path) -> tuple[Alignment, Mapping[str, Any]]:
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        section = config["alignment"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingFileError(f"{path}: cannot read the alignment of this fold ({error})") from error
    return load_alignment(folder / "model.safetensors", section), config


def photos_asked_about(
    benchmark: Benchmark,
    protocol: Protocol,
    *,
    held_out: Path | None = None,
    features: Mapping[str, NDArray[np.float32]] | None = None,
) -> Benchmark:
    """Keep the photos that a protocol asks about.

    Args:
        benchmark: All photos that heads were made from, the ones never asked about included.
        protocol: The protocol.
        held_out: Folder with `folds.csv`, which is checked against the protocol; without it, folds are made
            as `assign_folds` does, and answers from elsewhere are scored on the photos that are in one.
        features: Unit features of the photos by name, to look for near-duplicates on both sides.

    Raises:
        MissingFileError: There is no `folds.csv`.
        UsageError: The folds break the protocol, or a photo of theirs is in no table.
    """
    queries = benchmark.queries
    lat, lon = np.array([q.lat for q in queries]), np.array([q.lon for q in queries])
    kinds = [q.kind for q in queries]
    groups = None
    if features is not None:
        rows = np.stack([features[query.photo] for query in queries])
        groups = near_duplicates(rows, cosine=protocol.duplicate_cosine)
    if held_out is None:
        folds = assign_folds(protocol, lat, lon, kinds=kinds, groups=groups)
    else:
        folds = _folds_of(benchmark, read_folds(held_out / FOLDS_FILE), held_out / FOLDS_FILE)
        check_folds(protocol, folds, lat, lon, photos=[q.photo for q in queries], groups=groups)
    asked = (folds >= 0) & asked_about(protocol, kinds)
    kept = tuple(query for query, yes in zip(queries, asked, strict=True) if yes)
    return structs.replace(benchmark, queries=kept, protocol=protocol)


def _folds_of(benchmark: Benchmark, folds: Mapping[str, str], path: Path) -> NDArray[np.intp]:
    """Return the fold of each photo as a number, -1 for those always learned from."""
    index = NameIndex(query.photo for query in benchmark.queries)
    by_photo: dict[str, str] = {}
    for photo, fold in folds.items():
        known = index.find(photo)
        if known is None:
            raise UsageError(
                f"{path}: no table has the photo {photo!r}; name all tables that the heads were made from, "
                "so that the protocol can be checked"
            )
        by_photo[known] = fold
    names = sorted(set(by_photo.values()) - {""})
    if not names:
        raise UsageError(f"{path}: no photo has a fold")
    # A photo without a line was not learned from either; asking about it would need a head.
    without = [query.photo for query in benchmark.queries if query.photo not in by_photo]
    if without:
        raise UsageError(f"{path}: no fold for the photo {without[0]!r}")
    return np.array(
        [names.index(fold) if (fold := by_photo[q.photo]) else -1 for q in benchmark.queries], np.intp
    )


def predict_held_out(
    locator: Locator,
    benchmark: Benchmark,
    features: Mapping[str, NDArray[np.float32]],
    held_out: Path,
    *,
    ledger: Ledger | None = None,
    sizes: Mapping[str, int] | None = None,
    top: int = 5,
    progress: Progress | None = None,
) -> list[SystemPrediction]:
    """Answer every photo with the head of its fold.

    Args:
        locator: The release that the heads belong to: tower, gallery and ranking are its own.
        benchmark: The photos.
        features: Features of the photos by name, as `Locator.features` gives them.
        held_out: Folder of the heads.
        ledger: Holds what was answered before, and takes what is answered now.
        sizes: Sizes of the files by name, for the ledger.
        top: How many different places at most.
        progress: Called with photos done and photos in all.

    Raises:
        MissingFileError: A head is missing or damaged.
        UsageError: A photo has no fold, or the release takes no heads of this kind.
    """
    from whyhere.locator import Locator

    parts = locator.parts
    if parts.view_average == "logits":
        raise UsageError(
            f"{locator.release} averages answers over views, and held-out heads take one feature"
        )
    names = [query.photo for query in benchmark.queries]
    heads = read_held_out(held_out, names, concept_ids=None, ranking=parts.ranking)
    found: dict[str, SystemPrediction] = {}
    for fold, alignment in enumerate(heads.alignments):
        labels = heads.labels[fold] or parts.concepts
        own = Locator(
            replace(
                parts,
                alignment=alignment,
                ranking=heads.rankings[fold],
                concepts=labels,
                landmarks=heads.landmarks[fold],
            )
        )
        for row in np.flatnonzero(heads.fold_of == fold):
            name = names[row]
            size = (sizes or {}).get(name, -1)
            known = ledger.get(name, size=size) if ledger else None
            if known is None:
                code = alignment.encode_image(features[name])
                known = system_prediction(own.answer_code(code, top=top, name=name), photo=name)
                known = structs.replace(known, system=f"{locator.release}, held out")
                if ledger:
                    ledger.add(known, size=size)
            found[name] = known
            if progress:
                progress(len(found), len(names))
    return [found[name] for name in names]


def features_of_photos(
    release: str, benchmark: Benchmark, files: Mapping[str, Path], *, progress: Progress | None = None
) -> tuple[Benchmark, dict[str, NDArray[np.float32]], dict[str, int]]:
    """Look at all photos once; what was seen stays in the cache of features that training uses.

    Returns:
        The benchmark without the photos that cannot be read, features by name, and sizes of the files.
    """
    from whyhere.embeddings import EmbeddingCache, StoredPhoto
    from whyhere.releases import resolve

    queries = benchmark.queries
    stored = [StoredPhoto.of(files[query.photo]) for query in queries]
    cache = EmbeddingCache.open(resolve(release), view_average="embeddings", engine="onnxruntime")
    found = cache.embed_photos(stored, [query.photo for query in queries], progress=progress)
    kept = tuple(query for row, query in enumerate(queries) if row not in found.unreadable)
    problems = [unreadable(queries[row], why) for row, why in found.unreadable.items()]
    by_name = {query.photo: found[row] for row, query in enumerate(queries) if row not in found.unreadable}
    sizes = {query.photo: photo.size for query, photo in zip(queries, stored, strict=True)}
    return benchmark.keep(kept, *problems), by_name, sizes


def held_out_description(folder: Path, protocol: Protocol) -> dict[str, str]:
    """Return what tells these heads and this protocol from others, for the ledger."""
    digest = hashlib.sha256()
    for path in [*sorted(folder.glob("*/*")), folder / FOLDS_FILE]:
        if path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes())
    return {"protocol": protocol.name, "held_out": digest.hexdigest()[:16]}


def run_description(release: Release, *, top: int) -> dict[str, str | int]:
    """Return what makes predictions: release (down to the bytes of its files), code and options.

    Args:
        release: The release; its assets must have been fetched.
        top: How many places are asked for.

    Raises:
        MissingFileError: An asset must be fetched first.
    """
    from importlib.metadata import version

    from whyhere.releases import asset_path, wanted_engine

    digest = hashlib.sha256()
    paths = [release.directory / name for name in ("config.json", "model.safetensors", "concepts.json")]
    paths += [
        asset_path(name) / "manifest.json" for name in release.asset_names
    ]  # holds SHA-256 of each file
    for path in paths:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return {
        "release": f"{release.name} {release.version}",
        "fingerprint": digest.hexdigest()[:16],
        "whyhere": version("whyhere"),
        "engine": wanted_engine(),
        "top": top,
    }
