"""CSV is read back by the csv module, one row an answer, and no text cell can act as a formula."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from whyhere._text import printable
from whyhere.report import CSV_COLUMNS, render

TEXT_COLUMNS = {
    "photo",
    "release",
    "place",
    "admin1",
    "country",
    "country_code",
    "concepts_for",
    "concepts_against",
}


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_one_row_an_answer_with_exact_numbers(everything, card):
    rows = rows_of(render(everything, "csv", card=card))
    answers = [(p, a) for p in everything for a in p.answers]
    assert len(rows) == len(answers)
    for row, (prediction, answer) in zip(rows, answers, strict=True):
        assert tuple(row) == CSV_COLUMNS
        for name in ("lat", "lon", "radius_km", "probability", "score", "remainder"):
            assert float(row[name]) == getattr(answer, name)
        assert int(row["rank"]) == answer.rank
        assert row["abstained"] == str(prediction.abstained).lower()
        gps = prediction.exif_gps
        expected = ("", "") if gps is None else (repr(gps.lat), repr(gps.lon))
        assert (row["exif_lat"], row["exif_lon"]) == expected


def test_concepts_are_named_strongest_first(kauai, card):
    row = rows_of(render([kauai], "csv", card=card))[0]
    first = kauai.answers[0]
    assert row["concepts_for"].startswith(first.concepts[0].name + " (+")
    assert row["concepts_against"].startswith(first.concepts[-1].name + " (-")


@given(name=st.text(st.characters()))
@example(name="=1+1")
@example(name="  +1")
@example(name="'quoted")
@example(name='a"b,c\r\nd')
@example(name="\t=1")
def test_any_name_is_one_cell_of_one_row_and_no_formula(name, kauai, card):
    named = replace(kauai, photo=name)
    text = render([named], "csv", card=card)
    assert len(text.splitlines()) == 1 + len(kauai.answers)
    for row in rows_of(text):
        cell = row["photo"]
        assert cell.lstrip()[:1] not in {"=", "+", "-", "@"}
        # Taking off the apostrophe that guards a cell gives the name back.
        assert cell.removeprefix("'") == printable(name) if cell.startswith("'") else cell == printable(name)


def test_every_text_column_is_guarded(hostile, card):
    (row,) = rows_of(render([hostile], "csv", card=card))
    for column in TEXT_COLUMNS:
        assert row[column].lstrip()[:1] not in {"=", "+", "-", "@"}, column
    assert row["photo"].startswith("'=cmd")
    assert row["lon"] == "-180.0"


@pytest.mark.parametrize("column", CSV_COLUMNS)
def test_columns_are_documented(column):
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "output.md"
    assert f"`{column}`" in page.read_text("utf-8")
