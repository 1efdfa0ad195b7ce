"""Releases: find one, fetch what it needs, check it, remove it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from whyhere._io import galleries_dir, home
from whyhere.errors import MissingFileError, UsageError
from whyhere.releases import _store
from whyhere.releases._assets import ASSETS, Asset
from whyhere.releases._cached import discard
from whyhere.releases._child import size_of
from whyhere.releases._config import ReleaseConfig, read_config
from whyhere.releases._geoclip_folder import import_geoclip, is_geoclip_folder
from whyhere.releases._parts import PartConfig
from whyhere.releases._sources import Progress

BUILT_IN = Path(__file__).parent
OWN_FILES = ("config.json", "model.safetensors", "concepts.json", "MODEL_CARD.md")


@dataclass(frozen=True, slots=True)
class Release:
    """A release that is on this machine; the assets it needs may still have to be fetched.

    Attributes:
        name: Its name, as in its configuration.
        directory: Where its own files lie.
        config: Its configuration.
    """

    name: str
    directory: Path
    config: ReleaseConfig

    @property
    def version(self) -> str:
        """Its version."""
        return self.config.version

    @property
    def asset_names(self) -> tuple[str, ...]:
        """The assets it needs, each once."""
        config = self.config
        parts = (config.location_encoder, config.gallery, config.image_head, config.text_tower)
        names = (config.image_tower.asset, *(part.asset for part in parts if part))
        return tuple(dict.fromkeys(name for name in names if name))

    @property
    def own_files(self) -> tuple[str, ...]:
        """Names of the files in its directory; GeoCLIP's heads are a part, not a file of its own."""
        heads = self.config.alignment.get("kind") == "geoclip"
        return tuple(name for name in OWN_FILES if not (heads and name == "model.safetensors"))

    def part_path(self, part: PartConfig) -> Path:
        """Return the folder that holds a part.

        Raises:
            MissingFileError: It is an asset that must be fetched first, or the folder is not there.
        """
        if part.asset:
            return asset_path(part.asset)
        folder = self.directory / Path(part.folder).expanduser()
        if not folder.is_dir():
            raise MissingFileError(f"{folder}: there is no such folder; see {self.directory / 'config.json'}")
        return folder

    @property
    def is_built_in(self) -> bool:
        """Whether it comes with the package."""
        return self.directory.parent == BUILT_IN


def known_releases() -> tuple[Release, ...]:
    """Return the releases that come with the package, sorted by name."""
    directories = sorted(path.parent for path in BUILT_IN.glob("*/config.json"))
    return tuple(_load(directory) for directory in directories)


def resolve(name_or_path: str | os.PathLike[str]) -> Release:
    """Find a release.

    Args:
        name_or_path: Name of a release that comes with the package, such as "base", or the directory of
            any release. A name goes first; write `./base` for a directory of that name.

    Raises:
        MissingFileError: There is none, or its configuration is missing or wrong.
    """
    wanted = os.fspath(name_or_path)
    for directory in (path.parent for path in BUILT_IN.glob("*/config.json")):
        if directory.name == wanted:
            return _load(directory)
    directory = Path(wanted).expanduser()
    if wanted and directory.is_dir():
        return _load(directory.absolute())
    names = ", ".join(sorted(path.parent.name for path in BUILT_IN.glob("*/config.json"))) or "none"
    raise MissingFileError(
        f"no release named {wanted!r}, and no such directory; releases that come with whyhere: {names}"
    )


def asset_path(name: str, *, assets: Mapping[str, Asset] = ASSETS) -> Path:
    """Return the directory of a fetched asset.

    It is complete, made from the source and by the recipe that this version of whyhere asks for, and its
    files are those that were recorded: read in full where they changed since they last were.

    Args:
        name: Name of the asset.
        assets: The assets there are.

    Raises:
        MissingFileError: It must be fetched first.
    """
    asset = known_asset(name, assets)
    problem = _store.problem_of(asset)
    if problem is not None:
        users = [release.name for release in known_releases() if name in release.asset_names]
        command = f"whyhere releases fetch {users[0] if users else 'base'}"
        where = _store.directory_of(asset)
        raise MissingFileError(f"{asset.summary}: {problem}; looked in {where}. Run: {command}")
    return _store.directory_of(asset)


def fetch(
    release: Release | str | os.PathLike[str],
    *,
    force: bool = False,
    folder: Path | None = None,
    weights: str | None = None,
    progress: Progress | None = None,
    assets: Mapping[str, Asset] = ASSETS,
) -> tuple[str, ...]:
    """Get every asset that a release needs and this machine lacks.

    Args:
        release: The release, or what `resolve` takes.
        force: Get them also where they are there already.
        folder: A model folder of the user's own, for the asset that is made from one.
        weights: How that asset stores its matrices, "float32" or "8-bit"; None keeps it as it is.
        progress: Told what is being done, how many bytes of it are done, and of how many (None: unknown).
        assets: The assets there are.

    Returns:
        Names of the assets that were fetched now.

    Raises:
        MissingFileError: One cannot be had; the message has the reason and the remedy. Assets that were
            complete before or have been completed meanwhile stay.
        UsageError: The release needs nothing that is made from a model folder.
    """
    release = release if isinstance(release, Release) else resolve(release)
    wanted = [known_asset(name, assets) for name in release.asset_names]
    if (folder is not None or weights is not None) and not any(asset.folder for asset in wanted):
        raise UsageError(f"{release.name} is not made from a model folder: leave out --from and --weights")
    told = progress or (lambda task, done, total: None)

    def install(asset: Asset) -> bool:
        return _store.install(asset, force=force, progress=told, folder=folder, weights=weights)

    return tuple(asset.name for asset in wanted if install(asset))


def missing(release: Release, *, assets: Mapping[str, Asset] = ASSETS) -> dict[str, str]:
    """Return what keeps the assets of a release from being used, by asset; empty where all are ready."""
    problems = {name: _store.problem_of(known_asset(name, assets)) for name in release.asset_names}
    return {name: problem for name, problem in problems.items() if problem is not None}


def disk_bytes(release: Release, *, assets: Mapping[str, Asset] = ASSETS) -> int:
    """Return how many bytes the fetched assets of a release take."""
    return sum(size_of(_store.directory_of(known_asset(name, assets))) for name in release.asset_names)


def remove(
    release: Release,
    *,
    others: Iterable[Release] | None = None,
    assets: Mapping[str, Asset] = ASSETS,
) -> int:
    """Delete the fetched assets of a release, and the galleries and directions computed with them.

    The release's own files stay: those of the package belong to it, and those in a directory of yours to
    you.

    Args:
        release: The release.
        others: Releases whose assets must stay; without it those of the package.
        assets: The assets there are.

    Returns:
        Bytes freed.

    Raises:
        MissingFileError: Something cannot be deleted.
    """
    keepers = known_releases() if others is None else others
    kept = {name for other in keepers if other.directory != release.directory for name in other.asset_names}
    doomed = [name for name in release.asset_names if name not in kept]
    freed = sum(_store.delete(known_asset(name, assets)) for name in doomed)
    encoder = release.config.location_encoder_asset
    if encoder and (encoder in doomed or release.config.gallery_asset in doomed):
        freed += discard(galleries_dir(), asset=encoder)
    text_tower = release.config.text_tower
    if text_tower and text_tower.asset in doomed:
        freed += discard(home() / "heads", asset=text_tower.asset)
    if release.directory.parent == home() / "imported":
        freed += discard(release.directory, asset=release.directory.name)
    return freed


def _load(directory: Path) -> Release:
    if is_geoclip_folder(directory):
        directory = import_geoclip(directory)
    config = read_config(directory / "config.json")
    return Release(config.name, directory, config)


def known_asset(name: str, assets: Mapping[str, Asset]) -> Asset:
    """Return an asset; whyhere may be too old for it."""
    if name not in assets:
        raise MissingFileError(
            f"a release asks for the asset {name!r}, which this version of whyhere does not know "
            f"(it knows {', '.join(assets)}): install the version of whyhere that the release asks for"
        )
    return assets[name]
