"""Gets the model folder that some assets are made from: the user's own, or the hub's at a pinned revision."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path

from whyhere._io import home, sha256_of
from whyhere.errors import MissingFileError
from whyhere.releases._assets import Asset, FolderSource
from whyhere.releases._child import size_of
from whyhere.releases._sources import Progress, SourceError, run_program

# Run by a process of its own. `hf_hub_download` starts again from nothing where an earlier process was
# interrupted; so its own request is made here, on a file that stays, for the bytes that are missing.
_PROGRAM = """
import json, sys
from pathlib import Path
from huggingface_hub import hf_hub_url, try_to_load_from_cache
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers
repo, revision, answer, downloads, *files = sys.argv[1:]
found = []
for file, size in zip(files[::2], map(int, files[1::2])):
    cached = try_to_load_from_cache(repo, file, revision=revision)
    path = Path(cached) if isinstance(cached, str) else Path(downloads, file)
    if not path.is_file():
        part = path.with_name(file + ".part")
        have = part.stat().st_size if part.is_file() else 0
        with part.open("ab" if have < size else "wb") as stream:
            http_get(
                hf_hub_url(repo, file, revision=revision),
                stream,
                resume_size=stream.tell(),
                headers=build_hf_headers(),
                expected_size=size,
            )
        part.rename(path)
    found.append(str(path))
Path(answer).write_text(json.dumps(found), encoding="utf-8")
"""


def from_model_folder(
    asset: Asset, stage: Path, built: Path, progress: Progress, *, given: Path | None, weights: str
) -> dict[str, str]:
    """Fill `built` from a model folder.

    Args:
        asset: What to make; it has a `FolderSource`.
        stage: Directory for work in progress.
        built: Empty directory to fill.
        progress: Told about each step.
        given: The user's folder; None asks the hub.
        weights: How matrices are stored, "float32" or "8-bit".

    Returns:
        Which source gave it, for the manifest; `published` tells whether the weights are the pinned ones.

    Raises:
        MissingFileError: The folder or the hub did not give the right files; the message has the remedy.
    """
    source = asset.folder
    assert source is not None
    main = source.files[0]
    if given is None:
        folder = _from_hub(asset, source, stage, progress)
        digest, origin = main.sha256, f"{source.repo} at {source.revision}"
    else:
        folder = given.expanduser().absolute()
        file = folder / main.path
        if not file.is_file():
            raise MissingFileError(f"{folder}: holds no {main.path}. {_remedy(asset, source)}")
        size = file.stat().st_size
        digest = sha256_of(file, lambda done: progress(f"reading {main.path}", done, size))
        origin = str(folder)
    progress(f"converting {asset.name}", 0, None)
    source.convert(folder, built, weights)
    shutil.rmtree(_downloads(asset), ignore_errors=True)
    return {
        "kind": "hub" if given is None else "folder",
        "from": origin,
        "sha256": digest,
        "through": "huggingface_hub" if given is None else "--from",
        "weights": weights,
        "published": "yes" if digest == main.sha256 else "no",
    }


def _from_hub(asset: Asset, source: FolderSource, stage: Path, progress: Progress) -> Path:
    """Return a folder with the files, each checked; they lie in the hub's cache or among the downloads."""
    try:
        if importlib.util.find_spec("huggingface_hub") is None:
            raise SourceError('huggingface_hub is not installed: pip install "whyhere[hub]"')
        files = _download(asset, source, stage, progress)
        for path, wanted in zip(files, source.files, strict=True):

            def told(done: int, name: str = wanted.path, size: int = wanted.size) -> None:
                progress(f"checking {name}", done, size)

            found = sha256_of(path, told)
            if found != wanted.sha256:
                if path.parent == _downloads(asset):
                    path.unlink()  # else the next fetch would find it again
                raise SourceError(
                    f"wrong checksum: {wanted.path} has SHA-256 {found}, and {wanted.sha256} was expected"
                )
    except SourceError as error:
        raise MissingFileError(
            f"{asset.name} ({asset.summary}) could not be fetched:",
            f"  - {source.repo} on the Hugging Face hub: {error}",
            _remedy(asset, source),
        ) from error
    folders = {path.parent for path in files}
    if len(folders) == 1:
        return folders.pop()
    folder = stage / "model"  # some of them were in the hub's cache already
    folder.mkdir()
    for path in files:
        shutil.copyfile(path, folder / path.name)
    return folder


def _downloads(asset: Asset) -> Path:
    """Where the files of an asset lie until it is made: kept when a download breaks off."""
    return home() / "downloads" / asset.name


def _download(asset: Asset, source: FolderSource, stage: Path, progress: Progress) -> list[Path]:
    scratch, downloads = stage / "hub", _downloads(asset)
    scratch.mkdir()
    downloads.mkdir(parents=True, exist_ok=True)
    names = {file.path for file in source.files}
    for leftover in downloads.iterdir():
        if leftover.name.removesuffix(".part") not in names:  # of another pin
            leftover.unlink()
    answer = scratch / "answer.json"
    task = f"downloading {source.repo} from the hub"

    def poll() -> None:
        progress(task, min(size_of(downloads), source.size), source.size)

    poll()
    command = [
        sys.executable,
        "-P",
        "-c",
        _PROGRAM,
        source.repo,
        source.revision,
        str(answer),
        str(downloads),
    ]
    for file in source.files:
        command += [file.path, str(file.size)]
    settings = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    run_program(command, scratch, settings, poll)
    return [Path(path) for path in json.loads(answer.read_text(encoding="utf-8"))]


def _remedy(asset: Asset, source: FolderSource) -> str:
    names = " ".join(file.path for file in source.files)
    return (
        "Remedy: connect and fetch again (what has been downloaded is kept), or on a machine with network "
        "run\n"
        f"  hf download {source.repo} {names} --revision {source.revision} --local-dir {asset.name}\n"
        "carry the folder over, and run here\n"
        f"  whyhere releases fetch {source.release} --from {asset.name}"
    )
