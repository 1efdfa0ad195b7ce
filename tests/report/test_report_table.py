"""The table fits its width, needs no colour, and says the numbers it draws."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from whyhere.prediction import UNCONFIRMED, Assumptions
from whyhere.report import render
from whyhere.report.words import HYPOTHESIS, PLACE_NAMES

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.mark.parametrize("width", [40, 57, 80, 100, 120])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_wider_than_the_terminal(width, ascii_only, everything, card):
    text = render(everything, "table", card=card, width=width, ascii_only=ascii_only)
    assert max(cell_len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize(("asked", "used"), [(10, 40), (500, 120)])
def test_extreme_widths_are_tamed(asked, used, kauai, card):
    assert render([kauai], "table", card=card, width=asked) == render([kauai], "table", card=card, width=used)


def test_color_changes_nothing_but_color(everything, card):
    plain = render(everything, "table", card=card)
    coloured = render(everything, "table", card=card, color=True)
    assert "\x1b" not in plain
    assert coloured != plain
    assert ANSI.sub("", coloured) == plain


def test_the_environment_does_not_leak_in(kauai, card, monkeypatch):
    plain = render([kauai], "table", card=card)
    for name, value in {"FORCE_COLOR": "1", "CSV_COLUMNS": "50", "TERM": "dumb", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    assert render([kauai], "table", card=card) == plain


def test_ascii_only_is_ascii(everything, card):
    text = render(everything, "table", card=card, ascii_only=True)
    assert text.isascii()
    assert "Reunion" in text


def test_a_reader_finds_all_that_was_promised(kauai, card):
    text = render([kauai], "table", card=card)
    assert text.splitlines()[0].split() == ["photos/Kauai.png", "base", "0.1.0"]
    assert "EXIF GPS: 22.154, -159.641, 34 km from answer 1 (not used to answer)" in text
    for answer in kauai.answers:
        assert f"{answer.lat:.3f}, {answer.lon:.3f}" in text
        assert f"unnamed remainder +0.118 of score {answer.score:.3f}" in text
        for concept in (*answer.reasons.speaking[:3], *answer.reasons.against[:3]):
            assert re.search(
                rf"{re.escape(concept.shown_as)} +[+]?{concept.contribution:.3f}  [█▏▎▍▌▋▊▉▒]", text
            )
    assert "21 % within 200 km" in text
    assert re.search(r"anywhere else +56 %", text)
    assert HYPOTHESIS in text
    assert PLACE_NAMES in text


def test_a_star_is_explained_where_there_is_one(kauai, card):
    text = render([kauai], "table", card=card)
    assert "overcast sky*" in text
    assert UNCONFIRMED in text
    answers = tuple(
        replace(a, concepts=tuple(replace(c, evidence="") for c in a.concepts)) for a in kauai.answers
    )
    assert "*" not in render([replace(kauai, answers=answers)], "table", card=card)


def test_abstention_is_said_first(abstained, card):
    alone = replace(abstained, assumptions=Assumptions())
    lines = render([alone], "table", card=card).splitlines()
    assert lines[2] == "No place stands out. These are only the least unlikely places."
    lines = render([abstained], "table", card=card, width=120).splitlines()
    alone_and_assumed = "The photo alone gives the first place < 0.1 %; its 0.8 % holds"
    assert lines[2].startswith(f"No place stands out. {alone_and_assumed}")
    assert not any("stands out" in line for line in render([], "table", card=card).splitlines())


def test_bars_are_as_long_as_their_contributions(kauai, card):
    text = render([kauai], "table", card=card, width=120)
    eighths = {character: part for part, character in enumerate(" ▏▎▍▌▋▊▉█")}
    found = re.findall(r"([+-]\d\.\d+)  ([█▏▎▍▌▋▊▉]+|▒+)$", text, re.MULTILINE)
    assert len(found) == 30
    lengths = [(float(v), sum(8 if c == "▒" else eighths[c] for c in bar) / 8) for v, bar in found]
    longest = max(abs(value) for value, _ in lengths)
    for value, length in lengths:
        # A tenth of a percent of rounding in the number, half a column in the bar.
        assert length == pytest.approx(40 * abs(value) / longest, abs=1.1)


def test_as_many_concepts_as_asked(kauai, card):
    text = render([kauai], "table", card=card, concepts=1)
    assert text.count("█") > 0
    assert len(re.findall(r"^ +(?:for|against)", text, re.MULTILINE)) == 10
    assert len(re.findall(r"[█▏▎▍▌▋▊▉▒]$", text, re.MULTILINE)) == 10


@settings(deadline=None)
@given(name=st.text(st.characters(), max_size=200), width=st.integers(40, 120))
def test_any_name_fits_on_the_first_line(name, width, kauai, card):
    text = render([replace(kauai, photo=name)], "table", card=card, width=width)
    lines = text.split("\n")
    assert set(lines[1]) == {"─"}
    assert all(cell_len(line) <= width for line in lines)
    assert lines[0].endswith("base 0.1.0")


def test_markup_in_names_is_not_interpreted(kauai, card):
    named = replace(kauai, photo="[bold red]x[/] :smile:")
    assert "[bold red]x[/] :smile:" in render([named], "table", card=card)


def test_where_no_concepts_are_wanted_none_is_said_to_be_missing(kauai, card):
    text = render([kauai], "table", card=card, concepts=0)
    assert "no named concept" not in text
    assert "unnamed remainder" in text
