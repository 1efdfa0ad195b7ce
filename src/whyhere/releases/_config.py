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
from whyhere.releases._parts import VIEW_AVERAGES, ImageTowerConfig, PartConfig

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ReleaseConfig:
    """What `config.json` says.

    Attributes:
        name: Release name.
        version: Release version.
        image_tower: The image tower.
        location_encoder: What holds the location encoder.
        gallery: What holds the places.
        gallery_smoothing_km: Scale of the neighbourhoods whose embeddings stand for the places; 0 for the
            places themselves.
        gallery_covers_land: Whether points are added where the places leave land empty.
        alignment: Parameters of the heads.
        ranking: Parameters of ranking and calibration.
        card: What a reader of a report must know.
        image_head: What holds GeoCLIP's image head; None for releases with heads of their own.
        text_tower: What holds CLIP's text tower; None for releases that answer no free text.
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

    @property
    def location_encoder_asset(self) -> str:
        """Asset that holds the location encoder; "" where it is a folder."""
        return self.location_encoder.asset

    @property
    def gallery_asset(self) -> str:
        """Asset that holds the places; "" where it is a folder."""
        return self.gallery.asset


def read_config(path: Path) -> ReleaseConfig:
    """Read and check a `config.json`.

    Args:
        path: The file.

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
    name, release_version = top.text("name"), top.text("version")
    card = top.section("card")
    alignment = top.value("alignment", dict)
    is_geoclip = alignment.get("kind") == "geoclip"
    return ReleaseConfig(
        name=name,
        version=release_version,
        image_tower=_image_tower(top.section("image_tower")),
        location_encoder=_part(top.section("location_encoder")),
        gallery=_part(top.section("gallery")),
        alignment=alignment,
        ranking=top.value("ranking", dict),
        card=ReleaseCard(
            name=name,
            version=release_version,
            summary=card.text("summary"),
            accuracy=card.text("accuracy"),
            limits=card.texts("limits"),
            attribution=card.texts("attribution"),
        ),
        image_head=_part(top.section("image_head")) if is_geoclip else None,
        text_tower=_part(top.section("text_tower")) if is_geoclip or "text_tower" in top.data else None,
        gallery_smoothing_km=top.section("gallery").length_km("smoothing_km"),
        gallery_covers_land=top.section("gallery").flag("covers_land"),
    )


def _part(section: _Section) -> PartConfig:
    """Read where a part comes from: an asset, unless a folder is named instead."""
    if "folder" in section.data and "asset" not in section.data:
        return PartConfig(folder=section.text("folder"))
    return PartConfig(asset=section.text("asset"))


def _image_tower(section: _Section) -> ImageTowerConfig:
    views = section.value("views", int)
    if views < 1:
        raise MissingFileError(f"{section.path}: {section.place}views must be 1 or more, not {views}")
    average = section.one_of("view_average", VIEW_AVERAGES)
    own = [key for key in ("file", "folder") if key in section.data]
    if not own or "asset" in section.data:
        return ImageTowerConfig(asset=section.text("asset"), views=views, view_average=average)
    if len(own) > 1:
        raise MissingFileError(f"{section.path}: {section.place}file and folder exclude each other")
    defaults = ImageTowerConfig(asset="", views=views)

    def name(key: str, default: str) -> str:
        return section.text(key) if key in section.data else default

    return ImageTowerConfig(
        asset="",
        views=views,
        view_average=average,
        file=section.text("file") if own == ["file"] else "",
        folder=section.text("folder") if own == ["folder"] else "",
        weights=section.one_of("weights", ("float32", "8-bit")),
        size_px=section.value("size_px", int) if own == ["file"] else 224,
        resample=section.one_of("resample", ("bicubic", "bilinear", "lanczos")),
        licence=section.text("licence"),
        input=name("input", defaults.input),
        embedding=name("embedding", defaults.embedding),
        tokens=section.text("tokens") if "tokens" in section.data else None,
        mean=section.numbers("mean") if "mean" in section.data else None,
        std=section.numbers("std") if "std" in section.data else None,
    )


_T = TypeVar("_T", int, str, dict[str, Any], list[Any])
_KINDS: dict[type, str] = {int: "a whole number", str: "text", dict: "an object", list: "a list"}


@dataclass(frozen=True, slots=True)
class _Section:
    """One object of the file, which knows its own place for messages."""

    path: Path
    place: str
    data: Any

    def __post_init__(self) -> None:
        if not isinstance(self.data, dict):
            raise MissingFileError(f"{self.path}: {self.place or 'the whole file'} must be an object")

    def value(self, key: str, kind: type[_T]) -> _T:
        if key not in self.data:
            raise MissingFileError(f"{self.path}: {self.place}{key} is missing")
        value = self.data[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise MissingFileError(
                f"{self.path}: {self.place}{key} must be {_KINDS[kind]}, not {json.dumps(value)[:60]}"
            )
        return value

    def text(self, key: str) -> str:
        value = self.value(key, str)
        if not value.strip():
            raise MissingFileError(f"{self.path}: {self.place}{key} is empty")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.value(key, list)
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise MissingFileError(f"{self.path}: {self.place}{key} must be a list of sentences")
        return tuple(values)

    def one_of(self, key: str, choices: tuple[str, ...]) -> str:
        """A word out of a few; the first of them where the key is absent."""
        value = self.text(key) if key in self.data else choices[0]
        if value not in choices:
            raise MissingFileError(
                f"{self.path}: {self.place}{key} must be one of {', '.join(choices)}, not {value}"
            )
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        values = self.value(key, list)
        if not all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
            raise MissingFileError(f"{self.path}: {self.place}{key} must be a list of numbers")
        return tuple(float(value) for value in values)

    def length_km(self, key: str) -> float:
        """A length; 0 where the key is absent."""
        value = self.data.get(key, 0)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 20_000:
            raise MissingFileError(
                f"{self.path}: {self.place}{key} must be a length in km from 0 to 20000, not {value!r:.60}"
            )
        return float(value)

    def flag(self, key: str) -> bool:
        """True or false; false where the key is absent."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise MissingFileError(f"{self.path}: {self.place}{key} must be true or false, not {value!r:.60}")
        return value

    def section(self, key: str) -> _Section:
        return _Section(self.path, f"{self.place}{key}.", self.value(key, dict))
