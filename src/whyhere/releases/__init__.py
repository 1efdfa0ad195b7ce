"""Releases and the weights they need: found, fetched with checksums, kept whole on disk, removed.

A release is a directory with `config.json`, `model.safetensors`, `concepts.json` and `MODEL_CARD.md`; `base`
comes with the package. The large files that releases share are assets, fetched once into `home()`.
Nothing is fetched unless `fetch` is called.
"""

from whyhere._io import assets_dir, galleries_dir, home
from whyhere.releases._assets import ASSETS
from whyhere.releases._config import ImageTowerConfig, PartConfig, ReleaseConfig, read_config
from whyhere.releases._convert import gallery_from_csv, geoclip, image_tower_from_checkpoint, read_torch_file
from whyhere.releases._credits import (
    CREDITS_FILE,
    Credit,
    credit_counts,
    credits_markdown,
    credits_of_table,
    read_credits,
    write_credits,
)
from whyhere.releases._release import (
    FileCheck,
    Release,
    asset_path,
    describe,
    disk_bytes,
    fetch,
    known_releases,
    load_image_tower,
    load_text_tower,
    missing,
    prepare_heads,
    record,
    remove,
    resolve,
    verify,
    wanted_engine,
)
from whyhere.releases._sources import Asset, HubSource, Progress, SourceFile, WheelSource
from whyhere.releases._store import computed, install

__all__ = [
    "ASSETS",
    "CREDITS_FILE",
    "Asset",
    "Credit",
    "FileCheck",
    "HubSource",
    "ImageTowerConfig",
    "PartConfig",
    "Progress",
    "Release",
    "ReleaseConfig",
    "SourceFile",
    "WheelSource",
    "asset_path",
    "assets_dir",
    "computed",
    "credit_counts",
    "credits_markdown",
    "credits_of_table",
    "describe",
    "disk_bytes",
    "fetch",
    "galleries_dir",
    "gallery_from_csv",
    "geoclip",
    "home",
    "image_tower_from_checkpoint",
    "install",
    "known_releases",
    "load_image_tower",
    "load_text_tower",
    "missing",
    "prepare_heads",
    "read_config",
    "read_credits",
    "read_torch_file",
    "record",
    "remove",
    "resolve",
    "verify",
    "wanted_engine",
    "write_credits",
]
