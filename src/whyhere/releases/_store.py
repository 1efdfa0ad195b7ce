"""The cache: assets as they were fetched and converted, and what was computed from them.

Every directory is complete or absent, whatever happens to the process that makes it, and has a record of its
files: an asset `manifest.json`, which also says what it was made from, the others `checksums.json`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whyhere._io import (
    MEMORY,
    assets_dir,
    exclusive,
    file_problem,
    home,
    put_in_place,
    seal,
    sealed_problems,
    sha256_of,
)
from whyhere.errors import MissingFileError
from whyhere.releases._sources import Asset, Progress, build, size_of, termination_unwinds

MANIFEST = "manifest.json"


def directory_of(asset: Asset) -> Path:
    """Return where the asset lies, fetched or not."""
    return assets_dir() / asset.name


def problem_of(asset: Asset) -> str | None:
    """Tell what keeps the asset from being used, reading files only where they changed; None if nothing."""
    directory = directory_of(asset)
    try:
        directory.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "not fetched"
    except OSError as error:
        return f"{directory} cannot be read: {error.strerror}"
    manifest = read_manifest(directory)
    if manifest is None:
        return f"{directory / MANIFEST} is missing or damaged"
    if not _is_current(asset, manifest):
        return "made by another version of whyhere"
    found = (file_problem(directory / name, it, home() / MEMORY) for name, it in manifest["files"].items())
    return next((problem for problem in found if problem), None)


def check_files(asset: Asset, progress: Progress) -> dict[Path, str | None]:
    """Read every file of the asset and compare it with the manifest.

    Returns:
        What is wrong with each file, None for a good one. A fault of the whole asset stands at its
        directory.
    """
    directory = directory_of(asset)
    manifest = read_manifest(directory)
    if manifest is None or not _is_current(asset, manifest):
        return {directory: problem_of(asset)}
    found = {}
    for name, recorded in manifest["files"].items():

        def told(done: int, name: str = name, size: int = recorded["size"]) -> None:
            progress(f"checking {name}", done, size)

        found[directory / name] = file_problem(directory / name, recorded, home() / MEMORY, told)
    return found


def read_manifest(directory: Path) -> dict[str, Any] | None:
    """Return the manifest of a directory, or None where there is none that can be trusted."""
    try:
        manifest: Any = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        return None
    for name, recorded in manifest["files"].items():
        whole = isinstance(recorded, dict) and {"size", "sha256"} <= recorded.keys()
        if not whole or Path(name).name != name:
            return None
    return manifest


def install(
    asset: Asset,
    *,
    force: bool,
    progress: Progress,
    folder: Path | None = None,
    weights: str | None = None,
) -> bool:
    """Fetch and build the asset where it is absent, damaged or out of date.

    Args:
        asset: What to install.
        force: Do it also where nothing is wrong.
        progress: Told about each step.
        folder: The user's model folder, for an asset that is made from one; None asks the hub.
        weights: How such an asset is to store its matrices; None keeps it as it is, float32 at first.

    Returns:
        True where this process built it, False where it was there or another process built it meanwhile.

    Raises:
        MissingFileError: No source gives it, or it cannot be written; what was there before still is.
    """
    if asset.wheel is None and weights is not None:
        force = force or _stored_weights(asset) not in (None, weights)
    if not force and problem_of(asset) is None:
        return False

    def waiting() -> None:
        progress(f"waiting for another process that is fetching {asset.name}", 0, None)

    with _workplace(asset.name, _cannot_write(asset), waiting=waiting) as stage:
        if not force and problem_of(asset) is None:
            return False
        free = shutil.disk_usage(home()).free
        if free < asset.bytes_needed:
            raise MissingFileError(
                f"{asset.name} needs {asset.bytes_needed / 1e6:.0f} MB while it is fetched, and the disk of "
                f"{home()} has {free / 1e6:.0f} MB left: make room, or set WHYHERE_HOME to another disk"
            )
        built = stage / "built"
        built.mkdir()
        kind = weights or _stored_weights(asset) or "float32"
        source = build(asset, stage, built, progress, folder=folder, weights=kind)
        files = {
            path.name: {"size": path.stat().st_size, "sha256": sha256_of(path)}
            for path in sorted(built.iterdir())
        }
        manifest = {"asset": asset.name, "recipe": asset.recipe, "source": source, "files": files}
        (built / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        assets_dir().mkdir(exist_ok=True)
        put_in_place(built, directory_of(asset))
    return True


def delete(asset: Asset) -> int:
    """Delete the asset and return how many bytes that freed; 0 where it is absent."""
    if not directory_of(asset).exists():
        return 0
    with _workplace(asset.name, _cannot_write(asset), waiting=lambda: None):
        return discard(directory_of(asset), asset=asset.name)


def discard(directory: Path, *, asset: str) -> int:
    """Delete a directory of the cache and return how many bytes that freed; 0 where it is absent.

    Args:
        directory: What to delete.
        asset: Asset that it was made from. It goes among the leftovers of that asset first, so that the next
            fetch sweeps it up where deleting is interrupted.

    Raises:
        MissingFileError: It cannot be deleted.
    """
    if not directory.is_dir():
        return 0
    freed = size_of(directory)
    doomed = home() / "tmp" / f"{asset}@{directory.name}-{uuid.uuid4().hex[:8]}"
    try:
        doomed.parent.mkdir(exist_ok=True)
        directory.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise MissingFileError(f"{directory} cannot be deleted: {error.strerror or error}") from error
    return freed


def fingerprint_of(*parts: str) -> str:
    """Return a short name for everything that a result depends on."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def computed(kind: str, fingerprint: str, make: Callable[[Path], None]) -> Path:
    """Return the directory `kind`/`fingerprint` of the cache; make it where it is absent or damaged.

    Of two processes one makes it and the other waits. What a killed one left, the next one sweeps up.

    Args:
        kind: Directory below the cache.
        fingerprint: Names everything the result depends on.
        make: Fills an empty directory. It is renamed into place when all is written, so that what is found
            is complete.

    Raises:
        MissingFileError: The cache cannot be written.
    """
    final = home() / kind / fingerprint

    def is_whole() -> bool:
        problems = sealed_problems(final, home() / MEMORY)
        return problems is not None and not any(problems.values())

    if is_whole():
        return final
    failure = (
        f"{final} cannot be written: REASON. Remedy: make room or give write permission there, or set "
        "WHYHERE_HOME to another directory"
    )
    with _workplace(f"{kind}-{fingerprint}", failure, required=False) as stage:
        if is_whole():
            return final
        if final.is_dir():
            print(f"whyhere: {final} is damaged or of another version: made again", file=sys.stderr)
        make(stage)
        seal(stage)
        final.parent.mkdir(exist_ok=True)
        put_in_place(stage, final)
    return final


def _cannot_write(asset: Asset) -> str:
    return (
        f"{asset.name} cannot be written below {home()}: REASON. Remedy: make room or give write permission "
        "there, or set WHYHERE_HOME to another directory; nothing half-written stays"
    )


@contextmanager
def _workplace(
    name: str, failure: str, *, waiting: Callable[[], None] | None = None, required: bool = True
) -> Iterator[Path]:
    """Hold the lock of a name and give a directory for work in progress, which goes in the end.

    Only who holds the lock writes there: what killed runs left is swept up first.

    Raises:
        MissingFileError: A fault of the cache directory: `failure`, with the reason for its REASON.
    """
    root = home()
    stage = root / "tmp" / f"{name}@{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        for folder in ("locks", "tmp"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        lock = exclusive(root / "locks" / f"{name}.lock", waiting=waiting, required=required)
        with termination_unwinds(), lock as alone:
            for leftover in (root / "tmp").glob(f"{name}@*") if alone else ():
                shutil.rmtree(leftover, ignore_errors=True)
            try:
                stage.mkdir()
                yield stage
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        file = f" ({error.filename})" if error.filename and required else ""
        raise MissingFileError(failure.replace("REASON", f"{error.strerror or error}{file}")) from error


def _stored_weights(asset: Asset) -> str | None:
    """How the matrices of an installed asset are stored; None where that is not said."""
    source = (read_manifest(directory_of(asset)) or {}).get("source")
    return source.get("weights") if isinstance(source, dict) else None


def _is_current(asset: Asset, manifest: dict[str, Any]) -> bool:
    source = manifest.get("source")
    accepted = [asset.wheel.sha256] if asset.wheel else []
    accepted += [asset.hub.files[0].sha256] if asset.hub else []
    same_source = isinstance(source, dict) and (
        source.get("sha256") in accepted
        # A folder of the user's was chosen by hand, with whatever weights it holds.
        or (asset.wheel is None and source.get("kind") == "folder")
    )
    same_files = set(asset.files) <= manifest["files"].keys()
    return same_source and same_files and manifest.get("recipe") == asset.recipe
