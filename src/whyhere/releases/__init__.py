"""Releases and the weights they need: found, fetched with checksums, kept whole on disk, removed.

A release is a directory with `config.json`, `model.safetensors`, `concepts.json` and `MODEL_CARD.md`; `base`
comes with the package. The large files that releases share are assets, fetched once into `home()`.
Nothing is fetched unless `fetch` is called.
"""

from whyhere._io import assets_dir, galleries_dir, home
from whyhere.releases._assets import ASSETS, Asset, FolderSource, HubFile, HubSource, Member, WheelSource
from whyhere.releases._config import ReleaseConfig, read_config
from whyhere.releases._credits import (
    CREDITS_FILE,
    Credit,
    credit_counts,
    credits_markdown,
    credits_of_table,
    read_credits,
    write_credits,
)
from whyhere.releases._describe import describe
from whyhere.releases._parts import ImageTowerConfig, PartConfig
from whyhere.releases._prepared import (
    load_image_tower,
    load_text_tower,
    prepare_heads,
    wanted_engine,
)
from whyhere.releases._release import (
    Release,
    asset_path,
    disk_bytes,
    fetch,
    known_releases,
    missing,
    remove,
    resolve,
)
from whyhere.releases._sources import Progress
from whyhere.releases._verify import FileCheck, record, verify

__all__ = [
    "ASSETS",
    "CREDITS_FILE",
    "Asset",
    "Credit",
    "FileCheck",
    "FolderSource",
    "HubFile",
    "HubSource",
    "ImageTowerConfig",
    "Member",
    "PartConfig",
    "Progress",
    "Release",
    "ReleaseConfig",
    "WheelSource",
    "asset_path",
    "assets_dir",
    "credit_counts",
    "credits_markdown",
    "credits_of_table",
    "describe",
    "disk_bytes",
    "fetch",
    "galleries_dir",
    "home",
    "known_releases",
    "load_image_tower",
    "load_text_tower",
    "missing",
    "prepare_heads",
    "read_config",
    "read_credits",
    "record",
    "remove",
    "resolve",
    "verify",
    "wanted_engine",
    "write_credits",
]
