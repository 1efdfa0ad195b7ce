"""Nothing leaves the machine: every command and the library, watched from outside.

`strace` sees what Python cannot, such as threads of a library written in C++. Without it, Python's own audit
events and a look at the home directory must do.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from attacks.every_command import COMMANDS, FETCHES, write_inputs
from whyhere.cli import app

pytestmark = pytest.mark.torch
DRIVER = Path(__file__).with_name("every_command.py")
CALLS = "socket,connect,sendto,sendmsg,sendmmsg,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2"
CALL = re.compile(r"\b(?:open|openat|creat|mkdir|mkdirat|rename|renameat|renameat2)\(")
AUDIT = """
import os, runpy, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        os.write(log, f"network {event} {arguments[1:]}\\n".encode())
    elif event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR) and not isinstance(arguments[0], int):
        os.write(log, f"write {os.path.abspath(os.fsdecode(arguments[0]))}\\n".encode())
sys.addaudithook(hook)
del sys.argv[:2]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def commands_of(group, prefix=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands_of(command, f"{prefix}{name} ")
        else:
            yield prefix + name


def written_paths(log, cwd):
    """Files and directories that the calls in a log of `strace -y` make, open for writing or rename."""
    for line in log.splitlines():
        if not CALL.search(line) or " = -1 " in line:
            continue
        if re.search(r"\b(open|openat)\(", line) and not re.search(r"O_(WRONLY|RDWR|CREAT)", line):
            continue
        for folder, name in re.findall(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"', line):
            yield os.path.normpath(os.path.join(cwd, folder, name))  # noqa: PTH118 - of paths that need not exist


def test_the_log_is_read_as_strace_writes_it():
    log = (
        '7 openat(AT_FDCWD</x>, "a", O_RDONLY|O_CLOEXEC) = 3</x/a>\n'
        '7 openat(AT_FDCWD</x>, "b", O_WRONLY|O_CREAT|O_TRUNC, 0666 <unfinished ...>\n'
        '7 openat(6</x/y>, "c", O_RDWR) = 3</x/y/c>\n'
        '7 mkdir("/d", 0777) = -1 EEXIST (File exists)\n'
        '7 rename("e", "/x/../f") = 0\n'
    )
    assert list(written_paths(log, "/x")) == ["/x/b", "/x/y/c", "/x/e", "/f"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
@pytest.mark.skipif(sys.platform == "darwin", reason="temporary files lie elsewhere there")
def test_no_socket_and_no_file_where_none_belongs(tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    everything = set(commands_of(typer.main.get_command(app)))
    covered = {c for c in everything if re.search(rf"^{c}( |$)", COMMANDS, flags=re.MULTILINE)}
    assert everything - covered == FETCHES  # a new command belongs into every_command.py
    places = {name: tmp_path / name for name in ("home", "tmp", "cache")}
    for place in places.values():
        place.mkdir()
    write_inputs(tmp_path)
    environment = {
        **{key: os.environ[key] for key in os.environ.keys() - {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}},
        "HOME": str(places["home"]),
        "TMPDIR": str(places["tmp"]),
        "WHYHERE_HOME": str(places["cache"]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    log = tmp_path / "watched.log"
    strace = shutil.which("strace")
    command = [sys.executable, str(DRIVER), str(tmp_path)]
    if strace:
        command = [strace, "-f", "-qq", "-y", "-s", "4096", f"--output={log}", f"--trace={CALLS}", *command]
        apart = ["unshare", "--map-root-user", "--net"]
        if shutil.which("unshare") and subprocess.run([*apart, "true"], capture_output=True).returncode == 0:
            command = [*apart, *command]  # what tries to call home fails, and is seen trying
    else:
        command = [sys.executable, "-c", AUDIT, str(log), *command[1:]]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    codes = json.loads((tmp_path / "out" / "codes.json").read_text())
    assert {line: code for line, code in codes.items() if code} == {}, done.stderr[-3000:]
    seen = log.read_text(errors="replace")
    if strace:
        calls = re.compile(r"\b(?:socket|connect|send\w+)\(.*(?:AF_INET|AF_NETLINK|AF_PACKET)")
        network = [line for line in seen.splitlines() if calls.search(line)]
        written = set(written_paths(seen, tmp_path))
    else:
        network = [line for line in seen.splitlines() if line.startswith("network ")]
        written = {line.removeprefix("write ") for line in seen.splitlines() if line.startswith("write ")}
    assert network == []
    allowed = (*(str(tmp_path / name) for name in ("tmp", "cache", "out")), "/dev/", "/proc/", str(log))
    assert sorted(path for path in written if not path.startswith(allowed)) == []
    assert len([path for path in written if path.startswith(str(tmp_path / "out"))]) > 20  # it did see
    assert list(places["home"].rglob("*")) == []
    assert [path for path in places["tmp"].rglob("*") if path.is_file()] == []
