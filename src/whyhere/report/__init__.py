"""How whyhere shows what it found: predictions and explanations in every format, pictures, charts, pages.

Formats are documented in `docs/output.md`; the JSON Schemas lie beside this file. Drawings are lists of
`Shape`, `Dot` and `Label` that `picture` turns into SVG and PNG; `curves`, `intervals`, `scatter` and `bars`
draw plain series, `map_panel` a map. Importing this loads neither rich, h3, shapely, Pillow nor Jinja2.
"""

from whyhere.report._canvas import (
    INK,
    SOFT,
    Dot,
    Item,
    Label,
    Shape,
    line,
    lines_of,
    moved,
    path_data,
    picture,
    rectangle,
)
from whyhere.report._charts import (
    BLUE,
    GREY,
    PALETTE,
    RED,
    Bar,
    Curve,
    Estimate,
    bars,
    curves,
    intervals,
    scatter,
)
from whyhere.report._csv import COLUMNS as CSV_COLUMNS
from whyhere.report._csv import csv_text
from whyhere.report._explain_stream import EXPLANATION_FORMATS, explanation_schema, stream_explanation
from whyhere.report._geometry import WORLD_HEIGHT, WORLD_WIDTH, split_ring
from whyhere.report._json import prediction_schema
from whyhere.report._maps import SCALE, CellLayer, Frame, boundaries, map_panel, panel_height
from whyhere.report._page import page
from whyhere.report._stream import FORMATS, LISTED, TAILS, render, stream
from whyhere.report._text import HYPOTHESIS, PLACE_NAMES, coordinates, kilometres, percent, signed

__all__ = [
    "BLUE",
    "CSV_COLUMNS",
    "EXPLANATION_FORMATS",
    "FORMATS",
    "GREY",
    "HYPOTHESIS",
    "INK",
    "LISTED",
    "PALETTE",
    "PLACE_NAMES",
    "RED",
    "SCALE",
    "SOFT",
    "TAILS",
    "WORLD_HEIGHT",
    "WORLD_WIDTH",
    "Bar",
    "CellLayer",
    "Curve",
    "Dot",
    "Estimate",
    "Frame",
    "Item",
    "Label",
    "Shape",
    "bars",
    "boundaries",
    "coordinates",
    "csv_text",
    "curves",
    "explanation_schema",
    "intervals",
    "kilometres",
    "line",
    "lines_of",
    "map_panel",
    "moved",
    "page",
    "panel_height",
    "path_data",
    "percent",
    "picture",
    "prediction_schema",
    "rectangle",
    "render",
    "scatter",
    "signed",
    "split_ring",
    "stream",
    "stream_explanation",
]
