"""Who made the photos: from tables to the file that ships, and back."""

from __future__ import annotations

import csv
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from whyhere.cli import app
from whyhere.errors import MissingFileError
from whyhere.releases import (
    CREDITS_FILE,
    Credit,
    Release,
    credits_markdown,
    credits_of_table,
    read_credits,
    resolve,
    write_credits,
)

PHOTOS = [
    Credit(
        "Petra, Jordan", "", "Wikimedia free licence (per-file licence not recorded in repo)", "a/b@12:x.jpg"
    ),
    Credit('Bath, "the Baths"', "Jérôme; Ü", "CC BY-SA 4.0", "a/b@12:y.jpg"),
    Credit("\x1b[31mred\ntitle", "someone", "CC BY 2.0 | and more", "c/d@34:z.jpg"),
]


def release_in(folder) -> Release:
    return Release("mine", folder, resolve("base").config)


@given(st.lists(st.builds(Credit, *[st.text(st.characters(codec="utf-8"), max_size=20)] * 4), max_size=8))
def test_credits_are_read_as_they_were_written(tmp_path_factory, credits):
    folder = tmp_path_factory.mktemp("release")
    write_credits(folder / CREDITS_FILE, credits)
    first = (folder / CREDITS_FILE).read_bytes()
    found = read_credits(release_in(folder))
    key = lambda credit: (credit.title, credit.author, credit.licence, credit.source)  # noqa: E731
    assert sorted(found, key=key) == sorted(credits, key=key)
    write_credits(folder / CREDITS_FILE, reversed(credits))
    assert (folder / CREDITS_FILE).read_bytes() == first


def test_tables_give_credits_and_defaults_what_they_lack(tmp_path):
    table = tmp_path / "index.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ("file", "licence", "title"),
                ("a.jpg", "CC0", "A"),
                ("b.jpg", "", "B, b"),
                ("c.jpg", " CC0 ", ""),
            ]
        )
    found = credits_of_table(
        table, default=Credit("untitled", "Mapillary contributors", "CC BY-SA 4.0", "OSV")
    )
    assert [(one.title, one.author, one.licence, one.source) for one in found] == [
        ("A", "Mapillary contributors", "CC0", "OSV"),
        ("B, b", "Mapillary contributors", "", "OSV"),
        ("", "Mapillary contributors", "CC0", "OSV"),
    ]
    with pytest.raises(MissingFileError, match="cannot read the credits"):
        credits_of_table(tmp_path / "none.csv")


def test_the_card_says_which_licences_are_not_recorded():
    text = credits_markdown(PHOTOS, most=1)
    assert "3 photos" in text
    assert "For 1 the licence is not recorded per file" in text
    assert "1 are without an author's name" in text
    assert "| CC BY-SA 4.0 | 1 |" in text
    assert "| not recorded per file | 1 |" in text
    assert "| CC BY 2.0 \\| and more | 1 |" in text
    assert "| a/b | 2 |\n| 1 others | 1 |" in text


def run(*arguments):
    result = CliRunner().invoke(app, ["releases", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def test_the_command_names_every_photo_and_is_safe_to_print(tmp_path, monkeypatch):
    write_credits(tmp_path / CREDITS_FILE, PHOTOS)
    monkeypatch.setattr("whyhere.releases.resolve", lambda name: release_in(tmp_path))
    text = run("credits", "mine")
    lines = text.splitlines()
    assert lines[0] == "3 photos"
    assert "licence: 1 not recorded per file" in lines
    assert "source: 2 a/b" in lines
    assert len(lines) == 1 + 3 + 2 + 3
    assert "\x1b" not in text
    assert 'Bath, "the Baths"; Jérôme; Ü; CC BY-SA 4.0; a/b@12:y.jpg' in lines
    assert any("author not stated" in line for line in lines)
    assert sorted(one["title"] for one in json.loads(run("credits", "mine", "--format", "json"))) == sorted(
        one.title for one in PHOTOS
    )


def test_a_release_without_credits_or_with_damaged_ones_says_so(tmp_path):
    with pytest.raises(MissingFileError, match="mine has no file of credits"):
        read_credits(release_in(tmp_path))
    (tmp_path / CREDITS_FILE).write_bytes(b"not gzip")
    with pytest.raises(MissingFileError, match="damaged"):
        read_credits(release_in(tmp_path))
