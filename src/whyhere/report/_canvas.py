"""Drawings as a list of shapes, written as SVG or painted with Pillow: one picture, two files.

Shapes are in canvas units, x to the right and y downwards. Colours are `#rrggbb`, so that the two agree.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whyhere.picture import Picture
from whyhere.report._svg import PATH_SCALE, number, path_data
from whyhere.report._text import printable

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

_FINER = 2  # painted at twice the size and shrunk: Pillow draws no smooth edges itself
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
_NUMBER = re.compile(r"-?\d+")


@dataclass(frozen=True, slots=True)
class Shape:
    """Lines or rings.

    Attributes:
        lines: Each of shape (n, 2).
        fill: Colour of the inside, or None. Rings within rings are holes where `holes` says so.
        stroke: Colour of the line, or None.
        width: Width of the line.
        opacity: Of the fill, 0 to 1.
        closed: Whether each line returns to its start.
        holes: Whether the rings together are one area, filled by the even-odd rule.
    """

    lines: Sequence[NDArray[np.float64]] = field(repr=False)
    fill: str | None = None
    stroke: str | None = None
    width: float = 1.0
    opacity: float = 1.0
    closed: bool = True
    holes: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text; `y` is its baseline.

    Attributes:
        x: Where it starts, is centred or ends.
        y: Its baseline.
        text: What it says.
        size: Height of the letters in canvas units.
        anchor: "start", "middle" or "end".
        colour: Its colour.
        bold: Whether it is bold, in SVG.
    """

    x: float
    y: float
    text: str
    size: float = 13.0
    anchor: str = "start"
    colour: str = "#222222"
    bold: bool = False


Item: TypeAlias = Shape | Label


def lines_of(data: str) -> list[NDArray[np.float64]]:
    """Return the lines, in canvas units, behind path data that `path_data` wrote."""
    found = []
    for part in data.split("M")[1:]:
        numbers = np.array(_NUMBER.findall(part), np.float64).reshape(-1, 2)
        found.append(np.cumsum(numbers, axis=0) / PATH_SCALE)
    return found


def moved(items: Sequence[Item], dx: float, dy: float) -> list[Item]:
    """Return the items, moved to the right and downwards."""
    from dataclasses import replace

    shift = np.array((dx, dy))
    return [
        replace(item, x=item.x + dx, y=item.y + dy)
        if isinstance(item, Label)
        else replace(item, lines=[line + shift for line in item.lines])
        for item in items
    ]


def rectangle(x: float, y: float, width: float, height: float, fill: str) -> Shape:
    """Return a filled rectangle."""
    return Shape([np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])], fill=fill)


def picture(items: Sequence[Item], *, width: float, height: float, title: str, words: str = "") -> Picture:
    """Return the drawing of some items, the first at the bottom.

    Args:
        items: What to draw.
        width: Width of the canvas.
        height: Height of the canvas.
        title: What the picture shows, in a few words.
        words: What it shows, in a sentence, for people who do not see it.
    """
    svg = _svg(items, width, height, title, words)
    return Picture(svg, printable(title), lambda: _painted(items, width, height))


def _svg(items: Sequence[Item], width: float, height: float, title: str, words: str) -> str:
    size = f"{number(width)} {number(height)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" '
        f'font-family="{escape(_FONT)}">\n<title>{escape(printable(title))}</title>\n',
        f"<desc>{escape(printable(words))}</desc>\n" if words else "",
        '<rect width="100%" height="100%" fill="#ffffff"/>\n',
        *map(_svg_item, items),
        "</svg>\n",
    ]
    return "".join(parts)


def _svg_item(item: Item) -> str:
    if isinstance(item, Label):
        anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
        weight = ' font-weight="600"' if item.bold else ""
        spot = f'x="{number(item.x)}" y="{number(item.y)}" font-size="{number(item.size)}"'
        return f'<text {spot}{anchor}{weight} fill="{item.colour}">{escape(printable(item.text))}</text>\n'
    data = path_data(item.lines, closed=item.closed)
    if not data:
        return ""
    look = f'fill="{item.fill or "none"}"'
    if item.fill and item.opacity < 1:
        look += f' fill-opacity="{item.opacity:g}"'
    if item.holes:
        look += ' fill-rule="evenodd"'
    if item.stroke:
        look += f' stroke="{item.stroke}" stroke-width="{number(item.width * PATH_SCALE)}"'
        look += ' stroke-linejoin="round"'
    return f'<path transform="scale(.1)" {look} d="{data}"/>\n'


def _painted(items: Sequence[Item], width: float, height: float, *, scale: float = 1.4) -> Image.Image:
    """Paint the items: `scale` pixels a unit."""
    from PIL import Image, ImageDraw

    pixels = (round(width * scale), round(height * scale))
    canvas = Image.new("RGB", (pixels[0] * _FINER, pixels[1] * _FINER), "#ffffff")
    draw = ImageDraw.Draw(canvas)
    for item in items:
        if isinstance(item, Shape):
            _paint_shape(canvas, draw, item, scale * _FINER)
    image = canvas.resize(pixels, Image.Resampling.BOX)
    # Letters come last and unshrunk: Pillow draws them smooth, and shapes never cover them.
    draw = ImageDraw.Draw(image)
    for item in items:
        if isinstance(item, Label):
            _paint_label(draw, item, scale)
    # Few colours and their smooth edges: a palette loses nothing to see, and the file is a third.
    return image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _paint_shape(canvas: Image.Image, draw: ImageDraw.ImageDraw, shape: Shape, scale: float) -> None:
    lines = [[(x, y) for x, y in (line * scale).tolist()] for line in shape.lines if len(line) > 1]
    areas = [line for line in lines if len(line) > 2]
    if shape.fill and areas:
        if shape.holes or shape.opacity < 1:
            mask = _mask(canvas.size, areas).point(lambda value: round(value * shape.opacity))
            canvas.paste(shape.fill, (0, 0, *canvas.size), mask)
        else:
            for area in areas:
                draw.polygon(area, fill=shape.fill)
    if shape.stroke:
        width = max(1, round(shape.width * scale))
        for line in lines:
            path = [*line, line[0]] if shape.closed else line
            draw.line(path, fill=shape.stroke, width=width, joint="curve")


def _mask(size: tuple[int, int], areas: Sequence[list[tuple[float, float]]]) -> Image.Image:
    """Return what lies in an odd number of rings, 255 inside."""
    from PIL import Image, ImageChops, ImageDraw

    mask = Image.new("1", size)
    for area in areas:
        xs, ys = zip(*area, strict=True)
        left, top = max(0, int(min(xs)) - 1), max(0, int(min(ys)) - 1)
        right, bottom = min(size[0], int(max(xs)) + 2), min(size[1], int(max(ys)) + 2)
        if left >= right or top >= bottom:
            continue
        box = (left, top, right, bottom)
        part = Image.new("1", (right - left, bottom - top))
        ImageDraw.Draw(part).polygon([(x - left, y - top) for x, y in area], fill=1)
        mask.paste(ImageChops.logical_xor(mask.crop(box), part), box)
    return mask.convert("L")


def _paint_label(draw: ImageDraw.ImageDraw, label: Label, scale: float) -> None:
    from PIL import ImageFont

    font = ImageFont.load_default(label.size * scale)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[label.anchor]
    text = _plain(label.text)
    draw.text((label.x * scale, label.y * scale), text, label.colour, font=font, anchor=anchor)


def _plain(text: str) -> str:
    """Return a text in the letters that Pillow's own font has: Medellin for Medellín."""
    letters = "".join(
        c for c in unicodedata.normalize("NFKD", printable(text)) if not unicodedata.combining(c)
    )
    return letters.encode("ascii", "replace").decode()
