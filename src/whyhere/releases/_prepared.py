"""What a release needs that is computed on this machine: concept directions, and towers of the user's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from whyhere._io import MEMORY, home, known_sha256
from whyhere.errors import MissingFileError, UsageError
from whyhere.releases._cached import computed, fingerprint_of
from whyhere.releases._convert import weights_kind
from whyhere.releases._parts import ImageTowerConfig
from whyhere.releases._release import Release, asset_path
from whyhere.releases._store import MANIFEST
from whyhere.releases._verify import check_own_files

if TYPE_CHECKING:
    from whyhere.concepts import Concept, ConceptBank
    from whyhere.encoders import ImageTower, TextTower

_HEADS_RECIPE = "geoclip-text-directions-1"
_TOWER_RECIPE = "image-tower-1"
_ENGINE_VARIABLE = "WHYHERE_ENGINE"
HEAD_FILE = "image_head.safetensors"


def prepare_heads(release: Release, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Return the `model.safetensors` of a release; compute it where the release has none of its own.

    For a release of kind "geoclip" it holds GeoCLIP's head and the direction of every concept in
    `concepts.json`: each prompt, in each template of the bank, goes through the text tower and the head, as
    GeoCLIP answers a text; the unit directions of one concept are averaged and made unit length again.

    Args:
        release: The release.
        progress: Called with texts done and texts in all while directions are computed, at first use only.

    Raises:
        MissingFileError: A file is missing or damaged, or a concept of the release is not in the bank.
    """
    check_own_files(release)
    if release.config.image_head is None or release.config.text_tower is None:
        return release.directory / "model.safetensors"
    from whyhere.concepts import load_bank, read_labels

    bank = load_bank()
    ids = tuple(label.id for label in read_labels(release.directory / "concepts.json"))
    head = release.part_path(release.config.image_head) / HEAD_FILE
    text_folder = release.part_path(release.config.text_tower)
    made_from = [_identity(head), _identity(text_folder / "text_tower.safetensors")]
    fingerprint = fingerprint_of(_HEADS_RECIPE, *made_from, bank.fingerprint, *ids)

    def make(stage: Path) -> None:
        _write_heads(release, bank, ids, head, stage / "model.safetensors", progress)

    return computed("heads", fingerprint, make) / "model.safetensors"


def load_text_tower(release: Release) -> TextTower:
    """Load the text tower of a release.

    Raises:
        MissingFileError: The release has none, or its files are missing or damaged.
    """
    from whyhere.encoders import TextTower

    if release.config.text_tower is None:
        raise MissingFileError(
            f"{release.name} has no text tower, so it knows the words of its concepts only; "
            "releases with one: geoclip-l14"
        )
    return TextTower.load(release.part_path(release.config.text_tower))


def load_image_tower(
    release: Release, *, threads: int | None = None, engine: str | None = None
) -> ImageTower:
    """Load the image tower of a release, from an asset, an ONNX file or a model folder of the user's own.

    Args:
        release: The release.
        threads: Threads of the tower; all cores by default.
        engine: What runs it, "onnxruntime" or "openvino" (`OnnxImageTower`); by default what the environment
            variable WHYHERE_ENGINE names, else "onnxruntime".

    Raises:
        MissingFileError: A file is missing, damaged or not such a tower, or the engine is not installed.
        UsageError: There is no such engine.
    """
    from whyhere.encoders import CustomTower, OnnxImageTower, TowerNames

    tower, engine = release.config.image_tower, wanted_engine(engine)
    if tower.asset:
        path = asset_path(tower.asset) / "image_tower.onnx"
        return OnnxImageTower(path, threads=threads, engine=engine)
    if tower.file:
        return CustomTower(
            release.directory / Path(tower.file).expanduser(),
            image_size=tower.size_px,
            names=TowerNames(tower.input, tower.embedding, tower.tokens),
            threads=threads,
            engine=engine,
        )
    return OnnxImageTower(_exported(release.directory, tower), threads=threads, engine=engine)


def wanted_engine(engine: str | None = None) -> str:
    """Return the engine that image towers run in: the one given, else WHYHERE_ENGINE's, else onnxruntime.

    Args:
        engine: Its name; None where nobody chose one.

    Raises:
        UsageError: There is no engine of this name.
    """
    from whyhere.encoders._sessions import ENGINES, check_engine

    name = engine or os.environ.get(_ENGINE_VARIABLE) or ENGINES[0]
    try:
        check_engine(name)
    except UsageError as error:
        where = "" if engine else f"{_ENGINE_VARIABLE} in the environment: "
        raise UsageError(f"{where}{error}") from None
    return name


def _exported(directory: Path, tower: ImageTowerConfig) -> Path:
    """Return the ONNX export of a model folder, made at first use."""
    from whyhere.encoders._export import export_image_tower

    folder, weights = directory / Path(tower.folder).expanduser(), weights_kind(tower.weights)
    made_from = [folder / name for name in ("model.safetensors", "config.json")]
    absent = [path for path in made_from if not path.is_file()]
    if absent:
        raise MissingFileError(f"{absent[0]}: there is no such file; see image_tower in the config.json")
    fingerprint = fingerprint_of(_TOWER_RECIPE, weights, *map(_identity, made_from))

    def make(stage: Path) -> None:
        export_image_tower(folder, stage / "image_tower.onnx", weights=weights)

    return computed("towers", fingerprint, make) / "image_tower.onnx"


def _identity(path: Path) -> str:
    """The checksum of a file: as its asset's manifest records it, else read.

    A file of the user's own is read when it changed (about a second for a gigabyte).
    """
    import json

    manifest = path.parent / MANIFEST
    if manifest.is_file():
        recorded = json.loads(manifest.read_text(encoding="utf-8"))["files"].get(path.name)
        if recorded is not None:
            return str(recorded["sha256"])
    if not path.is_file():
        raise MissingFileError(f"{path}: there is no such file; run `whyhere releases fetch geoclip-l14`")
    return known_sha256(path, home() / MEMORY)


def _write_heads(
    release: Release,
    bank: ConceptBank,
    ids: tuple[str, ...],
    head_file: Path,
    target: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
    import numpy as np
    from safetensors.numpy import load_file

    from whyhere.alignment import GeoClipHead, save_geoclip

    concepts = {concept.id: concept for concept in bank}
    unknown = [concept_id for concept_id in ids if concept_id not in concepts]
    if unknown:
        raise MissingFileError(
            f"{release.directory / 'concepts.json'}: the concept bank of this version of whyhere has no "
            f"{unknown[0]!r}; take the release's directory from the same version"
        )
    head = GeoClipHead.load(head_file)
    texts = [_texts(concepts[concept_id], bank.templates) for concept_id in ids]
    embeddings = load_text_tower(release).embed([t for group in texts for t in group], progress=progress)
    if embeddings.shape[1] != head.w1.shape[1]:
        raise MissingFileError(
            f"{head_file}: takes embeddings of width {head.w1.shape[1]}, and the text tower of "
            f"{release.name} gives {embeddings.shape[1]}"
        )
    directions = head.directions(embeddings)
    ends = np.cumsum([len(group) for group in texts])[:-1]
    means = np.stack([rows.mean(axis=0) for rows in np.split(directions, ends)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    save_geoclip(target, load_file(head_file), means.T, ids)


def _texts(concept: Concept, templates: tuple[str, ...]) -> list[str]:
    return [template.format(prompt) for prompt in concept.prompts for template in templates]
