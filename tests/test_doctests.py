"""Examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import whyhere

MODULES = [
    name for _, name, _ in pkgutil.walk_packages(whyhere.__path__, "whyhere.") if "__main__" not in name
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_do_what_they_say(name):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("whyhere"):
            raise
        pytest.skip(f"needs {error.name}")
    assert not doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed


def test_there_are_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    assert any(one.examples for one in finder.find(importlib.import_module("whyhere.geo._sphere")))
