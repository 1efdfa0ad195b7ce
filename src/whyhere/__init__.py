"""Where was this photo taken, and why here?

    >>> from whyhere import Locator
    >>> prediction = Locator.from_release("base").locate("photo.jpg")  # doctest: +SKIP

Photos stay on this machine; answers are hypotheses with probabilities, and every score is the sum of the
concept contributions that are shown for it.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

# onnxruntime from the Python package index reports to Microsoft from the moment it is imported, so this
# stands where nothing of whyhere can come before it. It is set whatever it was: no "0" left over from another
# program sends anything.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from whyhere.atlas import Atlas
    from whyhere.errors import MissingFileError, PhotoError, UsageError, WhyhereError
    from whyhere.geo import LatLon, PlaceName
    from whyhere.locator import Locator
    from whyhere.prediction import (
        Answer,
        Assumptions,
        CountryShare,
        Explanation,
        HintWords,
        Prediction,
        ReleaseCard,
        SurfaceCell,
        UnitShare,
    )
    from whyhere.reasons import ConceptContribution

logging.getLogger("whyhere").addHandler(logging.NullHandler())  # silent unless the application wants it

_HOMES = {
    "Answer": "prediction",
    "Assumptions": "prediction",
    "Atlas": "atlas",
    "ConceptContribution": "reasons",
    "CountryShare": "prediction",
    "Explanation": "prediction",
    "HintWords": "prediction",
    "LatLon": "geo",
    "Locator": "locator",
    "MissingFileError": "errors",
    "PhotoError": "errors",
    "PlaceName": "geo",
    "Prediction": "prediction",
    "ReleaseCard": "prediction",
    "SurfaceCell": "prediction",
    "UnitShare": "prediction",
    "UsageError": "errors",
    "WhyhereError": "errors",
}

__all__ = [
    "Answer",
    "Assumptions",
    "Atlas",
    "ConceptContribution",
    "CountryShare",
    "Explanation",
    "HintWords",
    "LatLon",
    "Locator",
    "MissingFileError",
    "PhotoError",
    "PlaceName",
    "Prediction",
    "ReleaseCard",
    "SurfaceCell",
    "UnitShare",
    "UsageError",
    "WhyhereError",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import a public name when it is first used: `import whyhere` alone stays fast and light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'whyhere' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"whyhere.{_HOMES[name]}"), name)
