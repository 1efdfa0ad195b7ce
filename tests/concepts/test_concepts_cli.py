"""`whyhere concepts list` and `show`."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from whyhere.cli import app
from whyhere.concepts import ConceptLabel, load_bank, load_directions, read_labels, unknown_concept
from whyhere.errors import UsageError
from whyhere.releases import resolve


def run(*arguments):
    result = CliRunner().invoke(app, ["concepts", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_list_as_json_has_every_concept():
    rows = json.loads(run("list", "--format", "json").stdout)
    assert [row["id"] for row in rows] == list(load_bank().ids)
    assert [row["id"] for row in rows if not row["weak"]] == list(load_directions().ids)


def test_list_as_table():
    result = run("list", "--group", "landform")
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["id", "name", "group", "direction", "agreement", "state"]
    assert any(line.startswith("mountain ") for line in lines)
    assert not any(line.startswith("mosque ") for line in lines)


def test_list_filters():
    weak = json.loads(run("list", "--weak", "--format", "json").stdout)
    assert weak
    assert all(row["weak"] and row["reason"] for row in weak)
    assert not any(row["weak"] for row in json.loads(run("list", "--strong", "--format", "json").stdout))
    rows = json.loads(run("list", "--source", "text-row", "--format", "json").stdout)
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


def test_a_concept_that_the_release_does_not_use_is_not_called_used(monkeypatch):
    labels = read_labels(resolve("base").directory / "concepts.json")[1:]
    monkeypatch.setattr("whyhere.concepts.read_labels", lambda path: labels)
    known = {label.id for label in labels}
    unused = next(id for id in load_directions().ids if id not in known)
    used = labels[0].id
    assert "release base" in run("show", unused).stdout
    assert "does not use it" in run("show", unused).stdout
    assert run("show", used).stdout.endswith("uses it\n")
    rows = {line.split()[0]: line.strip() for line in run("list").stdout.splitlines()}
    assert " not in base " in rows[unused]
    assert rows[used].endswith(" used")
    assert f"{len(labels)} of them used by release base" in run("list").stderr


def test_what_is_piped_is_not_cut(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    first = [line.split()[0] for line in run("list").stdout.splitlines()[1:]]
    assert first == list(load_bank().ids)


@pytest.mark.parametrize(
    ("word", "said", "unsaid"),
    [
        ("monsoon", "the bank of concepts has it, but this release does not use it", "mansion"),
        ("mosqe", "did you mean mosque", "monsoon"),
        ("qqqq", "", "mean"),
    ],
)
def test_what_is_offered_instead_of_an_unknown_concept(word, said, unsaid):
    labels = tuple(
        ConceptLabel(id, id, "built", "", "text") for id in ("mansion", "mosque", "river", "lagoon", "desert")
    )
    words = unknown_concept(word, labels)
    assert said in words
    assert unsaid not in words


def test_show_as_json():
    details = json.loads(run("show", "mountain", "--format", "json").stdout)
    assert details["id"] == "mountain"
    assert details["direction"]["source"] in ("text-row", "combined")


def test_show_unknown():
    with pytest.raises(UsageError, match="no concept is called 'qqq'"):
        run("show", "qqq")


def test_import_is_light():
    code = (
        "import sys, whyhere.cli, whyhere.concepts;"
        "heavy = {'torch', 'onnxruntime', 'PIL', 'shapely', 'h3', 'rich.table'} & set(sys.modules);"
        "sys.exit(f'imported {sorted(heavy)}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
