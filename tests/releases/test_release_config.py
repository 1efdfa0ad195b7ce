"""Release configurations and finding releases: what is right is read, what is wrong is named."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_index import CONFIG
from whyhere.errors import MissingFileError
from whyhere.releases import _release as release_module
from whyhere.releases import known_releases, read_config, resolve


def _write(folder: Path, config: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    return path


def _changed(place: str, value: object) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    *sections, key = place.split(".")
    target = config
    for section in sections:
        target = target[section]
    if value is None:
        del target[key]
    else:
        target[key] = value
    return config


def test_reads_every_field(tmp_path: Path) -> None:
    config = read_config(_write(tmp_path, _changed("image_tower.views", 7)))
    assert (config.name, config.version) == ("small", "0.1.0")
    assert (config.image_tower.asset, config.image_tower.views) == ("tiny", 7)
    assert config.location_encoder.asset == config.gallery.asset == "tiny"
    assert config.alignment == {}
    assert config.ranking == {"temperature": 0.1}
    assert config.card.name == "small"
    assert config.card.limits == ("All.",)


def test_keys_of_later_versions_are_ignored(tmp_path: Path) -> None:
    assert read_config(_write(tmp_path, {**CONFIG, "novelty": [1]})).name == "small"


@pytest.mark.parametrize(
    ("place", "value", "complaint"),
    [
        ("format_version", 2, "format_version is 2, and this version of whyhere reads 1"),
        ("format_version", "1", "format_version must be a whole number"),
        ("format_version", True, "format_version must be a whole number"),
        ("name", None, "name is missing"),
        ("name", " ", "name is empty"),
        ("version", 1, "version must be text"),
        ("image_tower", [], "image_tower must be an object"),
        ("image_tower.asset", None, "image_tower.asset is missing"),
        ("image_tower.views", 0, "image_tower.views must be 1 or more"),
        ("image_tower.views", 1.5, "image_tower.views must be a whole number"),
        ("location_encoder.asset", 3, "location_encoder.asset must be text"),
        ("gallery", None, "gallery is missing"),
        ("alignment", "x", "alignment must be an object"),
        ("ranking", None, "ranking is missing"),
        ("card.summary", None, "card.summary is missing"),
        ("card.limits", "one", "card.limits must be a list"),
        ("card.limits", [1], "card.limits must be a list of sentences"),
        ("card.attribution", None, "card.attribution is missing"),
    ],
)
def test_faults_are_named_with_their_place(tmp_path: Path, place: str, value: object, complaint: str) -> None:
    path = _write(tmp_path, _changed(place, value))
    with pytest.raises(MissingFileError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, "\ufffe"])
def test_what_is_not_an_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-16" if text == "\ufffe" else "utf-8")
    with pytest.raises(MissingFileError, match=r"config\.json: "):
        read_config(tmp_path / "config.json")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_places = ["format_version", "name", "version", "image_tower", "image_tower.views", "card", "card.limits"]


@given(st.sampled_from(_places), _json)
def test_any_value_anywhere_is_read_or_refused(tmp_path_factory: Any, place: str, value: object) -> None:
    path = _write(tmp_path_factory.mktemp("any"), _changed(place, value))
    try:
        config = read_config(path)
    except MissingFileError:
        return
    assert config.image_tower.views >= 1
    assert config.name.strip()


def test_resolves_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path / "mine", CONFIG)
    found = resolve(tmp_path / "mine")
    assert (found.name, found.version, found.directory) == ("small", "0.1.0", tmp_path / "mine")
    assert found.asset_names == ("tiny",)
    assert not found.is_built_in
    monkeypatch.chdir(tmp_path)
    assert resolve("mine").directory.is_absolute()


def test_a_built_in_name_goes_before_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_module, "BUILT_IN", tmp_path / "package")
    monkeypatch.chdir(tmp_path)
    _write(tmp_path / "package" / "small", CONFIG)
    _write(tmp_path / "small", {**CONFIG, "version": "9"})
    assert resolve("small").version == "0.1.0"
    assert resolve("small").is_built_in
    assert resolve("./small").version == "9"
    assert [release.name for release in known_releases()] == ["small"]


@pytest.mark.parametrize("name", ["nothing", "", "no/such/dir", "_convert.py"])
def test_an_unknown_release_names_the_known_ones(name: str) -> None:
    with pytest.raises(MissingFileError, match=r"no release named .* releases that come with whyhere: "):
        resolve(name)


def test_a_directory_without_configuration_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match=r"config\.json: a release needs this file"):
        resolve(tmp_path)


@pytest.mark.parametrize("release", known_releases(), ids=lambda release: release.name)
def test_every_release_of_the_package_is_sound(release: Any) -> None:
    from whyhere.releases import ASSETS

    assert release.name == release.directory.name
    assert set(release.asset_names) <= set(ASSETS)
    assert release.config.card.limits
    assert release.config.card.attribution
