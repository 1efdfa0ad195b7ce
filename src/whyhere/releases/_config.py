"""The `config.json` of a release: parsed into frozen records, every fault named with its place.

`alignment` and `ranking` stay dictionaries here; the packages of those names check them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from whyhere.errors import MissingFileError
from whyhere.prediction import ReleaseCard

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ImageTowerConfig:
    """Which image tower a release uses.

    Attributes:
        asset: Asset that holds it.
        views: Crops of a photo whose embeddings are averaged.
    """

    asset: str
    views: int


@dataclass(frozen=True, slots=True)
class ReleaseConfig:
    """What `config.json` says.

    Attributes:
        name: Release name.
        version: Release version.
        image_tower: The image tower.
        location_encoder_asset: Asset that holds the location encoder.
        gallery_asset: Asset that holds the places.
        alignment: Parameters of the heads.
        ranking: Parameters of ranking and calibration.
        card: What a reader of a report must know.
    """

    name: str
    version: str
    image_tower: ImageTowerConfig
    location_encoder_asset: str
    gallery_asset: str
    alignment: Mapping[str, Any]
    ranking: Mapping[str, Any]
    card: ReleaseCard


def read_config(path: Path) -> ReleaseConfig:
    """Read and check a `config.json`.

    Args:
        path: The file.

    Raises:
        MissingFileError: Absent, not JSON, another format version, or a value that is missing or wrong.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
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
    tower, card = top.section("image_tower"), top.section("card")
    views = tower.value("views", int)
    if views < 1:
        raise MissingFileError(f"{path}: image_tower.views must be 1 or more, not {views}")
    return ReleaseConfig(
        name=name,
        version=release_version,
        image_tower=ImageTowerConfig(asset=tower.text("asset"), views=views),
        location_encoder_asset=top.section("location_encoder").text("asset"),
        gallery_asset=top.section("gallery").text("asset"),
        alignment=top.value("alignment", dict),
        ranking=top.value("ranking", dict),
        card=ReleaseCard(
            name=name,
            version=release_version,
            summary=card.text("summary"),
            accuracy=card.text("accuracy"),
            limits=card.texts("limits"),
            attribution=card.texts("attribution"),
        ),
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

    def section(self, key: str) -> _Section:
        return _Section(self.path, f"{self.place}{key}.", self.value(key, dict))
