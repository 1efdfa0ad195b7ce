"""A real browser for the tests of pages, with fonts that do not depend on the machine.

Needs playwright and a Chromium: set `CHROMIUM` to its path, or have `chromium` on the PATH. Each font set is
a fontconfig file and one browser process, started when a test first asks for it and shared by all tests of
a worker. `wide` and `none` exist everywhere; the two of Debian skip where nobody installed them.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

WIDTHS_PX = (320, 390, 768, 1280)
# What a bare Debian has; what its Chromium recommends; and wider than any usual font.
FONT_SETS = ("dejavu", "liberation", "wide")
# Verdana takes 0.58 of its size a letter of English text, the usual monospaced fonts 0.60.
WIDE_EM = 0.65
SMALLEST_PX = 9.0

# Asks the network for nothing of its own.
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-first-run",
    "--no-pings",
]
FONTCONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{files}</dir><cachedir>{cache}</cachedir>{aliases}</fontconfig>
"""
ALIAS = "<alias><family>{generic}</family><prefer><family>{family}</family></prefer></alias>"
FAMILIES = {
    "dejavu": {"sans-serif": "DejaVu Sans", "serif": "DejaVu Serif", "monospace": "DejaVu Sans Mono"},
    "liberation": {
        "sans-serif": "Liberation Sans",
        "serif": "Liberation Serif",
        "monospace": "Liberation Mono",
    },
}

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

# What sticks out of the window, or of a box that cuts it off without a way to scroll; and text too small
# to read, drawings included, as large as it is on the screen.
LAYOUT = """
(smallest) => {
  const faults = [];
  const named = (e) =>
    `${e.localName}.${e.getAttribute('class') || ''} "${e.textContent.trim().slice(0, 30)}"`;
  const within = (e, test) => { while ((e = e.parentElement)) if (test(e)) return true; return false; };
  const scrolls = (e) => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);
  const out = (a, b, by) =>
    a.right > b.right + by || a.left < b.left - by || a.bottom > b.bottom + by || a.top < b.top - by;
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) faults.push(`the page is ${page.scrollWidth} px wide`);
  const sideways = { left: 0, right: innerWidth, top: -Infinity, bottom: Infinity };
  for (const e of document.querySelectorAll('body *')) {
    const box = e.getBoundingClientRect();
    if (!box.width || e.classList.contains('skip') || !e.checkVisibility()) continue;
    const drawing = e.closest('svg');
    if (!drawing && out(box, sideways, 0.5) && !within(e, scrolls))
      faults.push(`${named(e)} sticks out of the window: ${box.left} to ${box.right}`);
    const texts = [...e.childNodes].filter((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
    if (!texts.length || (drawing && !e.closest('text'))) continue;
    const matrix = drawing && e.getScreenCTM();
    const size = parseFloat(getComputedStyle(e).fontSize) * (matrix ? Math.hypot(matrix.a, matrix.b) : 1);
    if (size < smallest - 0.01) faults.push(`${named(e)} is ${size.toFixed(1)} px small`);
    if (drawing && getComputedStyle(drawing).overflow !== 'visible'
        && out(box, drawing.getBoundingClientRect(), 1)) faults.push(`${named(e)} is cut off by its drawing`);
  }
  return faults;
}
"""


@dataclass
class Opened:
    """A page, and what it asked for and said while it opened."""

    page: Any
    requests: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def set_width(self, width_px: int) -> None:
        """Make the window this wide."""
        self.page.set_viewport_size({"width": width_px, "height": 900})

    def requests_beside_data(self) -> list[str]:
        """Return the addresses that were asked for, without what the page holds itself."""
        return [url for url in self.requests if not url.startswith("data:")]

    def open_details(self) -> None:
        """Unfold everything."""
        self.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")

    def layout_faults(self, widths_px: tuple[int, ...] = WIDTHS_PX) -> list[str]:
        """Return what sticks out, is cut off or is too small at these widths of the window."""
        faults = []
        for width_px in widths_px:
            self.set_width(width_px)
            faults += [f"{width_px} px: {fault}" for fault in self.page.evaluate(LAYOUT, SMALLEST_PX)]
        return faults

    def hard_to_read(self) -> list[tuple[float, str]]:
        """Return the contrast and the start of texts that stand out too little from what lies behind."""
        contrast = self.page.evaluate(CONTRAST)
        assert contrast, "a page without text"
        return [item for item in contrast if item[0] < 4.5]


class Browsers:
    """One headless Chromium a font set."""

    def __init__(self, playwright: Any, executable: str, folder: Path) -> None:
        self._playwright = playwright
        self._executable = executable
        self._folder = folder
        self._running: dict[str, Any] = {}

    @contextmanager
    def open(
        self, path: Path, *, fonts: str = "wide", width_px: int = 1280, scheme: str = "light"
    ) -> Iterator[Opened]:
        """Open a file without a network, with the fonts of one set."""
        context = self._browser(fonts).new_context(
            viewport={"width": width_px, "height": 900}, color_scheme=scheme, offline=True
        )
        opened = Opened(None)
        context.on("request", lambda request: opened.requests.append(request.url))
        opened.page = context.new_page()
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.goto(path.as_uri(), wait_until="load")
        try:
            yield opened
        finally:
            context.close()

    def close(self) -> None:
        """End the processes."""
        for browser in self._running.values():
            browser.close()

    def _browser(self, fonts: str) -> Any:
        if fonts not in self._running:
            config = font_config(self._folder / fonts, fonts)
            self._running[fonts] = self._playwright.chromium.launch(
                executable_path=self._executable,
                args=FLAGS,
                env={**os.environ, "FONTCONFIG_FILE": str(config)},
            )
        return self._running[fonts]


def font_config(folder: Path, fonts: str) -> Path:
    """Write the fontconfig file of a font set, and the font that is made here; "none" has no font."""
    files = folder / "fonts"
    files.mkdir(parents=True, exist_ok=True)  # it is there where a test before was skipped for want of fonts
    families = FAMILIES.get(fonts, {})
    if families:
        found = sorted(Path("/usr/share/fonts").rglob(f"{families['serif'].split()[0]}*.ttf"))
        if not found:
            pytest.skip(f"needs the {fonts} fonts (Debian: fonts-dejavu-core, fonts-liberation)")
        for font in found:
            (files / font.name).symlink_to(font)
    elif fonts == "wide":
        write_font(files / "wide.ttf", em=WIDE_EM)
    aliases = "".join(ALIAS.format(generic=generic, family=family) for generic, family in families.items())
    config = folder / "fonts.conf"
    config.write_text(FONTCONFIG.format(files=files, cache=folder / "cache", aliases=aliases))
    return config


def write_font(path: Path, *, em: float) -> None:
    """Write a font whose every character is a box of one width, in multiples of the font's size."""
    builders = pytest.importorskip("fontTools.fontBuilder", reason="needs fontTools (pip install fonttools)")
    pens = pytest.importorskip("fontTools.pens.ttGlyphPen")
    pen = pens.TTGlyphPen(None)
    for i, (x, y) in enumerate(((60, 0), (60, 700), (1000 * em - 60, 700), (1000 * em - 60, 0))):
        (pen.lineTo if i else pen.moveTo)((round(x), y))
    pen.closePath()
    box, empty = pen.glyph(), pens.TTGlyphPen(None).glyph()
    font = builders.FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder([".notdef", "space", "box"])
    spaces = (0x20, 0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F)
    shown = dict.fromkeys(range(33, 12288), "box")
    font.setupCharacterMap(shown | dict.fromkeys(spaces, "space"))
    font.setupGlyf({".notdef": box, "space": empty, "box": box})
    font.setupHorizontalMetrics({name: (round(1000 * em), 60) for name in (".notdef", "space", "box")})
    font.setupHorizontalHeader(ascent=950, descent=-300)
    font.setupNameTable({"familyName": "Boxes", "styleName": "Regular"})
    font.setupOS2(sTypoAscender=950, sTypoDescender=-300, usWinAscent=950, usWinDescent=300)
    font.setupPost()
    font.save(path)


def chromium() -> str:
    """Return the path of the browser, or skip."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("needs a Chromium on the PATH or in CHROMIUM")
    return path
