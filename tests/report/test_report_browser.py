"""The report in a real browser: quiet, complete, legible, inside any window, in any font."""

import pytest

from browser import FONT_SETS
from whyhere.report import render

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=["one", "many"])
def report(request, kauai, everything, card, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / f"{request.param}.html"
    path.write_text(render([kauai] if request.param == "one" else everything, "html", card=card), "utf-8")
    return path


@pytest.fixture(params=["light", "dark"])
def opened(request, browsers, report):
    with browsers.open(report, scheme=request.param) as opened:
        yield opened


def test_it_opens_quietly_complete_and_legible(opened, report):
    assert opened.requests_beside_data() == [report.as_uri()]
    assert opened.said == []
    images = opened.page.evaluate("[...document.images].map((i) => i.complete && i.naturalWidth)")
    assert images
    assert all(images)
    # The style sheet passed its own policy.
    style = "getComputedStyle(document.querySelector('.photo')).borderTopStyle"
    assert opened.page.evaluate(style) == "solid"
    assert opened.hard_to_read() == []
    opened.open_details()
    assert opened.hard_to_read() == []


@pytest.mark.parametrize("fonts", FONT_SETS)
def test_it_fits_every_window_in_any_font(browsers, report, fonts):
    with browsers.open(report, fonts=fonts) as opened:
        opened.open_details()
        assert not (faults := opened.layout_faults()), "\n".join(faults)


def test_it_opens_where_there_is_no_font_at_all(browsers, report):
    with browsers.open(report, fonts="none", width_px=320) as opened:
        assert opened.said == []
        assert not (faults := opened.layout_faults()), "\n".join(faults)


@pytest.mark.parametrize("width_px", [1280, 390])
def test_the_keyboard_reaches_answers_and_concepts(browsers, report, width_px):
    with browsers.open(report, width_px=width_px) as opened:
        walk_by_keyboard(opened.page)


def walk_by_keyboard(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#main'")
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.querySelector('details').open")
    link = page.locator(".glance a").first
    link.focus()
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#p1-a1'")


@pytest.mark.parametrize("width_px", [1280, 390])
def test_badges_of_one_width_are_shown_at_a_time(browsers, report, width_px):
    with browsers.open(report, width_px=width_px) as opened:
        wide, narrow = (
            opened.page.locator(f".map g.{name}").first.is_visible() for name in ("wide", "narrow")
        )
        assert (wide, narrow) == ((True, False) if width_px > 768 else (False, True))
        shown = f".map g.{'wide' if wide else 'narrow'} .badge circle"
        assert opened.page.locator(shown).first.bounding_box()["width"] > 15


def test_it_prints(browsers, report, tmp_path):
    with browsers.open(report) as opened:
        opened.page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
