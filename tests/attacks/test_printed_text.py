"""What leaves through standard output and standard error: no escapes, one encoding, and no traceback."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyhere._text import without_controls
from whyhere.cli import _terminal
from whyhere.errors import MissingFileError, PhotoError, UsageError

EVIL = "a\x1b]0;title\x07\x1b[2J\x9b31m\u202egpj.exe\u2066\x7f"


def whyhere(*arguments, env=None, **options):
    return subprocess.run(
        [sys.executable, "-m", "whyhere", *map(str, arguments)],
        capture_output=options.pop("capture_output", True),
        env=dict(os.environ, **(env or {})),
        timeout=120,
        check=False,
        **options,
    )


def is_harmless(data: bytes) -> bool:
    text = data.decode("utf-8")
    return without_controls(text) == text


def evil_release(folder: Path) -> Path:
    """A release that would write to the terminal wherever it can name something."""
    from whyhere.releases import resolve

    config = json.loads((resolve("base").directory / "config.json").read_text("utf-8"))
    config["name"] = EVIL
    for key, value in config.get("card", {}).items():
        config["card"][key] = [EVIL] if isinstance(value, list) else EVIL
    folder.mkdir()
    for file in resolve("base").directory.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def commands(folder: Path) -> list[list[str]]:
    release = str(evil_release(folder / "release"))
    region = folder / "region.geojson"
    ring = [[0, 0], [10, 0], [10, 10], [0, 0]]
    region.write_text(json.dumps({"type": "Polygon", "coordinates": [ring], "name": EVIL}))
    bank = folder / "bank.toml"
    bank.write_text(f'name = {json.dumps(EVIL)}\n[[concept]]\nid = "x"\nname = {json.dumps(EVIL)}\n')
    table = folder / "table.csv"
    table.write_text(f"photo,lat,lon\n{EVIL},1,2\n", encoding="utf-8")
    return [
        ["releases", "show", release],
        ["releases", "verify", release],
        ["releases", "remove", release, "--yes"],
        ["releases", "show", EVIL],
        ["locate", EVIL, "--region", str(region)],
        ["locate", "x.jpg", "--region", EVIL],
        ["locate", "x.jpg", "--release", EVIL],
        ["explain", EVIL, "--release", release],
        ["place", "1", "2", "--release", release],
        ["place", EVIL],
        ["map", EVIL],
        ["compare", EVIL, str(region)],
        ["concepts", "list", "--bank", str(bank)],
        ["concepts", "check", str(bank)],
        ["concepts", "show", EVIL],
        ["evaluate", str(table), "--predictions", EVIL],
        ["train", EVIL],
        ["probe", "--table", EVIL],
        [EVIL],
    ]


def test_no_command_lets_a_strangers_escape_through(tmp_path):
    home = tmp_path / ("home" + EVIL.replace("/", ""))
    for command in commands(tmp_path):
        done = whyhere(*command, env={"WHYHERE_HOME": str(home), "PYTHONIOENCODING": "utf-8"})
        said = done.stdout + done.stderr
        assert is_harmless(said), (command, said)
        assert b"Traceback" not in said, (command, said.decode())
        assert said


def test_what_is_escaped_in_json_is_still_the_same_json():
    text = json.dumps({"name": EVIL + "\n\u2028"}, ensure_ascii=False)
    assert json.loads(without_controls(text)) == json.loads(text)


@given(st.text())
def test_escaping_leaves_lines_and_nothing_else_that_acts(text):
    once = without_controls(text)
    assert once.count("\n") == text.count("\n")
    assert without_controls(once) == once
    assert once.encode("utf-8").decode("utf-8") == once


def test_colours_of_our_own_stay_on_a_terminal_and_hidden_text_does_not():
    ours = "\x1b[1;32mgreen\x1b[0m \x1b[38;5;208morange\x1b[0m"
    assert without_controls(ours, colour=True) == ours
    assert "\x1b" not in without_controls(ours)
    for theirs in ("\x1b[8mhidden", "\x1b[2Jclear", "\x1b]0;title\x07", "\x1b[1A"):
        assert "\x1b" not in without_controls(theirs, colour=True)


@pytest.mark.parametrize("encoding", ["latin1", "cp1252", "ascii", "utf-16"])
def test_json_is_utf8_whatever_the_terminal(encoding):
    done = whyhere("concepts", "list", "--format", "json", env={"PYTHONIOENCODING": encoding})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("utf-8"))


def test_text_degrades_where_the_encoding_does_not_know_it():
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin1", errors="backslashreplace")
    safe = _terminal.SafeText(stream, "standard output")
    safe.write("Malmö, 東京")
    safe.flush()
    assert stream.buffer.getvalue() == b"Malm\xf6, \\u6771\\u4eac"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_message():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "whyhere", "concepts", "list", "--format", "json"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.decode().startswith("whyhere: cannot write to standard output: No space left")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell")
@pytest.mark.parametrize(
    ("redirect", "said"),
    [(">&-", "standard output is closed"), ("<&-", ""), ("2>&-", ""), (">&- <&- 2>&-", "")],
)
def test_closed_streams(redirect, said):
    done = subprocess.run(
        f'"{sys.executable}" -m whyhere concepts list --json {redirect}',
        shell=True,
        capture_output=True,
        check=False,
    )
    assert b"Traceback" not in done.stderr
    assert said in done.stderr.decode()
    assert done.returncode == (1 if ">&-" in redirect.split(" ")[0] and redirect[0] == ">" else 0)


# ---- errors


def test_a_newline_in_a_name_makes_no_line():
    name = "x\nwhyhere: all is well\x1b[32m\r"
    assert _terminal.shown(UsageError(f"no {name}:", "  - one", "Remedy: none")).splitlines() == [
        "no x\\nwhyhere: all is well\\x1b[32m\\r:",
        "  - one",
        "Remedy: none",
    ]
    for arguments in (["locate", "x.jpg", "--release", name], ["concepts", "check", name]):
        done = whyhere(*arguments)
        assert done.returncode
        said = done.stderr.decode("utf-8")
        assert "all is well" in said
        assert not any(line.startswith("whyhere: all is well") for line in said.splitlines())


def test_errors_of_several_lines_read_as_one_text():
    assert str(MissingFileError("a is damaged:", "  - b", "Remedy: c")) == "a is damaged:\n  - b\nRemedy: c"
    assert str(PhotoError("a.jpg", "is empty")) == "a.jpg: is empty"


# ---- Ctrl-C before there is anything to interrupt

_SLOW_IMPORT = """
import sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "MODULE":
            print("importing", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Slow())
from whyhere.__main__ import main
sys.argv[1:] = ["locate", "gone.jpg"]
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("module", ["whyhere.cli", "typer", "whyhere.locator", "numpy"])
def test_ctrl_c_while_modules_are_loaded(tmp_path, module):
    code = _SLOW_IMPORT.replace("MODULE", module)
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    try:
        assert child.stdout.readline() == b"importing\n"
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=50)
    finally:
        child.kill()
    assert child.returncode == 130
    assert b"Traceback" not in said
    assert b"whyhere: interrupted" in said
