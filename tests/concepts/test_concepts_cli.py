"""`whyhere concepts list` and `show`."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from whyhere.cli._concepts import app
from whyhere.concepts import load_bank, load_directions
from whyhere.errors import UsageError


def run(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_list_as_json_has_every_concept():
    rows = json.loads(run("list", "--json").stdout)
    assert [row["id"] for row in rows] == list(load_bank().ids)
    assert [row["id"] for row in rows if not row["weak"]] == list(load_directions().ids)


def test_list_as_table():
    result = run("list", "--group", "landform")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["id", "name", "group", "direction", "agreement", "state"]
    assert any(line.startswith("mountain ") for line in lines)
    assert not any(line.startswith("mosque ") for line in lines)


def test_list_filters():
    weak = json.loads(run("list", "--weak", "--json").stdout)
    assert weak
    assert all(row["weak"] and row["reason"] for row in weak)
    assert not any(row["weak"] for row in json.loads(run("list", "--strong", "--json").stdout))
    rows = json.loads(run("list", "--source", "text-row", "--json").stdout)
    assert {row["direction"] for row in rows} == {"text-row"}


@pytest.mark.parametrize("option", ["--group", "--source"])
def test_unknown_filter_names_the_known_ones(option):
    with pytest.raises(UsageError, match=r"unknown; known .*: (climate and weather|text-row)"):
        run("list", option, "nonsense")


def test_show_by_synonym():
    result = run("show", "favela")
    assert result.stdout.startswith("shanty town (shanty-town): ")
    assert "synonyms: favela, slum" in result.stdout


def test_show_weak_concept_says_why():
    assert "weak, never shown: place-neutral" in run("show", "hairstyle").stdout


def test_show_as_json():
    details = json.loads(run("show", "mountain", "--json").stdout)
    assert details["id"] == "mountain"
    assert details["direction"]["source"] in ("text-row", "combined")


def test_show_unknown():
    with pytest.raises(UsageError, match="no concept is called 'qqq'"):
        run("show", "qqq")


def test_import_is_light():
    code = (
        "import sys, whyhere.cli._concepts, whyhere.concepts;"
        "heavy = {'torch', 'onnxruntime', 'PIL', 'shapely', 'h3', 'rich.table'} & set(sys.modules);"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
