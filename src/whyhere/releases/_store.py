"""Keeps assets on disk so that each is whole or absent, whatever interrupts.

An asset is built in `tmp/`, on the same file system, flushed to disk, and renamed into place in one step.
Its `manifest.json` records what it was made from and the checksum of every file.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from whyhere._io import MEMORY, assets_dir, exclusive, file_problem, home, put_in_place, sha256_of
from whyhere.errors import MissingFileError
from whyhere.releases._assets import Asset
from whyhere.releases._build import build
from whyhere.releases._child import size_of, termination_unwinds
from whyhere.releases._sources import Progress

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
    for name, recorded in manifest["files"].items():
        problem = file_problem(directory / name, recorded, home() / MEMORY)
        if problem:
            return problem
    return None


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
    force = force or not _stored_as(asset, weights)
    if not force and problem_of(asset) is None:
        return False
    root = home()
    with _disk_errors(asset, root), termination_unwinds():
        for name in ("assets", "locks", "tmp"):
            (root / name).mkdir(parents=True, exist_ok=True)

        def waiting() -> None:
            progress(f"waiting for another process that is fetching {asset.name}", 0, None)

        with exclusive(root / "locks" / f"{asset.name}.lock", waiting=waiting):
            if not force and problem_of(asset) is None:
                return False
            _sweep(root / "tmp", asset)
            stage = root / "tmp" / f"{asset.name}@{os.getpid()}-{uuid.uuid4().hex[:8]}"
            try:
                _check_space(asset, root)
                built = stage / "built"
                built.mkdir(parents=True)
                kind = weights or _stored_weights(asset) or "float32"
                source = build(asset, stage, built, progress, folder=folder, weights=kind)
                _write_manifest(asset, built, source)
                put_in_place(built, directory_of(asset))
            finally:
                shutil.rmtree(stage, ignore_errors=True)
    return True


def delete(asset: Asset) -> int:
    """Delete the asset and return how many bytes that freed; 0 where it is absent."""
    directory, root = directory_of(asset), home()
    if not directory.exists():
        return 0
    with _disk_errors(asset, root):
        for name in ("locks", "tmp"):
            (root / name).mkdir(parents=True, exist_ok=True)
        with exclusive(root / "locks" / f"{asset.name}.lock", waiting=lambda: None):
            freed = size_of(directory)
            _sweep(root / "tmp", asset)
            doomed = root / "tmp" / f"{asset.name}@deleted-{uuid.uuid4().hex[:8]}"
            directory.rename(doomed)  # gone in one step, also where deleting is interrupted
            shutil.rmtree(doomed)
    return freed


def _write_manifest(asset: Asset, built: Path, source: dict[str, str]) -> None:
    files = {
        path.name: {"size": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(built.iterdir())
    }
    manifest = {"asset": asset.name, "recipe": asset.recipe, "source": source, "files": files}
    (built / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _sweep(tmp: Path, asset: Asset) -> None:
    """Delete what killed runs left; only the holder of the asset's lock may write there, so none is alive."""
    for leftover in tmp.glob(f"{asset.name}@*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _check_space(asset: Asset, root: Path) -> None:
    free = shutil.disk_usage(root).free
    if free < asset.bytes_needed:
        raise MissingFileError(
            f"{asset.name} needs {asset.bytes_needed / 1e6:.0f} MB while it is fetched, and the disk of "
            f"{root} has {free / 1e6:.0f} MB left: make room, or set WHYHERE_HOME to another disk"
        )


def _stored_weights(asset: Asset) -> str | None:
    """How the matrices of an installed asset are stored; None where that is not said."""
    source = (read_manifest(directory_of(asset)) or {}).get("source")
    return source.get("weights") if isinstance(source, dict) else None


def _stored_as(asset: Asset, weights: str | None) -> bool:
    return weights is None or asset.folder is None or _stored_weights(asset) in (None, weights)


def _is_current(asset: Asset, manifest: dict[str, Any]) -> bool:
    source = manifest.get("source")
    accepted = [part.sha256 for part in (asset.wheel, asset.hub) if part is not None]
    accepted += [asset.folder.files[0].sha256] if asset.folder else []
    same_source = isinstance(source, dict) and (
        source.get("sha256") in accepted
        # A folder of the user's was chosen by hand, with whatever weights it holds.
        or (asset.folder is not None and source.get("kind") == "folder")
    )
    same_files = set(asset.files) <= manifest["files"].keys()
    return same_source and same_files and manifest.get("recipe") == asset.recipe


@contextmanager
def _disk_errors(asset: Asset, root: Path) -> Iterator[None]:
    """Say what a fault of the cache directory means for the user."""
    try:
        yield
    except OSError as error:
        raise MissingFileError(
            f"{asset.name} cannot be written below {root}: {error.strerror or error}"
            f"{f' ({error.filename})' if error.filename else ''}. Remedy: make room or give write permission "
            "there, or set WHYHERE_HOME to another directory; nothing half-written stays"
        ) from error
