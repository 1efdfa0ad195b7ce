"""Releases and the weights they need: found, fetched with checksums, kept whole on disk, removed.

A release is a directory with `config.json`, `model.safetensors`, `concepts.json` and `MODEL_CARD.md`; `base`
comes with the package. The large files that releases share are assets, fetched once into `home()`.
Nothing is fetched unless `fetch` is called.
"""

from whyhere.releases._assets import ASSETS, Asset, HubSource, Member, WheelSource
from whyhere.releases._config import ImageTowerConfig, ReleaseConfig, read_config
from whyhere.releases._describe import describe
from whyhere.releases._home import assets_dir, galleries_dir, home
from whyhere.releases._release import (
    FileCheck,
    Release,
    asset_path,
    disk_bytes,
    fetch,
    known_releases,
    missing,
    remove,
    resolve,
    verify,
)
from whyhere.releases._sources import Progress

__all__ = [
    "ASSETS",
    "Asset",
    "FileCheck",
    "HubSource",
    "ImageTowerConfig",
    "Member",
    "Progress",
    "Release",
    "ReleaseConfig",
    "WheelSource",
    "asset_path",
    "assets_dir",
    "describe",
    "disk_bytes",
    "fetch",
    "galleries_dir",
    "home",
    "known_releases",
    "missing",
    "read_config",
    "remove",
    "resolve",
    "verify",
]
