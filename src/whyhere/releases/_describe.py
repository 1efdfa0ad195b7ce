"""A release and its assets as plain data, for listing and showing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from whyhere.releases import _store
from whyhere.releases._assets import ASSETS, Asset
from whyhere.releases._release import Release, disk_bytes, missing


def describe(release: Release, *, assets: Mapping[str, Asset] = ASSETS) -> dict[str, Any]:
    """Return everything there is to say about a release, in JSON types.

    Args:
        release: The release.
        assets: The assets there are.

    Returns:
        `name`, `version`, `state` ("ready", "not fetched" or "incomplete"), `bytes` on disk, `directory`,
        `image_tower`, `alignment`, `ranking`, `card`, and `assets`: each with its state, licence, sources
        and files.
    """
    config = release.config
    problems = missing(release, assets=assets)
    absent = set(problems.values()) == {"not fetched"} and len(problems) == len(release.asset_names)
    return {
        "name": release.name,
        "version": release.version,
        "state": "ready" if not problems else "not fetched" if absent else "incomplete",
        "bytes": disk_bytes(release, assets=assets),
        "directory": str(release.directory),
        "image_tower": dataclasses.asdict(config.image_tower),
        "alignment": dict(config.alignment),
        "ranking": dict(config.ranking),
        "card": {
            **config.card.to_dict(),
            "limits": list(config.card.limits),
            "attribution": list(config.card.attribution),
        },
        "assets": [_describe_asset(assets[name], problems.get(name)) for name in release.asset_names],
    }


def _describe_asset(asset: Asset, problem: str | None) -> dict[str, Any]:
    directory = _store.directory_of(asset)
    manifest = _store.read_manifest(directory) or {"files": {}}
    sources = [{"from": asset.wheel.requirement, "sha256": asset.wheel.sha256}] if asset.wheel else []
    if asset.hub is not None:
        origin = f"{asset.hub.repo}/{asset.hub.file} at {asset.hub.revision}"
        sources.append({"from": origin, "sha256": asset.hub.sha256})
    if asset.folder is not None:
        sources += [
            {"from": f"{asset.folder.repo}/{file.path} at {asset.folder.revision}", "sha256": file.sha256}
            for file in asset.folder.files
        ]
    return {
        "name": asset.name,
        "summary": asset.summary,
        "licence": asset.licence,
        "state": problem or "ready",
        "directory": str(directory),
        "sources": sources,
        "fetched_from": manifest.get("source"),
        "files": [
            {"name": name, "bytes": recorded["size"], "sha256": recorded["sha256"]}
            for name, recorded in manifest["files"].items()
        ],
    }
