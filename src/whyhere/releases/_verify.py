"""Are the files of a release those that were recorded: its own, its assets', and what was computed?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyhere._io import MEMORY, galleries_dir, home, seal, sealed_problems
from whyhere.errors import MissingFileError
from whyhere.releases import _store
from whyhere.releases._assets import ASSETS, Asset
from whyhere.releases._release import Release, known_asset
from whyhere.releases._sources import Progress

_CARD = "MODEL_CARD.md"


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What checking found about one file or directory.

    Attributes:
        path: The file or directory.
        problem: What is wrong with it; None where nothing was found.
        recorded: Whether it was compared with a recorded checksum; without a record it was only looked at.
    """

    path: Path
    problem: str | None
    recorded: bool = True

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary."""
        return {"path": str(self.path), "problem": self.problem, "recorded": self.recorded}


def verify(
    release: Release, *, progress: Progress | None = None, assets: Mapping[str, Asset] = ASSETS
) -> tuple[FileCheck, ...]:
    """Read every file of a release, of its assets and of what was computed from them, and compare checksums.

    Own files of a release without `checksums.json` must be there, and the weights must open: no more can be
    told of them.
    """
    told = progress or (lambda task, done, total: None)

    def heard(name: str, done: int, total: int) -> None:
        told(f"checking {name}", done, total)

    recorded = sealed_problems(release.directory, home() / MEMORY, heard) or {}
    names = dict.fromkeys((*release.own_files, *recorded))
    checks = [
        FileCheck(
            release.directory / name,
            recorded.get(name) or _own_problem(release.directory / name),
            name in recorded or name == _CARD,  # which decides no answer, and may be edited
        )
        for name in names
    ]
    for name in release.asset_names:
        found = _store.check_files(known_asset(name, assets), told)
        checks += [FileCheck(path, problem) for path, problem in found.items()]
    return (*checks, *_verify_computed(release, heard))


def _verify_computed(release: Release, heard: Callable[[str, int, int], None]) -> Iterator[FileCheck]:
    """Check the embedded gallery, and the directions and towers of releases that have such."""
    from whyhere.gallery import bank_problem, gallery_fingerprint

    config = release.config
    try:
        fingerprint = gallery_fingerprint(
            release.part_path(config.gallery) / "gallery.npy",
            release.part_path(config.location_encoder) / "location_encoder.safetensors",
            smoothing_km=config.gallery_smoothing_km,
            covers_land=config.gallery_covers_land,
            memory=galleries_dir() / MEMORY,
        )
    except MissingFileError:
        fingerprint = ""  # reported already
    bank = galleries_dir() / fingerprint
    if fingerprint and bank.is_dir():
        file = bank / "embeddings.npy"
        size = file.stat().st_size if file.is_file() else 0
        yield FileCheck(file, bank_problem(bank, lambda done: heard(file.name, done, size)))
    kinds = {"heads": bool(config.text_tower), "towers": bool(config.image_tower.folder)}
    for folder in (path for kind, used in kinds.items() if used for path in (home() / kind).glob("*")):
        for name, problem in (sealed_problems(folder, home() / MEMORY, heard) or {}).items():
            yield FileCheck(folder / name, problem)


def check_own_files(release: Release) -> None:
    """Refuse a release whose own files are not those that were recorded; one without records is believed.

    Raises:
        MissingFileError: A file is missing or has changed.
    """
    problems = [
        problem for problem in (sealed_problems(release.directory, home() / MEMORY) or {}).values() if problem
    ]
    if problems:
        source = "install whyhere again" if release.is_built_in else "copy the release again"
        again = release.name if release.is_built_in else release.directory
        remedy = f"{source}; or, where the change is yours, run: whyhere releases verify {again} --record"
        raise MissingFileError(f"release {release.name}: {'; '.join(problems)}. Remedy: {remedy}")


def record(release: Release) -> None:
    """Record the checksums of a release's own files and of parts in its directory, as they are now."""
    config = release.config
    folders = [part.folder for part in (config.location_encoder, config.gallery) if part.folder]
    parts = [
        f"{folder}/{name}" for folder in folders for name in ("gallery.npy", "location_encoder.safetensors")
    ]
    inside = [name for name in (*parts, config.image_tower.file) if name and not Path(name).is_absolute()]
    inside = [Path(name).as_posix() for name in inside if ".." not in Path(name).parts]
    seal(release.directory, {*release.own_files, "landmarks.json", *inside} - {_CARD})


def _own_problem(path: Path) -> str | None:
    if not path.is_file():
        return f"{path} is missing"
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as tensors:
                tensors.keys()
        except (SafetensorError, OSError) as error:
            return f"{path} cannot be read: {error}"
    return None
