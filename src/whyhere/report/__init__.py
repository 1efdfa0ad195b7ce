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
from whyhere.report._formats import (
    CSV_COLUMNS,
    EXPLANATION_FORMATS,
    FORMATS,
    LISTED,
    TAILS,
    explanation_schema,
    prediction_schema,
    render,
    stream,
    stream_explanation,
)
from whyhere.report._maps import (
    SCALE,
    CellLayer,
    Frame,
    boundaries,
    classify,
    density_text,
    map_panel,
    panel_height,
)
from whyhere.report._pages import Section, page
from whyhere.report._pictures import (
    explanation_files,
    explanation_lines,
    explanation_picture,
    prediction_files,
    prediction_lines,
    prediction_picture,
)
from whyhere.report.geometry import WORLD_WIDTH, split_ring
from whyhere.report.words import (
    HYPOTHESIS,
    PLACE_NAMES,
    coordinates,
    interval_text,
    kilometres,
    markdown_table,
    percent,
    signed,
)

__all__ = [
    "BLUE", "CSV_COLUMNS", "EXPLANATION_FORMATS", "FORMATS", "GREY", "HYPOTHESIS", "INK", "LISTED",
    "PALETTE", "PLACE_NAMES", "RED", "SCALE", "SOFT", "TAILS", "WORLD_WIDTH", "Bar",
    "CellLayer", "Curve", "Dot", "Estimate", "Frame", "Item", "Label", "Section", "Shape", "bars",
    "boundaries", "classify", "coordinates", "curves", "density_text", "explanation_files",
    "explanation_lines", "explanation_picture", "explanation_schema",
    "interval_text", "intervals", "kilometres", "line", "lines_of", "map_panel", "markdown_table",
    "moved", "page", "panel_height", "path_data", "percent", "picture", "prediction_files",
    "prediction_lines", "prediction_picture", "prediction_schema", "rectangle",
    "render", "scatter", "signed", "split_ring", "stream", "stream_explanation",
]  # fmt: skip
