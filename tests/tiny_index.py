"""A package index of our own with one tiny wheel in the true layout, and a way to fetch from it."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

MEMBERS = {"tinyweights/data/weights.bin": 600_000, "tinyweights/notes.txt": 20}
WHEEL_NAME = "tinyweights-1.0-py3-none-any.whl"
# Another Python than this one: only files are wanted, so it must not matter.
PYTHONS = "==3.13.*" if sys.version_info[:2] != (3, 13) else "==3.12.*"
CONFIG: dict[str, Any] = {
    "format_version": 1,
    "name": "small",
    "version": "0.1.0",
    "image_tower": {"asset": "tiny", "views": 1},
    "location_encoder": {"asset": "tiny"},
    "gallery": {"asset": "tiny"},
    "alignment": {},
    "ranking": {"temperature": 0.1},
    "card": {"summary": "For tests.", "accuracy": "None.", "limits": ["All."], "attribution": ["Nobody."]},
}


def make_wheel(path: Path, *, seed: int = 0, leave_out: str = "") -> dict[str, Any]:
    """Write a wheel and return how `WheelSource` describes it."""
    random = np.random.default_rng(seed)
    contents = {name: random.bytes(size) for name, size in MEMBERS.items() if name != leave_out}
    info = "tinyweights-1.0.dist-info"
    contents["tinyweights/__init__.py"] = b"raise SystemExit('nothing of the wheel may ever run')\n"
    metadata = f"Metadata-Version: 2.1\nName: tinyweights\nVersion: 1.0\nRequires-Python: {PYTHONS}\n"
    contents[f"{info}/METADATA"] = metadata.encode()
    contents[f"{info}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    rows = []
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}")
    contents[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,"]) + "\n").encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return {
        "project": "tinyweights",
        "version": "1.0",
        "python": PYTHONS[2:6],
        "size": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "members": [
            {"path": name, "size": size, "sha256": hashlib.sha256(contents.get(name, b"")).hexdigest()}
            for name, size in MEMBERS.items()
        ],
    }


@dataclass
class Index:
    """An HTTP package index; `hold` stops it in the middle of the wheel until set."""

    wheel: Path
    url: str = ""
    downloads: int = 0
    hold: threading.Event = field(default_factory=threading.Event)
    halfway: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    folder = tmp_path / "index"
    folder.mkdir()
    state = Index(folder / WHEEL_NAME)
    state.hold.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.rstrip("/") == "/simple/tinyweights":
                link = f'<a href="/files/{WHEEL_NAME}" data-requires-python="{PYTHONS}">{WHEEL_NAME}</a>'
                body = link.encode()
                self._start("text/html", len(body))
                self.wfile.write(body)
            elif self.path == f"/files/{WHEEL_NAME}":
                state.downloads += 1
                body = state.wheel.read_bytes()
                self._start("application/octet-stream", len(body))
                half = len(body) // 2
                try:
                    self.wfile.write(body[:half])
                    state.halfway.set()
                    state.hold.wait(60)
                    self.wfile.write(body[half:])
                except OSError:
                    self.close_connection = True  # the client was killed, as some tests mean it to be
            else:
                self.send_error(404)

        def _start(self, kind: str, length: int) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length))
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}/simple"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield state
    state.hold.set()
    server.shutdown()
    server.server_close()
    thread.join(10)


@dataclass
class Fetcher:
    """Runs `fetch_once.py` with an environment that holds nothing of this machine's pip settings."""

    folder: Path
    plan: dict[str, Any]
    environment: dict[str, str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return Path(self.environment["WHYHERE_HOME"])

    @property
    def asset(self) -> Path:
        return self.home / "assets" / "tiny"

    def start(self, **changes: Any) -> subprocess.Popen[str]:
        path = self.folder / f"plan{len(self.processes)}.json"
        path.write_text(json.dumps({**self.plan, **changes}), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fetch_once.py")), str(path)],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self, **changes: Any) -> tuple[int, str, str]:
        process = self.start(**changes)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err

    def leftovers(self) -> list[str]:
        """Everything below home except finished assets, locks and empty directories."""
        found = [path.relative_to(self.home).as_posix() for path in self.home.rglob("*") if path.is_file()]
        return [name for name in found if not name.startswith(("assets/tiny/", "locks/", ".checksums.json"))]

    def wait_for_children_to_end(self, process: subprocess.Popen[str]) -> bool:
        """Whether no process with our home in its environment is left, within a few seconds."""
        needle = f"WHYHERE_HOME={self.home}".encode()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if not _processes_with(needle, process.pid):
                return True
            time.sleep(0.1)
        return False


def _processes_with(needle: bytes, but: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if needle in environment.split(b"\0") and int(entry.name) not in (but, os.getpid()):
            found.append(int(entry.name))
    return found


@pytest.fixture
def fetcher(tmp_path: Path, index: Index) -> Iterator[Fetcher]:
    release = tmp_path / "release"
    release.mkdir()
    (release / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    ignored = ("PIP_", "UV_", "HF_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PYTHON", "COV_")
    environment = {k: v for k, v in os.environ.items() if not k.upper().startswith(ignored)}
    environment |= {
        "WHYHERE_HOME": str(tmp_path / "home"),
        "PATH": str(tmp_path / "bin"),  # no uv, unless a test puts one there
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": index.url,
        "PIP_NO_CACHE_DIR": "1",
        "PIP_RETRIES": "0",
        "UV_NO_CONFIG": "1",
        "UV_DEFAULT_INDEX": index.url,
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    plan = {"wheel": make_wheel(index.wheel), "release": str(release)}
    state = Fetcher(tmp_path, plan, environment)
    yield state
    index.hold.set()
    for process in state.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
