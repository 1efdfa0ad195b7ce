"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from whyhere.errors import MissingFileError

# Background jobs may start with signals ignored, and children inherit that: tests that interrupt real
# processes would wait for them for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A slow machine fails nothing: no example has a deadline.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# What the tests use besides whyhere is to be as quiet as whyhere itself.
os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}

ROOT = Path(__file__).resolve().parent.parent
SAMPLE_PHOTOS = Path(
    os.environ.get("WHYHERE_SAMPLE_PHOTOS", ROOT.parent / "shared" / "data" / "osv5m-sample")
)


@pytest.fixture(scope="session")
def sample_photos() -> Path:
    """Folder of the real sample photos; skips where it is absent."""
    if not (SAMPLE_PHOTOS / "index.csv").is_file():
        pytest.skip(f"needs the sample photos in {SAMPLE_PHOTOS}, which are not part of the repository")
    return SAMPLE_PHOTOS


@pytest.fixture(scope="session")
def base_release():
    """Release `base` with its weights; skips where they were never fetched."""
    from whyhere.releases import asset_path, resolve

    try:
        release = resolve("base")
        for asset in release.asset_names:
            asset_path(asset)
    except MissingFileError as error:
        pytest.skip(f"needs the weights of base: {error}")
    return release


@pytest.fixture(scope="session")
def browsers(tmp_path_factory):
    """Browsers by font set, one process each for all tests of a worker."""
    from browser import Browsers, chromium

    path = chromium()
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install playwright)")
    with sync_api.sync_playwright() as playwright:
        running = Browsers(playwright, path, tmp_path_factory.mktemp("browsers"))
        yield running
        running.close()
