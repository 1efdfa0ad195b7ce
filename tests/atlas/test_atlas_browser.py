"""The pages of the atlas in a real browser: quiet, complete, inside the window."""

from __future__ import annotations

import pytest

from browser import FONT_SETS, WIDTHS_PX
from whyhere.atlas import compare_page, map_page, place_page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module", params=["place", "map", "compare", "picture"])
def path(request, atlas, tmp_path_factory):
    pages = {
        "place": lambda: place_page(atlas.place(48.86, 2.35)),
        "map": lambda: map_page(atlas.map("desert", region="France")),
        "compare": lambda: compare_page(atlas.compare("France", "Spain"), limit=5),
        "picture": lambda: atlas.map("desert").plot().html(),
    }
    path = tmp_path_factory.mktemp("atlas") / f"{request.param}.html"
    path.write_text(pages[request.param](), encoding="utf-8")
    return path


@pytest.mark.parametrize("fonts", FONT_SETS)
def test_a_page_opens_quietly_complete_and_inside_the_window(browsers, path, fonts):
    with browsers.open(path, fonts=fonts) as opened:
        assert opened.requests_beside_data() == [path.as_uri()]
        assert opened.said == []
        assert not (faults := opened.layout_faults()), "\n".join(faults)
        for width_px in WIDTHS_PX:
            opened.set_width(width_px)
            drawing = opened.page.locator("svg").last.bounding_box()
            assert drawing["width"] > 0.6 * width_px
            assert drawing["height"] > 100


# Contrast of the words of the first drawing with its ground; white words lie on colours of their own.
WORDS = """
() => {
  const svg = document.querySelector('.drawing svg');
  const light = (colour) => {
    const [r, g, b] = colour.match(/[0-9.]+/g).map((v) => v / 255)
      .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = light(getComputedStyle(svg.querySelector('rect')).fill);
  return [...svg.querySelectorAll('text')].filter((t) => t.getAttribute('fill') !== '#ffffff').map((t) => {
    const ink = light(getComputedStyle(t).fill);
    return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
  });
}
"""


def test_words_in_a_drawing_can_be_read_in_the_dark_and_the_light(browsers, path):
    if path.stem == "picture":
        pytest.skip("a picture alone is always light")
    with browsers.open(path, scheme="dark") as opened:
        assert min(opened.page.evaluate(WORDS)) >= 4.5
        opened.page.emulate_media(color_scheme="light")
        ground = "getComputedStyle(document.querySelector('.drawing rect')).fill"
        assert opened.page.evaluate(ground) == "rgb(255, 255, 255)"
