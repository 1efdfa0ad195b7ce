"""Where fetched and computed files lie, and nothing about what is in them.

assets/<asset>/             weights, as fetched and converted
galleries/<fingerprint>/    embedded galleries, computed here
downloads/<asset>/          files of the hub, kept while a download is not complete
heads/<fingerprint>/        concept directions in the location space, computed here
towers/<fingerprint>/       image towers exported from folders of the user's own
imported/<fingerprint>/     GeoCLIP's release folders, converted
locks/, tmp/                one lock per asset; work in progress, safe to delete
"""

from __future__ import annotations

import os
from pathlib import Path

from whyhere._checksums import MEMORY
from whyhere.errors import UsageError


def home() -> Path:
    """Return the cache directory: `WHYHERE_HOME`, or where the system keeps caches. It need not exist."""
    chosen = os.environ.get("WHYHERE_HOME")
    if chosen:
        try:
            return Path(chosen).expanduser().absolute()
        except RuntimeError as error:  # ~somebody, and there is nobody of that name
            raise UsageError(f"WHYHERE_HOME is {chosen}: {error}; name an existing directory") from error
    import platformdirs

    return platformdirs.user_cache_path("whyhere", appauthor=False)


def memory() -> Path:
    """Return the file that remembers which files of assets and releases have been read and found good."""
    return home() / MEMORY


def assets_dir() -> Path:
    """Return the directory with one sub-directory per fetched asset."""
    return home() / "assets"


def galleries_dir() -> Path:
    """Return the directory with one sub-directory per embedded gallery."""
    return home() / "galleries"
