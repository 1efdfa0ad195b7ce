"""The report in a real browser: quiet, complete, legible, inside the window; light and dark, wide and narrow.

Needs playwright and a Chromium: set `CHROMIUM` to its path, or have `chromium` on the PATH.
"""

import pytest

from whyhere.report import render

pytestmark = pytest.mark.browser

# Contrast of every piece of visible HTML text with what lies behind it (WCAG 2.2, 1.4.3).
CONTRAST = """
() => {
  const parse = (text) => {
    const n = text.match(/[\\d.]+/g).map(Number);
    return n.length < 4 ? [...n, 1] : n;
  };
  const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const backdrop = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || element.closest('svg') || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [a, b] = [light(parse(style.color)), light(backdrop(element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.slice(0, 40)]);
  }
  return found;
}
"""

# Text that is cut off or sticks out of its box.
OVERFLOW = """
() => [...document.querySelectorAll('body *')]
  .filter((e) => !e.closest('svg') && !e.classList.contains('skip'))
  .filter((e) => {
    const box = e.getBoundingClientRect();
    return box.width && (box.right > innerWidth + 0.5 || box.left < -0.5);
  })
  .map((e) => e.className || e.tagName)
"""


@pytest.fixture(scope="module", params=["one", "many"])
def report(request, kauai, everything, card, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / f"{request.param}.html"
    path.write_text(render([kauai] if request.param == "one" else everything, "html", card=card), "utf-8")
    return path


@pytest.fixture(params=["light-1280", "dark-1280", "light-390", "dark-390"])
def opened(request, browser, report):
    """Return the page, and what it asked for and said while it opened."""
    scheme, width = request.param.split("-")
    context = browser.new_context(
        viewport={"width": int(width), "height": 900}, color_scheme=scheme, offline=True
    )
    requests, said = [], []
    context.on("request", lambda request: requests.append(request.url))
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(report.as_uri(), wait_until="load")
    yield page, requests, said
    context.close()


def test_it_opens_quietly_complete_and_legible(opened, report):
    page, requests, said = opened
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    assert said == []
    images = page.evaluate("[...document.images].map((i) => i.complete && i.naturalWidth)")
    assert images
    assert all(images)
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert page.evaluate(OVERFLOW) == []
    contrast = page.evaluate(CONTRAST)
    assert len(contrast) > 100
    assert [item for item in contrast if item[0] < 4.5] == []


def test_the_style_sheet_passed_its_own_policy(opened):
    page, _, _ = opened
    assert page.evaluate("getComputedStyle(document.querySelector('.photo')).borderTopStyle") == "solid"


def test_everything_opens_and_still_fits(opened):
    page, _, _ = opened
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert [item for item in page.evaluate(CONTRAST) if item[0] < 4.5] == []


def test_the_keyboard_reaches_answers_and_concepts(opened):
    page, _, _ = opened
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


def test_badges_of_one_width_are_shown_at_a_time(opened):
    page, _, _ = opened
    wide, narrow = (page.locator(f".map g.{name}").first.is_visible() for name in ("wide", "narrow"))
    assert (wide, narrow) == ((True, False) if page.viewport_size["width"] > 768 else (False, True))
    size = page.locator(f".map g.{'wide' if wide else 'narrow'} .badge circle").first.bounding_box()
    assert size["width"] > 15


def test_it_prints(browser, report, tmp_path):
    page = browser.new_page()
    page.goto(report.as_uri())
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    page.close()
