"""Locating the photos of a benchmark: which of them are there, where their truth comes from, and the run."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from whyhere.errors import PhotoError, UsageError
from whyhere.evaluation._benchmark import Benchmark
from whyhere.evaluation._guesses import SystemPrediction, system_prediction
from whyhere.evaluation._ledger import Ledger
from whyhere.images import display_name, find_photos, open_photo
from whyhere.tables import PhotoFolder, Problem, Query

if TYPE_CHECKING:
    from whyhere.locator import Locator
    from whyhere.prediction import Prediction
    from whyhere.releases import Release

Progress = Callable[[int, int], None]


def photos_of(benchmark: Benchmark, folder: Path) -> tuple[Benchmark, dict[str, Path]]:
    """Find the photos of a benchmark.

    Args:
        benchmark: The benchmark.
        folder: Folder that holds them, at any depth.

    Returns:
        The benchmark with only the photos that are there (the others become problems), and their files.

    Raises:
        UsageError: There is no such folder, or none of the photos in it.
    """
    if not folder.is_dir():
        raise UsageError(f"--photos {folder}: there is no such folder")
    there = PhotoFolder(folder)
    files: dict[str, Path] = {}
    missing = []
    for query in benchmark.queries:
        path = there.find(query.photo)
        if path is None:
            reason = f"not found in {display_name(folder)}, or more than one file that it may mean"
            missing.append(Problem("missing photo", query.line or None, query.photo, reason))
        else:
            files[query.photo] = path
    if not files:
        raise UsageError(
            f"--photos {folder}: none of the {len(benchmark.queries)} photos of {benchmark.name} is there; "
            f"the first is called {benchmark.queries[0].photo!r}"
        )
    kept = tuple(query for query in benchmark.queries if query.photo in files)
    return benchmark.keep(kept, *missing), files


def folder_benchmark(folder: Path) -> tuple[Benchmark, dict[str, Path]]:
    """Make a benchmark of all photos in a folder, with positions still to come from `exif_truth`.

    Raises:
        UsageError: There is no such folder, or no photo in it.
    """
    if not folder.is_dir():
        raise UsageError(f"--photos {folder}: there is no such folder")
    files: dict[str, Path] = {}
    problems = []
    for found in find_photos([folder]):
        if isinstance(found, PhotoError):
            problems.append(Problem("unreadable photo", None, found.photo, found.reason))
        elif isinstance(found, Path):
            files[found.relative_to(folder).as_posix()] = found
    if not files:
        raise UsageError(f"--photos {folder}: there is no photo in it")
    queries = tuple(Query(photo, 0.0, 0.0) for photo in files)
    return Benchmark(f"{folder.name} (EXIF)", None, len(files), queries, tuple(problems)), files


def exif_truth(
    benchmark: Benchmark,
    files: dict[str, Path],
    *,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Benchmark:
    """Take the truth from the photos' own GPS metadata instead of from a table, as for Im2GPS.

    Args:
        benchmark: The benchmark; its positions and names of places are dropped.
        files: Its photos.
        limit: Stop after this many photos that have a position.
        progress: Called with photos done and photos in all.

    Returns:
        The benchmark with only the photos that have a position; the others become problems.
    """
    queries: list[Query] = []
    problems = []
    for done, query in enumerate(benchmark.queries):
        if progress:
            progress(done, len(benchmark.queries))
        try:
            gps = open_photo(files[query.photo]).exif_gps
        except PhotoError as error:
            problems.append(Problem("unreadable photo", query.line or None, query.photo, error.reason))
            continue
        if gps is None:
            problems.append(Problem("no position", query.line or None, query.photo, "no GPS in its metadata"))
            continue
        queries.append(replace(query, lat=gps.lat, lon=gps.lon, country=None, region=None, city=None))
        if len(queries) == limit:
            break
    if not queries:
        raise UsageError(
            f"--truth exif: none of the {len(benchmark.queries)} photos has a GPS position in it"
        )
    return benchmark.keep(tuple(queries), *problems)


def predict(
    locator: Locator,
    benchmark: Benchmark,
    files: dict[str, Path],
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
    done: dict[str, SystemPrediction] = {}
    waiting: deque[tuple[Query, Path, int]] = deque()
    failed: dict[str, Problem] = {}
    for query in benchmark.queries:
        path = files[query.photo]
        size = _size(path)
        known = ledger.get(query.photo, size=size) if ledger else None
        if known is None:
            waiting.append((query, path, size))
        else:
            done[query.photo] = known
    total = len(benchmark.queries)

    def told() -> None:
        if progress:
            progress(len(done) + len(failed), total)

    unreadable: deque[PhotoError] = deque()
    told()
    predictions = locator.locate_many([path for _, path, _ in waiting], top=top, on_error=unreadable.append)
    for answered, seconds in _timed(predictions):
        query, _, size = _next(waiting, unreadable, answered.photo, failed, on_error)
        prediction = system_prediction(answered, photo=query.photo, seconds=seconds)
        if ledger:
            ledger.add(prediction, size=size)
        done[query.photo] = prediction
        told()
    while waiting:
        _fail(waiting.popleft()[0], unreadable.popleft(), failed, on_error)
        told()
    kept = tuple(query for query in benchmark.queries if query.photo in done)
    return [done[query.photo] for query in kept], benchmark.keep(kept, *failed.values())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # it went away; opening it says so
        return -1


def _timed(items: Iterator[Prediction]) -> Iterator[tuple[Prediction, float]]:
    """Yield each item with the wall-clock seconds that it took.

    Photos go through the image tower in batches: the first of a batch takes the time of all. Only the mean
    says something.
    """
    started = time.perf_counter()
    for item in items:
        ended = time.perf_counter()
        yield item, ended - started
        started = time.perf_counter()


def _next(
    waiting: deque[tuple[Query, Path, int]],
    unreadable: deque[PhotoError],
    name: str,
    failed: dict[str, Problem],
    on_error: Callable[[Problem], None] | None,
) -> tuple[Query, Path, int]:
    """Return the photo that was answered: answers come in order, and what they skip could not be read."""
    while True:
        query, path, size = waiting.popleft()
        if unreadable and unreadable[0].photo == display_name(path):
            _fail(query, unreadable.popleft(), failed, on_error)
        else:
            assert display_name(path) == name, f"{name} was answered where {path} was asked"
            return query, path, size


def _fail(
    query: Query,
    error: PhotoError,
    failed: dict[str, Problem],
    on_error: Callable[[Problem], None] | None,
) -> None:
    problem = Problem("unreadable photo", query.line or None, query.photo, error.reason)
    failed[query.photo] = problem
    if on_error:
        on_error(problem)


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
