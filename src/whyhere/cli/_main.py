"""`whyhere` itself: its commands, its version, and how errors end it."""

from __future__ import annotations

import os
import re
import sys
import threading
from typing import Annotated

import typer

from whyhere.cli import (
    _atlas,
    _concepts,
    _evaluate,
    _explain,
    _faithfulness,
    _locate,
    _probe,
    _releases,
    _train,
)
from whyhere.cli._options import OUT_FILE
from whyhere.cli._terminal import guard_streams, set_loudness, shown
from whyhere.errors import WhyhereError

_DECODER = "whyhere-decoder"  # images._photo.DECODER, which --help is not to load
_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT
_INTERRUPTED_TEXT = "whyhere: interrupted; a result that was not finished is not written"
_LOUDNESS = re.compile("-q|--quiet|-v+|--verbose")

app = typer.Typer(
    name="whyhere",
    help="Where was this photo taken, and why here? Answers are hypotheses; nothing leaves this machine.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command("locate")(_locate.locate)
app.command("explain")(_explain.explain)
app.command("place", cls=OUT_FILE, context_settings=_atlas.NEGATIVE_NUMBERS)(_atlas.place)
app.command("map", cls=OUT_FILE)(_atlas.map_)
app.command("compare", cls=OUT_FILE, context_settings=_atlas.NEGATIVE_NUMBERS)(_atlas.compare)
app.command("evaluate")(_evaluate.evaluate)
app.command("faithfulness")(_faithfulness.faithfulness)
app.command("probe")(_probe.probe)
app.command("train")(_train.train)
app.add_typer(_releases.app, name="releases")
app.add_typer(_concepts.app, name="concepts")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"whyhere {version('whyhere')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print no notes and no progress; errors still. Any command.")
    ] = False,
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Log what is done; -vv more. Any command.")
    ] = 0,
) -> None:
    """Where was this photo taken, and why here? Answers are hypotheses; nothing leaves this machine."""
    set_loudness(quiet=quiet, verbose=verbose)


def _loudness_first(arguments: list[str]) -> list[str]:
    """Move -q and -v before the command, where they are defined: people write them anywhere."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    loud = [word for word in arguments[:end] if _LOUDNESS.fullmatch(word)]
    return loud + [word for word in arguments[:end] if not _LOUDNESS.fullmatch(word)] + arguments[end:]


def main() -> None:
    """Run the command line and exit with its code."""
    guard_streams()
    code: int | str | None = 0
    try:
        app(_loudness_first(sys.argv[1:]))
    except SystemExit as end:
        code = end.code
        if _is_by_ctrl_c(end):
            print(_INTERRUPTED_TEXT, file=sys.stderr)
    except WhyhereError as error:
        code = error.exit_code
        print(f"whyhere: {shown(error)}", file=sys.stderr)
    except BrokenPipeError:
        code = _drop_output()
    except KeyboardInterrupt:
        code = _INTERRUPTED
        print(_INTERRUPTED_TEXT, file=sys.stderr)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        code = _drop_output()
    except WhyhereError as error:
        print(f"whyhere: {shown(error)}", file=sys.stderr)
        code = _drop_output()
    if code == _INTERRUPTED and any(thread.name.startswith(_DECODER) for thread in threading.enumerate()):
        # A decoder that is in the middle of a photo would be waited for.
        sys.stderr.flush()
        os._exit(_INTERRUPTED)
    sys.exit(code)


def _is_by_ctrl_c(end: BaseException | None) -> bool:
    """Tell whether a KeyboardInterrupt became this exit on its way through typer."""
    while end is not None and not isinstance(end, KeyboardInterrupt):
        end = end.__cause__ or end.__context__
    return end is not None


def _drop_output() -> int:
    """Send what is left to nowhere and return the exit code.

    The reader has gone, as in `whyhere locate ... | head`, or the disk is full: Python would complain.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 1
