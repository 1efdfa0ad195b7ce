"""Drawings as a list of shapes, written as SVG or painted with Pillow: one picture, two files.

Shapes are in canvas units, x to the right and y downwards. Colours are `#rrggbb`, so that the two agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whyhere._text import printable, to_ascii
from whyhere.picture import Picture

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

INK, SOFT = "#222222", "#566068"
"""Colours of words: what matters, and what stands behind it."""
PATH_SCALE = 10
"""Path data count tenths of a unit; draw them inside `<g transform="scale(.1)">`."""

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
        dashed: Whether the line is dashed, in SVG.
    """

    lines: Sequence[NDArray[np.float64]] = field(repr=False)
    fill: str | None = None
    stroke: str | None = None
    width: float = 1.0
    opacity: float = 1.0
    closed: bool = True
    holes: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """A disc.

    Attributes:
        x: Its centre.
        y: Its centre.
        radius: Its radius.
        fill: Its colour.
        opacity: 0 to 1.
        stroke: Colour of its edge, or None.
        width: Width of its edge.
        words: What SVG says when asked for it.
    """

    x: float
    y: float
    radius: float
    fill: str
    opacity: float = 1.0
    stroke: str | None = None
    width: float = 0.7
    words: str = ""


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
        upwards: Whether it is turned to run upwards.
    """

    x: float
    y: float
    text: str
    size: float = 13.0
    anchor: str = "start"
    colour: str = INK
    bold: bool = False
    upwards: bool = False


Item: TypeAlias = Shape | Dot | Label


def path_data(lines: Iterable[NDArray[np.float64]], *, closed: bool = True) -> str:
    """Return compact path data: whole numbers in tenths of a unit, relative to the point before.

    Args:
        lines: Rings or open lines, each of shape [n, 2]: x to the right, y downwards, in map units.
        closed: Whether each line returns to its start.

    Returns:
        The `d` attribute; empty where nothing is left after rounding.
    """
    parts = []
    for line in lines:
        points = np.round(line * PATH_SCALE).astype(np.int64)
        moves = np.diff(points, axis=0)
        moves = moves[np.any(moves != 0, axis=1)]
        if len(moves) == 0:
            continue
        x, y = points[0].tolist()
        numbers = " ".join(map(str, moves.ravel().tolist())).replace(" -", "-")
        parts.append(f"M{x} {y}l{numbers}{'z' if closed else ''}")
    return "".join(parts)


def lines_of(data: str) -> list[NDArray[np.float64]]:
    """Return the lines, in canvas units, behind path data that `path_data` wrote."""
    found = []
    for part in data.split("M")[1:]:
        numbers = np.array(_NUMBER.findall(part), np.float64).reshape(-1, 2)
        found.append(np.cumsum(numbers, axis=0) / PATH_SCALE)
    return found


def number(value: float) -> str:
    """Return a coordinate with at most one decimal: 3, 4.5."""
    text = f"{value:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def moved(items: Iterable[Item], dx: float, dy: float) -> list[Item]:
    """Return the items, moved to the right and downwards."""
    shift = np.array((dx, dy))
    return [
        replace(item, lines=[line + shift for line in item.lines])
        if isinstance(item, Shape)
        else replace(item, x=item.x + dx, y=item.y + dy)
        for item in items
    ]


def rectangle(x: float, y: float, width: float, height: float, fill: str) -> Shape:
    """Return a filled rectangle."""
    return Shape([np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)])], fill=fill)


def line(*points: tuple[float, float], colour: str, width: float = 1.0, dashed: bool = False) -> Shape:
    """Return an open line through some points."""
    return Shape([np.array(points, np.float64)], stroke=colour, width=width, closed=False, dashed=dashed)


def picture(
    items: Sequence[Item], *, width: float, height: float, title: str, words: str = "", sized: bool = False
) -> Picture:
    """Return the drawing of some items, the first at the bottom.

    Args:
        items: What to draw.
        width: Width of the canvas.
        height: Height of the canvas.
        title: What the picture shows, in a few words.
        words: What it shows, in a sentence, for people who do not see it.
        sized: Whether the SVG asks for this size in pixels; else it fills the room it is given.
    """
    size = f"{number(width)} {number(height)}"
    fixed = f'width="{number(width)}" height="{number(height)}" ' if sized else ""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" {fixed}role="img" '
        f'font-family="{escape(_FONT)}">\n<title>{escape(printable(title))}</title>\n',
        f"<desc>{escape(printable(words))}</desc>\n" if words else "",
        '<rect width="100%" height="100%" fill="#ffffff"/>\n',
        *map(_svg, items),
        "</svg>\n",
    ]
    return Picture("".join(parts), printable(title), lambda: _painted(items, width, height))


def _svg(item: Item) -> str:
    if isinstance(item, Label):
        anchor = "" if item.anchor == "start" else f' text-anchor="{item.anchor}"'
        weight = ' font-weight="600"' if item.bold else ""
        x, y = number(item.x), number(item.y)
        turn = f' transform="rotate(-90 {x} {y})"' if item.upwards else ""
        spot = f'x="{x}" y="{y}" font-size="{number(item.size)}"{turn}'
        return f'<text {spot}{anchor}{weight} fill="{item.colour}">{escape(printable(item.text))}</text>\n'
    opacity = f' fill-opacity="{item.opacity:g}"' if item.fill and item.opacity < 1 else ""
    if isinstance(item, Dot):
        edge = f' stroke="{item.stroke}" stroke-width="{number(item.width)}"' if item.stroke else ""
        words = f"><title>{escape(printable(item.words))}</title></circle>" if item.words else "/>"
        spot = f'cx="{number(item.x)}" cy="{number(item.y)}" r="{number(item.radius)}"'
        return f'<circle {spot} fill="{item.fill}"{opacity}{edge}{words}\n'
    data = path_data(item.lines, closed=item.closed)
    if not data:
        return ""
    look = f'fill="{item.fill or "none"}"{opacity}'
    if item.holes:
        look += ' fill-rule="evenodd"'
    if item.stroke:
        look += f' stroke="{item.stroke}" stroke-width="{number(item.width * PATH_SCALE)}"'
        look += ' stroke-linejoin="round"' + (' stroke-dasharray="50 40"' if item.dashed else "")
    return f'<path transform="scale(.1)" {look} d="{data}"/>\n'


def _painted(items: Sequence[Item], width: float, height: float, *, scale: float = 1.4) -> Image.Image:
    """Paint the items: `scale` pixels a unit."""
    from PIL import Image, ImageDraw

    pixels = (round(width * scale), round(height * scale))
    canvas = Image.new("RGB", (pixels[0] * _FINER, pixels[1] * _FINER), "#ffffff")
    draw = ImageDraw.Draw(canvas)
    for item in items:
        if not isinstance(item, Label):
            shape = _disc(item) if isinstance(item, Dot) else item
            _paint_shape(canvas, draw, shape, scale * _FINER)
    image = canvas.resize(pixels, Image.Resampling.BOX)
    # Letters come last and unshrunk: Pillow draws them smooth, and shapes never cover them.
    for item in items:
        if isinstance(item, Label):
            _paint_label(image, item, scale)
    # Few colours and their smooth edges: a palette loses nothing to see, and the file is a third.
    return image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _disc(dot: Dot) -> Shape:
    angle = np.linspace(0.0, 2 * np.pi, 24, endpoint=False)
    ring = np.column_stack((dot.x + dot.radius * np.cos(angle), dot.y + dot.radius * np.sin(angle)))
    return Shape([ring], fill=dot.fill, stroke=dot.stroke, width=dot.width, opacity=dot.opacity)


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


def _paint_label(image: Image.Image, label: Label, scale: float) -> None:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(label.size * scale)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[label.anchor]
    # Pillow's own font has no accents: Medellin for Medellín.
    text = to_ascii(printable(label.text))
    x, y = label.x * scale, label.y * scale
    if not label.upwards:
        ImageDraw.Draw(image).text((x, y), text, label.colour, font=font, anchor=anchor)
        return
    turned = image.rotate(-90, expand=True)
    ImageDraw.Draw(turned).text((image.height - y, x), text, label.colour, font=font, anchor=anchor)
    image.paste(turned.transpose(Image.Transpose.ROTATE_90))
