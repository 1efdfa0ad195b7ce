"""The real `huggingface_hub` against a hub on this machine that breaks off: what was downloaded is kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clip_folder import TEXT, write_clip_folder
from whyhere import releases
from whyhere.errors import MissingFileError
from whyhere.releases import ASSETS, SourceFile

pytest.importorskip("huggingface_hub")

REPO, REVISION = "someone/clip", "c" * 40
NAMES = ("model.safetensors", "config.json", "vocab.json", "merges.txt")


class Hub(BaseHTTPRequestHandler):
    """Serves files as the hub does, for ordinary (not chunk-deduplicated) storage."""

    folder: Path
    ranges: list[str]
    break_off = True

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._headers(self._data())

    def do_GET(self) -> None:
        data = self._data()
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        if asked:
            type(self).ranges.append(asked)
        self._headers(data, start)
        if type(self).break_off and self.path.endswith("model.safetensors"):
            self.wfile.write(data[start : len(data) * 2 // 3])  # and then the line is cut
            self.close_connection = True
            return
        self.wfile.write(data[start:])

    def _data(self) -> bytes:
        return (self.folder / self.path.rpartition("/")[2]).read_bytes()

    def _headers(self, data: bytes, start: int = 0) -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", REVISION)
        self.end_headers()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    # Larger than the 10 MB that the hub's client takes at a time.
    write_clip_folder(tmp_path / "served", text=dataclasses.replace(TEXT, vocabulary=300_000))
    handler = type("OneHub", (Hub,), {"folder": tmp_path / "served", "ranges": [], "break_off": True})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("WHYHERE_HOME", str(tmp_path / "home"))
    yield handler
    server.shutdown()
    server.server_close()


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub: type[Hub], tmp_path: Path) -> None:
    files = []
    for name in NAMES:
        data = (tmp_path / "served" / name).read_bytes()
        files.append(SourceFile(name, len(data), hashlib.sha256(data).hexdigest()))
    real = ASSETS["clip-vit-l14"]
    source = dataclasses.replace(real.hub, repo=REPO, revision=REVISION, files=tuple(files))
    assets = {real.name: dataclasses.replace(real, hub=source)}
    release = releases.resolve("geoclip-l14")
    part = release.config.text_tower
    config = dataclasses.replace(release.config, location_encoder=part, gallery=part, image_head=part)
    release = dataclasses.replace(release, config=config)
    with pytest.raises(MissingFileError, match="--from"):
        releases.fetch(release, assets=assets)
    kept = tmp_path / "home" / "downloads" / real.name / "model.safetensors.part"
    have = kept.stat().st_size
    assert 0 < have < files[0].size
    assert not (tmp_path / "home" / "assets" / real.name).exists()
    hub.break_off, hub.ranges = False, []
    releases.fetch(release, assets=assets)
    assert hub.ranges[0] == f"bytes={have}-{files[0].size - 1}" or hub.ranges[0] == f"bytes={have}-"
    assert not kept.parent.exists()
    manifest = json.loads((tmp_path / "home" / "assets" / real.name / "manifest.json").read_text())
    assert manifest["source"]["published"] == "yes"
    assert releases.missing(release, assets=assets) == {}
