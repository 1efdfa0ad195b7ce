"""The templates beside this file: how they are read, and how what they show is made safe.

Whatever a template shows is made printable and escaped, unless it is markup of ours. In a template a line
break beside a tag is nothing, an empty line is a line break, and any other line break is a space.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape as xml_escape

from whyhere._text import printable
from whyhere.report import words
from whyhere.report._canvas import number
from whyhere.report._maps import density_text

if TYPE_CHECKING:
    from jinja2 import Environment

_MINUS = "\N{MINUS SIGN}"


def resource(name: str) -> str:
    """Return the text of a template or style sheet."""
    return files("whyhere.report").joinpath("templates", name).read_text("utf-8")


def rendered(template: str, **context: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield what a template makes of a context, piece by piece, as soon as what it asks for is known.

    Templates can call everything in `whyhere.report.words`; a name that is missing is an error.
    """
    stream = _environment(xml=".xml" in template).get_template(template).stream(context)
    stream.enable_buffering(500)
    return iter(stream)


@cache
def _environment(*, xml: bool) -> Environment:
    from html import escape

    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    safe = xml_escape if xml else escape

    def shown(value: object) -> Markup:
        return value if isinstance(value, Markup) else Markup(safe(printable(str(value))))

    made = Environment(
        autoescape=True,
        finalize=shown,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        loader=FunctionLoader(_source),
    )
    made.globals.update({name: value for name, value in vars(words).items() if not name.startswith("_")})
    made.filters.update(
        base64=lambda data: base64.b64encode(data).decode(),
        density_text=density_text,
        fixed=lambda value, decimals: f"{value:.{decimals}f}",
        km=words.kilometres,
        kml_positions=_kml_positions,
        kml_ring=lambda ring: _kml_positions((*ring, ring[0])),
        lines=lambda lines: Markup("\n").join(map(shown, lines)),
        listing=", ".join,
        markup=Markup,  # for drawings of ours alone
        percent=words.percent,
        signed=_signed,
        strength=lambda value: "" if value is None else words.strength_text(value, _MINUS),
        unit=number,
    )
    return made


def _kml_positions(positions: Iterable[Iterable[float]]) -> str:
    """Return latitudes and longitudes as KML has them, the longitude first."""
    return " ".join(f"{lon:.6f},{lat:.6f}" for lat, lon in positions)


def _signed(value: float | str | None, decimals: int) -> str:
    """Return a number with its sign, as pages write it; text as it is, and nothing for None."""
    if value is None or isinstance(value, str):
        return value or ""
    return words.signed(value, decimals, minus=_MINUS)


def _source(name: str) -> str:
    text = ""
    for line in resource(name).splitlines():
        line = line.strip()
        beside_tag = not text or text[-1] in ">}\n" or line[:1] in "<{"
        text += (line if beside_tag else f" {line}") if line else "\n"
    return text
