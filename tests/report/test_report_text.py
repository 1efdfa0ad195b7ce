"""Text that came from outside is shown as it is or as visible escapes; numbers read as people say them."""

import unicodedata
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from whyhere._text import printable
from whyhere.geo import LatLon
from whyhere.prediction import Assumptions, HintWords
from whyhere.report import FORMATS, render
from whyhere.report.words import (
    assumption_texts,
    chance_text,
    coordinates,
    countries_text,
    decimals_for,
    exif_text,
    headline,
    kilometres,
    least_unlikely_text,
    percent,
    signed,
    verdict,
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


def test_exif_position_is_compared_with_the_answers(kauai):
    assert exif_text(kauai) == "22.154, -159.641, 34 km from answer 1"
    elsewhere = replace(kauai, exif_gps=LatLon(-17.6, -149.5))
    assert exif_text(elsewhere).endswith("within the radius of answer 2")
    assert exif_text(replace(kauai, exif_gps=None)) is None
    assert exif_text(replace(kauai, answers=())) == "22.154, -159.641"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e9, max_value=1e9)))
def test_decimals_stay_within_reason(values):
    assert 1 <= decimals_for(values) <= 6


class TestVerdict:
    """A headline is never bolder than the probability, and no two numbers contradict each other."""

    @pytest.mark.parametrize(
        ("probability", "lead"),
        [(0.0, "Best guess"), (0.14, "Best guess"), (0.499, "Best guess"), (0.5, "Likely"), (1.0, "Likely")],
    )
    def test_likely_begins_at_one_half(self, kauai, probability, lead):
        best = replace(kauai.answers[0], probability=probability, radius_km=262.0)
        prediction = replace(kauai, answers=(best,))
        assert verdict(prediction) == (lead, "Hawaii and around")
        assert headline(prediction).endswith(f"Hawaii and around, {percent(probability)} within 262 km")

    def test_an_area_stands_around_its_point(self, kauai):
        assert headline(kauai) == "Best guess: around Hawaii, United States, 21 % within 200 km"

    def test_nothing_is_named_where_nothing_stands_out(self, kauai, abstained):
        assert verdict(abstained) == ("No place stands out", "")
        assert headline(replace(kauai, answers=())) == "No answer."

    def test_a_probability_that_only_the_region_makes_high_is_said_to_be_so(self, kauai):
        hint = HintWords("at the beach", ("beach",), ("at", "the"))
        assumed = replace(kauai, abstained=True, assumptions=Assumptions("Finland", hint, 0.013))
        best = replace(assumed.answers[0], probability=0.42)
        text = least_unlikely_text(replace(assumed, answers=(best,)))
        assert text == (
            "The photo alone gives the first place 1.3 %; "
            "its 42 % holds only assuming Finland, given the hint beach."
        )
        assert chance_text(0.42, 262.0, Assumptions("Finland")) == "42 % within 262 km, assuming Finland"
        assert assumption_texts(assumed.assumptions) == [
            "Only inside: Finland. Probabilities assume that the photo was taken there.",
            "Hint: at the beach (yours, not the photo's). Counted: beach; unknown: at, the.",
        ]

    def test_names_of_regions_may_be_hostile_and_of_any_length(self):
        text = chance_text(0.5, 10.0, Assumptions("x\x1b[31m\u202e" + "y" * 5000))
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(text) < 120

    def test_countries_and_the_rest_add_up_in_words(self, fiji, kauai):
        assert countries_text(fiji) == "Fiji 45 %, open sea 25 %, Samoa 12 %, elsewhere 18 %"
        assert countries_text(kauai) == ""


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_says_what_was_assumed(format, kauai, card):
    hint = HintWords("at the lagoon", ("lagoon",), ("at", "the"))
    assumed = replace(kauai, assumptions=Assumptions("Finland", hint, 0.013))
    for predictions in ([assumed], [assumed, kauai]):
        text = render(predictions, format, card=card, width=120)
        assert "Finland" in text
        assert "lagoon" in text
        assert "base 0.1.0" in text
        if format in ("table", "kml", "html"):
            assert "assuming Finland, given the hint lagoon" in text
