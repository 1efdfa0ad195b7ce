"""The command line: each command imported only when it runs.

Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 some inputs failed,
2 wrong usage, 3 a model or data file is missing.
"""

from whyhere.cli._main import app, main

__all__ = ["app", "main"]
