"""What a hint is taken for: places, scripts, the side of traffic, words; what is refused with a way out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyhere._hints import read_hint
from whyhere.errors import UsageError
from whyhere.geo import (
    AREA_ADJECTIVES,
    LANGUAGES,
    LEFT_HAND_TRAFFIC,
    NATIONALITIES,
    SCRIPT_NAMES,
    SCRIPTS,
    countries,
    parse_region,
)
from whyhere.ranking import HINT_STRENGTH

SPOTS = {
    "Oslo": (59.9, 10.75, "NO"), "Munich": (48.14, 11.58, "DE"), "Sofia": (42.7, 23.32, "BG"),
    "Omsk": (55.0, 73.4, "RU"), "Tokyo": (35.7, 139.7, "JP"), "Bangkok": (13.75, 100.5, "TH"),
    "London": (51.5, -0.12, "GB"), "Lima": (-12.05, -77.04, "PE"), "sea": (0.0, -30.0, None),
}  # fmt: skip


def favoured(text):
    """Return which spots a hint favours most; for hints without words."""
    lat, lon = (np.array([spot[row] for spot in SPOTS.values()]) for row in (0, 1))
    codes = np.array([spot[2] for spot in SPOTS.values()], object)
    prior = read_hint(text).log_prior(lat, lon, codes, None)
    assert 0 <= prior.min() <= prior.max() <= np.log(HINT_STRENGTH) + 1e-12
    return {name for name, value in zip(SPOTS, prior, strict=True) if value > prior.min()}


@pytest.mark.parametrize(
    ("text", "spots"),
    [
        ("Norway", {"Oslo"}),
        ("Norwegian", {"Oslo"}),
        ("somewhere like Norway or Thailand", {"Oslo", "Bangkok"}),
        ("Scandinavian", {"Oslo"}),
        ("Europe", {"Oslo", "Munich", "Sofia", "London"}),
        ("Bavaria", {"Munich"}),
        ("England", {"London"}),
        ("Cyrillic", {"Sofia", "Omsk"}),
        ("Cyrillic signs", {"Sofia", "Omsk"}),
        ("kanji", {"Tokyo"}),
        ("Thai script", {"Bangkok"}),
        ("Spanish-speaking", {"Lima"}),
        ("left-hand traffic", {"Tokyo", "Bangkok", "London"}),
        ("driving on the left", {"Tokyo", "Bangkok", "London"}),
        ("cars drive on the left side of the road", {"Tokyo", "Bangkok", "London"}),
    ],
)
def test_places_scripts_and_traffic_do_what_they_say(text, spots):
    assert favoured(text) == spots


def test_what_a_hint_was_taken_for_is_said():
    hint = read_hint("snow in Norway, left-hand traffic, Cyrillic signs, qqzzy")
    assert hint.known[0] == "Norway"
    assert hint.known[1].startswith("left-hand traffic (")
    assert hint.known[2:] == ("Cyrillic script (12 countries)", "snow")
    assert hint.unknown == ("qqzzy",)
    assert {"left", "hand", "traffic"}.isdisjoint(hint.known)


def test_the_longest_phrase_wins_and_a_place_wins_over_a_thing():
    assert read_hint("South Korea").known == ("South Korea",)
    assert read_hint("turkey").known == ("Turkey",)
    assert read_hint("Papua New Guinea").known == ("Papua New Guinea",)
    assert read_hint("traffic light").clues == ()
    assert read_hint("us in a bar").clues == ()  # "us", "in" and "bar" are codes of countries, too


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("not Norway", "--region"),
        ("a beach outside Europe", "--region"),
        ("Bergen", '--region "Norway"'),
        ("left-hand drive", "left-hand traffic"),
        ("Latin script", "--region"),
        ("qqzzyxx", "no word of"),
    ],
)
def test_what_a_hint_cannot_say_is_refused_with_a_way_out(text, way_out):
    with pytest.raises(UsageError) as caught:
        read_hint(text)
    assert way_out in str(caught.value)


def test_parts_share_the_strength():
    lat, lon = np.array([59.9, 48.1, 0.0]), np.array([10.75, 11.6, -30.0])
    codes = np.array(["NO", "DE", None], object)
    words = np.log(HINT_STRENGTH) * np.array([0.0, 1.0, 0.0])
    prior = read_hint("snow in Norway").log_prior(lat, lon, codes, words)
    np.testing.assert_allclose(prior, np.log(HINT_STRENGTH) * np.array([0.5, 0.5, 0.0]))


PIECES = (
    *("Norway", "snow", "Cyrillic", "drives", "on", "the", "left", "Thai", "signs", "qqz", "in", "European"),
    *("beach", "or", "right", "side", "Bavaria"),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=7))
def test_any_hint_is_bounded_or_refused_and_no_word_is_lost(words):
    try:
        hint = read_hint(" ".join(words))
    except UsageError:
        return
    lat, lon = np.array([59.9, 55.0, 13.75]), np.array([10.75, 73.4, 100.5])
    codes = np.array(["NO", "RU", "TH"], object)
    of_words = None if hint.words is None else np.log(HINT_STRENGTH) * np.array([0.0, 0.3, 1.0])
    prior = hint.log_prior(lat, lon, codes, of_words)
    assert (prior >= 0).all()
    assert (prior <= np.log(HINT_STRENGTH) + 1e-12).all()
    assert ("qqz" in hint.unknown) is ("qqz" in words)


def test_the_tables_name_countries_and_each_adjective_means_one():
    codes = set(countries())
    listed = {*SCRIPTS.values(), *LANGUAGES.values()}
    assert set(LEFT_HAND_TRAFFIC) | set(NATIONALITIES) | {c for text in listed for c in text.split()} <= codes
    adjectives = [word for words in NATIONALITIES.values() for word in words.split()]
    assert len(adjectives) == len(set(adjectives))
    assert set(SCRIPT_NAMES.values()) <= set(SCRIPTS)
    assert all(parse_region(area).name == area for area in AREA_ADJECTIVES.values())
