"""`whyhere place`, `map` and `compare` as people run them: real processes and the real release."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest


def whyhere(*arguments, env=None):
    command = [sys.executable, "-W", "error", "-m", "whyhere", *map(os.fspath, arguments)]
    return subprocess.run(command, capture_output=True, timeout=300, env={**os.environ, **(env or {})})


@pytest.mark.weights
@pytest.mark.usefixtures("base_release")
def test_a_place_is_described():
    done = whyhere("place", "-22.95", "-43.21", "--format", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    found = json.loads(done.stdout)
    assert found["place"]["country"] == "Brazil"
    assert found["nearest_km"] < 5
    assert len(found["similar"]) == 5
    assert all(place["place"]["country"] for place in found["similar"])


@pytest.mark.weights
@pytest.mark.usefixtures("base_release")
def test_the_map_of_the_desert_is_dry(tmp_path):
    done = whyhere("map", "desert", "--output", tmp_path / "desert.json")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    found = json.loads((tmp_path / "desert.json").read_text("utf-8"))
    assert found["reference"]["learned"] is True  # so that its agreement is no test
    cells = {c["cell"]: c for c in found["cells"]}
    dry = [c["percentile"] for c in cells.values() if 20 < c["lat"] < 32 and -12 < c["lon"] < 45]
    wet = [c["percentile"] for c in cells.values() if 50 < c["lat"] < 60 and -10 < c["lon"] < 20]
    assert min(len(dry), len(wet)) > 20
    assert sorted(dry)[len(dry) // 2] > 75 > 25 > sorted(wet)[len(wet) // 2]


@pytest.mark.weights
@pytest.mark.usefixtures("base_release")
def test_two_countries_are_compared():
    done = whyhere("compare", "CN", "Japan", "--format", "json")
    assert (done.returncode, done.stderr) == (0, b"")
    found = json.loads(done.stdout)
    assert (found["a"]["name"], found["b"]["name"]) == ("China", "Japan")
    effects = [concept["effect"] for concept in found["concepts"]]
    assert effects == sorted(effects, reverse=True)


@pytest.mark.weights
@pytest.mark.usefixtures("base_release")
def test_a_text_is_mapped_and_unknown_words_are_named():
    done = whyhere("map", "--text", "snow zzxqv", "--format", "json")
    assert done.returncode == 0
    assert b"zzxqv" in done.stderr
    cells = json.loads(done.stdout)["cells"]
    assert sum(abs(cell["lat"]) for cell in cells[:100]) / 100 > 45


@pytest.mark.parametrize("arguments", [["place", "1", "2"], ["map", "desert"], ["compare", "FR", "ES"]])
def test_without_weights_it_ends_with_3_and_says_what_to_do(tmp_path, arguments):
    done = whyhere(*arguments, env={"WHYHERE_HOME": str(tmp_path)})
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"whyhere releases fetch base" in done.stderr
    assert whyhere(*arguments, "--release", "nowhere").returncode == 3


def test_asking_wrongly_ends_with_2_before_anything_is_loaded(tmp_path):
    for arguments in (
        ["place", "99", "0"],
        ["place", "22", "-159.5", "--html", "-"],
        ["map"],
        ["compare", "FR", "Atlantis"],
        ["compare", "-foo", "AU"],
    ):
        done = whyhere(*arguments, env={"WHYHERE_HOME": str(tmp_path)})
        assert (done.returncode, done.stdout) == (2, b"")


def test_options_go_by_their_old_names_for_one_release_with_a_notice(tmp_path):
    done = whyhere("concepts", "list", "--json")
    assert done.stdout == whyhere("concepts", "list", "--format", "json").stdout
    assert b"--json is now --format json" in done.stderr
    done = whyhere("compare", "France", "Spain", f"--out={tmp_path / 'a.json'}", "--release", "no-such")
    assert b"--out is now --output" in done.stderr
    assert b"no-such" in done.stderr
