"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_PHOTOS = ROOT.parent / "shared" / "data" / "osv5m-sample"


@pytest.fixture(scope="session")
def sample_photos() -> Path:
    """Folder of the real sample photos; skips where it is absent."""
    if not (SAMPLE_PHOTOS / "index.csv").is_file():
        pytest.skip(f"needs the sample photos in {SAMPLE_PHOTOS}, which are not part of the repository")
    return SAMPLE_PHOTOS
