"""Predictions as a table, JSON, JSON lines, CSV, GeoJSON, KML, GPX or one self-contained HTML page.

Formats are documented in `docs/output.md`; the JSON Schema lies beside this file.
"""

from whyhere.report._csv import COLUMNS as CSV_COLUMNS
from whyhere.report._csv import csv_text
from whyhere.report._json import prediction_schema
from whyhere.report._stream import FORMATS, LISTED, TAILS, render, stream

__all__ = [
    "CSV_COLUMNS",
    "FORMATS",
    "LISTED",
    "TAILS",
    "csv_text",
    "prediction_schema",
    "render",
    "stream",
]
