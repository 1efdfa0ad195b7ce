"""The pages of the atlas in a real browser: quiet, complete, inside the window.

Needs playwright and a Chromium: set `CHROMIUM` to its path, or have `chromium` on the PATH.
"""

from __future__ import annotations

import pytest

from whyhere.atlas._pages import compare_page, map_page, place_page

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("kind", ["place", "map", "compare", "picture"])
def test_a_page_opens_quietly_complete_and_inside_the_window(browser, atlas, tmp_path, kind, width):
    pages = {
        "place": lambda: place_page(atlas.place(48.86, 2.35)),
        "map": lambda: map_page(atlas.map("desert", region="France")),
        "compare": lambda: compare_page(atlas.compare("France", "Spain"), limit=5),
        "picture": lambda: atlas.map("desert").plot().html(),
    }
    path = tmp_path / "page.html"
    path.write_text(pages[kind](), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    requests, said = [], []
    context.on("request", lambda request: requests.append(request.url))
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri(), wait_until="load")
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    assert said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.evaluate(
        "(() => { const b = [...document.querySelectorAll('svg')].at(-1).getBoundingClientRect();"
        " return [b.width, b.height]; })()"
    )
    assert box[0] > 0.6 * width
    assert box[1] > 100
    context.close()


@pytest.mark.parametrize("kind", ["place", "map", "compare"])
def test_words_in_a_picture_can_be_read_on_a_phone_and_in_the_dark(browser, atlas, tmp_path, kind):
    pages = {
        "place": lambda: place_page(atlas.place(48.86, 2.35)),
        "map": lambda: map_page(atlas.map("desert")),
        "compare": lambda: compare_page(atlas.compare("France", "Spain"), limit=5),
    }
    path = tmp_path / "page.html"
    path.write_text(pages[kind](), encoding="utf-8")
    context = browser.new_context(viewport={"width": 390, "height": 900}, offline=True, color_scheme="dark")
    page = context.new_page()
    page.goto(path.as_uri(), wait_until="load")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    heights, contrasts = page.evaluate(
        """(() => {
            const svg = document.querySelector('.drawing svg');
            const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
            const light = colour => {
                const [r, g, b] = colour.match(/[0-9.]+/g).map(v => v / 255)
                    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = light(getComputedStyle(svg.querySelector('rect')).fill);
            const words = [...svg.querySelectorAll('text')].filter(t => t.getAttribute('fill') !== '#ffffff');
            return [
                words.map(t => scale * t.getAttribute('font-size')),
                words.map(t => {
                    const ink = light(getComputedStyle(t).fill);
                    return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
                }),
            ];
        })()"""
    )
    assert min(heights) >= 9
    assert min(contrasts) >= 4.5
    page.emulate_media(color_scheme="light")
    ground = "getComputedStyle(document.querySelector('.drawing rect')).fill"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    context.close()
