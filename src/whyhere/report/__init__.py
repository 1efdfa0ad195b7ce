"""Predictions as a table, JSON, JSON lines, CSV, GeoJSON, KML or one self-contained HTML page.

Formats are documented in `docs/output.md`; the JSON Schema lies beside this file.
"""

from whyhere.report._json import prediction_schema
from whyhere.report._stream import FORMATS, render, stream

__all__ = ["FORMATS", "prediction_schema", "render", "stream"]
