"""Fixtures for the tests of fetching."""

from __future__ import annotations

from tiny_index import fetcher, index

__all__ = ["fetcher", "index"]
