"""The `config.json` of a release: parsed into frozen records, every fault named with its place.

`alignment` and `ranking` stay dictionaries here; the packages of those names check them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from whyhere._io import plain
from whyhere.errors import MissingFileError
from whyhere.prediction import ReleaseCard

FORMAT_VERSION = 1
VIEW_AVERAGES = ("embeddings", "logits")


@dataclass(frozen=True, slots=True)
class PartConfig:
    """Where one part of a release lies: exactly one of the two is given.

    Attributes:
        asset: Asset that holds it; "" where it is a folder.
        folder: Folder that holds it, relative to the release or absolute; "" where it is an asset.
    """

    asset: str = ""
    folder: str = ""


@dataclass(frozen=True, slots=True)
class ImageTowerConfig:
    """Which image tower a release uses: exactly one of asset, file and folder is given.

    Attributes:
        asset: Asset that holds it; "" where it is the user's own.
        views: Crops of a photo.
        file: ONNX file of the user's own, relative to the release or absolute.
        folder: Folder of a CLIP model in the layout of the Hugging Face hub; exported at first use.
        weights: How the export of a folder stores its matrices, "float32" or "8-bit".
        view_average: What is averaged over the views: "embeddings" of unit length, or "logits", for which
            the alignment sees the raw embedding of every view.
        input: What the graph of a file calls its pixels.
        embedding: What it calls its embeddings.
        tokens: What it calls its hidden tokens; None where it gives none.
        size_px: Side of the square that a file's tower sees; that of a folder is read off its weights.
        mean: Mean of red, green and blue that a file or folder wants; CLIP's by default.
        std: Standard deviation of them.
        resample: How photos are resized for it.
        licence: Under which licence the weights of a file or folder may be used, in words.
    """

    asset: str
    views: int
    file: str = ""
    folder: str = ""
    weights: str = "float32"
    view_average: str = "embeddings"
    input: str = "pixel_values"
    embedding: str = "image_embeds"
    tokens: str | None = None
    size_px: int = 224
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    resample: str = "bicubic"
    licence: str = ""


@dataclass(frozen=True, slots=True)
class ReleaseConfig:
    """What `config.json` says.

    Attributes:
        name: Release name.
        version: Release version.
        image_tower: The image tower.
        location_encoder: What holds the location encoder.
        gallery: What holds the places.
        alignment: Parameters of the heads.
        ranking: Parameters of ranking and calibration.
        card: What a reader of a report must know.
        image_head: What holds GeoCLIP's image head; None for releases with heads of their own.
        text_tower: What holds CLIP's text tower; None for releases that answer no free text.
        gallery_smoothing_km: Scale of the neighbourhoods whose embeddings stand for the places; 0 for the
            places themselves.
        gallery_covers_land: Whether points are added where the places leave land empty.
    """

    name: str
    version: str
    image_tower: ImageTowerConfig
    location_encoder: PartConfig
    gallery: PartConfig
    alignment: Mapping[str, Any]
    ranking: Mapping[str, Any]
    card: ReleaseCard
    image_head: PartConfig | None = None
    text_tower: PartConfig | None = None
    gallery_smoothing_km: float = 0.0
    gallery_covers_land: bool = False


def read_config(path: Path) -> ReleaseConfig:
    """Read and check a `config.json`.

    Raises:
        MissingFileError: Absent, not JSON, another format version, or a value that is missing or wrong.
    """
    try:
        data = json.loads(plain(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: a release needs this file, and it is missing") from error
    except (OSError, ValueError, RecursionError) as error:
        raise MissingFileError(f"{path}: cannot be read as JSON: {error}") from error
    top = _Section(path, "", data)
    version = top.value("format_version", int)
    if version != FORMAT_VERSION:
        raise MissingFileError(
            f"{path}: format_version is {version}, and this version of whyhere reads {FORMAT_VERSION}: "
            "install the version of whyhere that the release asks for"
        )
    card, gallery = top.section("card"), top.section("gallery")
    alignment = top.value("alignment", dict)
    is_geoclip = alignment.get("kind") == "geoclip"
    smoothing_km = gallery.data.get("smoothing_km", 0)
    if not _is_number(smoothing_km) or not 0 <= smoothing_km <= 20_000:
        raise gallery.fault("smoothing_km", "a length in km from 0 to 20000", repr(smoothing_km))
    covers_land = gallery.data.get("covers_land", False)
    if not isinstance(covers_land, bool):
        raise gallery.fault("covers_land", "true or false", repr(covers_land))
    name, release_version = top.value("name", str), top.value("version", str)
    return ReleaseConfig(
        name=name,
        version=release_version,
        image_tower=_image_tower(top.section("image_tower")),
        location_encoder=_part(top.section("location_encoder")),
        gallery=_part(gallery),
        alignment=alignment,
        ranking=top.value("ranking", dict),
        card=ReleaseCard(
            name=name,
            version=release_version,
            summary=card.value("summary", str),
            accuracy=card.value("accuracy", str),
            limits=card.sentences("limits"),
            attribution=card.sentences("attribution"),
        ),
        image_head=_part(top.section("image_head")) if is_geoclip else None,
        text_tower=_part(top.section("text_tower")) if is_geoclip or "text_tower" in top.data else None,
        gallery_smoothing_km=float(smoothing_km),
        gallery_covers_land=covers_land,
    )


def _part(section: _Section) -> PartConfig:
    """Read where a part comes from: an asset, unless a folder is named instead."""
    if "folder" in section.data and "asset" not in section.data:
        return PartConfig(folder=section.value("folder", str))
    return PartConfig(asset=section.value("asset", str))


def _image_tower(section: _Section) -> ImageTowerConfig:
    views = section.value("views", int)
    if views < 1:
        raise section.fault("views", "1 or more", str(views))
    average = section.one_of("view_average", VIEW_AVERAGES)
    own = [key for key in ("file", "folder") if key in section.data]
    if not own or "asset" in section.data:
        return ImageTowerConfig(asset=section.value("asset", str), views=views, view_average=average)
    if len(own) > 1:
        raise MissingFileError(f"{section.path}: {section.place}file and folder exclude each other")
    return ImageTowerConfig(
        asset="",
        views=views,
        view_average=average,
        file=section.value("file", str) if own == ["file"] else "",
        folder=section.value("folder", str) if own == ["folder"] else "",
        weights=section.one_of("weights", ("float32", "8-bit")),
        size_px=section.value("size_px", int) if own == ["file"] else 224,
        resample=section.one_of("resample", ("bicubic", "bilinear", "lanczos")),
        licence=section.value("licence", str),
        input=section.value("input", str, "pixel_values"),
        embedding=section.value("embedding", str, "image_embeds"),
        tokens=section.value("tokens", str) if "tokens" in section.data else None,
        mean=section.numbers("mean") if "mean" in section.data else None,
        std=section.numbers("std") if "std" in section.data else None,
    )


_T = TypeVar("_T", int, str, dict[str, Any], list[Any])
_KINDS: dict[type, str] = {int: "a whole number", str: "text", dict: "an object", list: "a list"}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class _Section:
    """One object of the file, which knows its own place for messages."""

    path: Path
    place: str
    data: Any

    def __post_init__(self) -> None:
        if not isinstance(self.data, dict):
            raise MissingFileError(f"{self.path}: {self.place or 'the whole file'} must be an object")

    def fault(self, key: str, wanted: str, found: str | None = None) -> MissingFileError:
        instead = "" if found is None else f", not {found[:60]}"
        return MissingFileError(f"{self.path}: {self.place}{key} must be {wanted}{instead}")

    def value(self, key: str, kind: type[_T], default: _T | None = None) -> _T:
        if key not in self.data:
            if default is not None:
                return default
            raise MissingFileError(f"{self.path}: {self.place}{key} is missing")
        value = self.data[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.fault(key, _KINDS[kind], json.dumps(value))
        if isinstance(value, str) and not value.strip():
            raise MissingFileError(f"{self.path}: {self.place}{key} is empty")
        return value

    def sentences(self, key: str) -> tuple[str, ...]:
        values = self.value(key, list)
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise self.fault(key, "a list of sentences")
        return tuple(values)

    def numbers(self, key: str) -> tuple[float, ...]:
        values = self.value(key, list)
        if not all(map(_is_number, values)):
            raise self.fault(key, "a list of numbers")
        return tuple(map(float, values))

    def one_of(self, key: str, choices: tuple[str, ...]) -> str:
        """A word out of a few; the first of them where the key is absent."""
        value = self.value(key, str, choices[0])
        if value not in choices:
            raise self.fault(key, f"one of {', '.join(choices)}", value)
        return value

    def section(self, key: str) -> _Section:
        return _Section(self.path, f"{self.place}{key}.", self.value(key, dict))
