"""Text that came from outside is shown as it is or as visible escapes; numbers read as people say them."""

import dataclasses
import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whyhere.geo import LatLon, PlaceName
from whyhere.report._text import (
    coordinates,
    decimals_for,
    exif_text,
    kilometres,
    percent,
    place_text,
    printable,
    signed,
)

ANY_TEXT = st.text(st.characters())  # lone surrogates and controls among them


@given(ANY_TEXT)
@example("\udcff\ud800\x00\x85\u2028\u202e\ufeff\ufffe\U0001fffe")
def test_printable_text_is_one_line_of_valid_utf8_and_xml(text):
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert not any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\ufeff")
    body = shown.replace("&", "&amp;").replace("<", "&lt;")
    assert (ElementTree.fromstring(f"<a>{body}</a>").text or "") == shown


@given(st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs"])))
def test_ordinary_text_is_left_alone(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b\n", "a b\\n"),
        ("é\udce9", "é\\xe9"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\u202egpj", "\\u202egpj"),
        ("家", "家"),
    ],
)
def test_escapes_are_those_people_know(text, shown):
    assert printable(text) == shown


@given(st.floats(0, 1))
def test_percent_is_near_the_truth_and_never_claims_certainty(probability):
    text = percent(probability)
    if probability < 1:
        assert text != "100 %"
    if probability > 0:
        assert text not in {"0 %", "0.0 %"}
    if text[0] not in "<>":
        assert float(text.removesuffix(" %")) / 100 == pytest.approx(probability, abs=0.0051)


@given(st.floats(-90, 90), st.floats(-180, 180))
def test_coordinates_are_read_back_latitude_first(lat, lon):
    text = coordinates(lat, lon)
    assert [float(part) for part in text.split(",")] == pytest.approx([lat, lon], abs=0.00051)
    assert "-0.000" not in text


def test_distances():
    assert [kilometres(km) for km in (0.04, 9.94, 9.96, 50.4, 4210.0)] == [
        "0.0 km",
        "9.9 km",
        "10 km",
        "50 km",
        "4,210 km",
    ]


@given(st.floats(-100, 100).filter(lambda value: abs(value) > 1e-4))
def test_signed_numbers_keep_two_digits_and_their_sign(value):
    text = signed(value, decimals_for([value]))
    assert text[0] == ("+" if value > 0 else "-")
    assert float(text) == pytest.approx(value, rel=0.06)


def test_zero_has_no_sign():
    assert signed(-0.0001, 2) == signed(0.0, 2) == "0.00"


def test_a_place_does_not_say_its_name_twice(kauai):
    answer = dataclasses.replace(kauai.answers[0], place=PlaceName("Le Tampon", "Réunion", "Réunion", "RE"))
    assert place_text(answer) == "Le Tampon, Réunion"


def test_exif_position_is_compared_with_the_answers(kauai):
    assert exif_text(kauai) == "22.154, -159.641, 34 km from answer 1"
    elsewhere = dataclasses.replace(kauai, exif_gps=LatLon(-17.6, -149.5))
    assert exif_text(elsewhere).endswith("within the radius of answer 2")
    assert exif_text(dataclasses.replace(kauai, exif_gps=None)) is None
    assert exif_text(dataclasses.replace(kauai, answers=())) == "22.154, -159.641"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)))
def test_decimals_stay_within_reason(values):
    assert 1 <= decimals_for(values) <= 6
