"""Explanations as text, JSON and a page: golden files, the schema, hostile names, and a real browser."""

from __future__ import annotations

import json
import re

import jsonschema
import pytest
from explanation_samples import explanation_of
from lxml import html as lxml_html
from msgspec.structs import replace

from browser import FONT_SETS
from whyhere import UsageError
from whyhere.prediction import Assumptions, Change, HintWords
from whyhere.report import EXPLANATION_FORMATS, explanation_schema, stream_explanation


def render(explanation, format, card, **options):
    return "".join(stream_explanation(explanation, format, card=card, **options))


@pytest.fixture(scope="session")
def explained(kauai):
    return explanation_of(kauai)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("explanation.txt", {"width": 100}),
        ("explanation-narrow.txt", {"width": 40, "ascii_only": True, "concepts": 1}),
    ],
)
def test_the_text_is_as_it_was(explained, card, check_golden, name, options):
    check_golden(name, render(explained, "table", card, **options))


def test_the_json_is_as_it_was_and_follows_its_schema(explained, card, check_golden):
    text = render(explained, "json", card)
    check_golden("explanation.json", text)
    jsonschema.validate(json.loads(text), explanation_schema())


def test_the_page_is_as_it_was(explained, card, check_golden):
    small = replace(explained.prediction, thumbnail=b"\xff\xd8\xff\xd9", surface=())
    check_golden("explanation.html", render(replace(explained, prediction=small), "html", card))


@pytest.mark.parametrize("without", ["contrast", "intervention"])
def test_the_schema_holds_for_parts_of_an_explanation(explained, without):
    jsonschema.validate(replace(explained, **{without: None}).to_dict(), explanation_schema())


def test_the_schema_refuses_what_is_not_an_explanation(explained):
    data = explained.to_dict()
    del data["here"]["score"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, explanation_schema())


def test_that_nothing_changes_is_said_only_where_nothing_was_changed(explained, card):
    found = replace(explained.intervention, total_variation=0.0, shift_km=0.0)
    same = "Nothing changes: the answers are the same to the last bit."
    still = "No probability moves: the answers keep their places and shares."
    for changed, words in (
        (found, still),
        (replace(found, changes=(), remainder_removed=True), still),
        (replace(found, changes=()), same),
    ):
        text = render(replace(explained, intervention=changed), "table", card, width=120)
        assert [sentence in text for sentence in (same, still)] == [words is same, words is still]


def test_a_strength_that_is_not_zero_never_looks_like_zero(explained, card):
    first, *others = explained.here.concepts
    small = replace(first, strength=-0.004)
    change = Change("a", "snow", "water", before=0.0049, after=-0.0)
    explanation = replace(
        explained,
        here=replace(explained.here, concepts=(small, *others)),
        intervention=replace(explained.intervention, changes=(change,)),
    )
    text = render(explanation, "table", card, width=120)
    page = lxml_html.document_fromstring(render(explanation, "html", card)).text_content()
    for shown, minus in ((text, "-"), (page, "\N{MINUS SIGN}")):
        assert f">{minus}0.01" in shown
        assert "snow: strength <0.01 before, 0.00 after" in shown
        assert not re.search(f"{minus}0[.]00(?![0-9])", shown)


def test_regions_are_listed_without_their_pictures(kauai):
    data = explanation_of(kauai, with_regions=True).to_dict()
    jsonschema.validate(data, explanation_schema())
    caption = "brighter where it raises the concept"
    assert data["regions"] == [{"concept_id": "landform-1", "caption": caption}]


def test_the_region_that_answers_are_restricted_to_is_named(explained, card):
    assumptions = Assumptions("Isle <b>of</b> Man", None, 0.01)
    named = replace(explained, prediction=replace(explained.prediction, assumptions=assumptions))
    assert "Only inside: Isle <b>of</b> Man. Probabilities assume" in render(named, "table", card, width=120)
    page = lxml_html.document_fromstring(render(named, "html", card))
    assert "Only inside: Isle <b>of</b> Man. Probabilities assume" in page.text_content()
    jsonschema.validate(named.to_dict(), explanation_schema())


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_wider_than_the_terminal(explained, card, width, ascii_only):
    from rich.cells import cell_len

    text = render(explained, "table", card, width=width, ascii_only=ascii_only)
    assert max(cell_len(line) for line in text.splitlines()) <= min(width, 120)
    assert not ascii_only or text.isascii()


def test_colour_adds_escapes_and_nothing_else(explained, card):
    import re

    colored = render(explained, "table", card, color=True)
    assert re.sub("\x1b\\[[0-9;]*m", "", colored) == render(explained, "table", card)
    assert colored != render(explained, "table", card)


def test_the_page_shows_the_numbers_of_the_explanation(kauai, card):
    explanation = explanation_of(kauai, with_regions=True)
    page = lxml_html.document_fromstring(render(explanation, "html", card))
    text = " ".join(page.text_content().split())
    for words in (
        "Why Hawaii, United States?",
        "Why Hawaii, United States rather than Suva, Central, Fiji?",
        "volcanic peak 1: strength 1.00 before, 0.00 after",
        f"The first answer moves {explanation.intervention.shift_km:,.0f} km",
        "19 % of all probability moves elsewhere",
        "not proof",
        "Where in the photo",
    ):
        assert words in text
    assert len(page.xpath("//figure[@class='world']//svg")) >= 2
    assert len(page.xpath("//section[@aria-labelledby='regions']//img")) == 1
    ids = page.xpath("//@id")
    assert len(ids) == len(set(ids))
    values = [
        cell.text for cell in page.xpath("//section[@aria-labelledby='why']//tfoot//td[@class='value']")
    ]
    assert values == [f"+{explanation.here.score:.4f}"]


def test_hostile_names_stay_text(hostile, kauai, card):
    script = "<script>alert(3)</script>\u202e"
    assumptions = Assumptions(script, HintWords(script, (script,), (script,)), 0.1)
    explanation = explanation_of(replace(kauai, photo=hostile.photo, assumptions=assumptions))
    nasty = replace(explanation.here, place=hostile.answers[0].place, asked="<b>\x1b[31m", how="best in")
    explanation = replace(explanation, here=nasty)
    text = render(explanation, "table", card)
    assert "\x1b" not in text
    assert "\u202e" not in text
    page = render(explanation, "html", card)
    assert "\x1b" not in page
    assert not lxml_html.document_fromstring(page).xpath("//script | //img[@onerror] | //main//b[.//b]")
    assert "\u202e" not in page
    json.loads(render(explanation, "json", card))


def test_other_formats_and_numbers_that_are_not_finite_are_refused(explained, card):
    assert EXPLANATION_FORMATS == ("table", "json", "html")
    with pytest.raises(UsageError, match="kml"):
        stream_explanation(explained, "kml", card=card)
    broken = replace(explained, here=replace(explained.here, remainder=float("nan")))
    with pytest.raises(ValueError, match="remainder is nan"):
        stream_explanation(broken, "table", card=card)


@pytest.fixture(scope="module")
def page_of_everything(kauai, card, tmp_path_factory):
    path = tmp_path_factory.mktemp("explanation") / "why.html"
    path.write_text(render(explanation_of(kauai, with_regions=True), "html", card), "utf-8")
    return path


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_opens_quietly_complete_and_legible(browsers, page_of_everything, scheme):
    with browsers.open(page_of_everything, scheme=scheme) as opened:
        assert opened.requests_beside_data() == [page_of_everything.as_uri()]
        assert opened.said == []
        assert opened.page.evaluate("[...document.images].every((i) => i.complete && i.naturalWidth)")
        assert opened.page.evaluate("getComputedStyle(document.querySelector('.maps')).display") == "grid"
        opened.open_details()
        assert opened.hard_to_read() == []


@pytest.mark.browser
@pytest.mark.parametrize("fonts", FONT_SETS)
def test_the_page_fits_every_window_in_any_font(browsers, page_of_everything, fonts):
    with browsers.open(page_of_everything, fonts=fonts) as opened:
        opened.open_details()
        assert not (faults := opened.layout_faults()), "\n".join(faults)
