"""Attacks on the promises of whyhere: nothing leaves the machine, nothing breaks it.

Each suite is a module with a function that takes a seed and a count and tells what it found; the tests run it
with a small count, `python scripts/reliability.py` with a large one.
"""
