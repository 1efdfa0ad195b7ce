"""Reads a release folder of the `geoclip` package as a release of whyhere.

Such a folder holds `config.json` (model_type "geoclip-geolocation", format_version 1), `model.safetensors`
with the location encoder, the image head and the logit scale, and a gallery as CSV; it names a CLIP model of
the hub as its backbone. What is made of it lies in the cache; the folder is only read.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from whyhere._io import plain, sha256_of
from whyhere.errors import MissingFileError
from whyhere.releases._cached import computed, fingerprint_of

MODEL_TYPE = "geoclip-geolocation"
BACKBONES = {"openai/clip-vit-large-patch14": "clip-vit-l14"}
"""Assets that hold the backbones such releases may name."""

_TEMPLATE = Path(__file__).parent / "geoclip-l14"
_RECIPE = "geoclip-folder-1"
_HEAD, _ENCODER = "image_encoder.mlp.", "location_encoder."


def is_geoclip_folder(directory: Path) -> bool:
    """Whether a directory is a release of the `geoclip` package."""
    return _config(directory).get("model_type") == MODEL_TYPE


def import_geoclip(directory: Path) -> Path:
    """Return the directory of the cache that holds the release in whyhere's own form; made at first use.

    Raises:
        MissingFileError: A file is missing or not what the format says, or the backbone is not known here.
    """
    config = _config(directory)
    where = directory / "config.json"
    if config.get("format_version") != 1:
        raise MissingFileError(
            f"{where}: format_version is {config.get('format_version')!r}, and of GeoCLIP's release "
            "folders this version of whyhere reads 1"
        )
    backbone = config.get("backbone")
    repo = backbone.get("repo_id") if isinstance(backbone, dict) else None
    if repo not in BACKBONES:
        raise MissingFileError(
            f"{where}: its backbone is {repo!r}; GeoCLIP's release folders can be read with "
            f"{', '.join(BACKBONES)}. For another tower write a release with image_tower.folder or .file "
            "(docs/geoclip-l14.md)"
        )
    gallery = config.get("gallery_file")
    if not isinstance(gallery, str) or Path(gallery).name != gallery or not gallery.endswith(".csv"):
        raise MissingFileError(f"{where}: gallery_file must name a CSV file in the folder, not {gallery!r}")
    sources = [where, directory / "model.safetensors", directory / gallery, _TEMPLATE / "concepts.json"]
    absent = [path for path in sources if not path.is_file()]
    if absent:
        raise MissingFileError(f"{absent[0]}: a release of GeoCLIP needs this file, and it is missing")
    template = (_TEMPLATE / "config.json").read_text(encoding="utf-8")
    fingerprint = fingerprint_of(_RECIPE, directory.name, template, *map(sha256_of, sources))

    def make(stage: Path) -> None:
        _write_weights(directory / "model.safetensors", stage)
        _write_gallery(directory / gallery, stage)
        release = _release_config(json.loads(template), directory, BACKBONES[repo], fingerprint)
        (stage / "config.json").write_text(json.dumps(release, indent=1) + "\n", encoding="utf-8")
        shutil.copyfile(_TEMPLATE / "concepts.json", stage / "concepts.json")
        (stage / "MODEL_CARD.md").write_text(
            f"# {directory.name}\n\nA release folder of the geoclip package, read from {directory}. "
            "Not measured by whyhere.\n",
            encoding="utf-8",
        )

    return computed("imported", fingerprint, make)


def _config(directory: Path) -> dict[str, Any]:
    """The configuration, {} where it cannot be read: then `read_config` says why."""
    try:
        config: Any = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _release_config(release: dict[str, Any], directory: Path, asset: str, fingerprint: str) -> dict[str, Any]:
    """The configuration of geoclip-l14 with the parts of this folder in its place."""
    here = {"folder": "."}
    release |= {"name": directory.name, "version": fingerprint[:8]}
    release |= {"location_encoder": here, "gallery": here, "image_head": here}
    release["image_tower"] |= {"asset": asset}
    release["text_tower"] = {"asset": asset}
    release["card"] |= {
        "summary": f"A release folder of the geoclip package, {directory.name}, behind CLIP ViT-L/14.",
        "accuracy": "Not measured by whyhere.",
    }
    return release


def _write_weights(path: Path, target: Path) -> None:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save

    from whyhere.encoders._location import location_encoder_shapes

    try:
        tensors = load_file(plain(path))
    except (SafetensorError, OSError) as error:
        raise MissingFileError(f"{path}: damaged, or no safetensors file ({error})") from error
    head = {"0.weight", "0.bias", "2.weight", "2.bias"}
    expected = {_ENCODER + name for name in location_encoder_shapes()} | {_HEAD + name for name in head}
    odd = sorted((expected | {"logit_scale"}) ^ tensors.keys())
    if odd:
        raise MissingFileError(f"{path}: not GeoCLIP's weights: {odd[0]} is missing, or not part of them")

    def part(prefix: str) -> dict[str, np.ndarray]:
        chosen = {name.removeprefix(prefix): a for name, a in tensors.items() if name.startswith(prefix)}
        return {name: np.ascontiguousarray(array, np.float32) for name, array in chosen.items()}

    (target / "location_encoder.safetensors").write_bytes(save(part(_ENCODER)))
    heads = part(_HEAD) | {"logit_scale": tensors["logit_scale"].astype(np.float32)}
    (target / "image_head.safetensors").write_bytes(save(heads))


def _write_gallery(path: Path, target: Path) -> None:
    import numpy as np

    from whyhere.releases._convert import gallery_from_csv

    np.save(target / "gallery.npy", gallery_from_csv(path))
