"""Answers from heads that have not learned from the photos: a protocol applied to a benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from whyhere.errors import UsageError
from whyhere.evaluation._benchmark import Benchmark
from whyhere.evaluation._duplicates import near_duplicates
from whyhere.evaluation._folds import FOLDS_FILE, asked_about, assign_folds, check_folds, read_folds
from whyhere.evaluation._guesses import SystemPrediction, system_prediction
from whyhere.evaluation._held_out import read_held_out
from whyhere.evaluation._ledger import Ledger
from whyhere.evaluation._protocol import Protocol
from whyhere.tables import NameIndex, Problem, Query

if TYPE_CHECKING:
    from whyhere.locator import Locator

Progress = Callable[[int, int], None]


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


def predict_apart(
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
                known = replace(known, system=f"{locator.release}, held out")
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
    problems = [
        Problem("unreadable photo", queries[row].line or None, queries[row].photo, why)
        for row, why in found.unreadable.items()
    ]
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


def join_benchmarks(benchmarks: list[Benchmark]) -> Benchmark:
    """Join tables into one benchmark.

    Raises:
        UsageError: Two of them name the same photo.
    """
    if len(benchmarks) == 1:
        return benchmarks[0]
    seen: dict[str, Query] = {}
    for benchmark in benchmarks:
        for query in benchmark.queries:
            if query.photo in seen:
                raise UsageError(f"{benchmark.name}: another table has the photo {query.photo!r} already")
            seen[query.photo] = query
    return Benchmark(
        " + ".join(benchmark.name for benchmark in benchmarks),
        benchmarks[0].columns,
        sum(benchmark.rows for benchmark in benchmarks),
        tuple(seen.values()),
        tuple(problem for benchmark in benchmarks for problem in benchmark.problems),
    )
