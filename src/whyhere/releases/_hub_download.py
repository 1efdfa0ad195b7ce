"""Downloads files of the Hugging Face hub: a program of its own, so that it can be watched and ended.

Usage: _hub_download.py REPO REVISION ANSWER DOWNLOADS (FILE BYTES)...; writes the files' paths to ANSWER.
`hf_hub_download` starts again from nothing where an earlier process was interrupted; so its own request is
made here, on a file that stays, for the bytes that are missing.
"""

import json
import sys
from pathlib import Path

from huggingface_hub import hf_hub_url, try_to_load_from_cache
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # not in its __all__


def main(repo: str, revision: str, answer: str, downloads: str, *files: str) -> None:
    """Get what is neither in the hub's cache nor among the downloads."""
    found = []
    for file, size in zip(files[::2], map(int, files[1::2]), strict=True):
        cached = try_to_load_from_cache(repo, file, revision=revision)
        path = Path(cached) if isinstance(cached, str) else Path(downloads, file)
        if not path.is_file():
            part = path.with_name(file + ".part")
            have = part.stat().st_size if part.is_file() else 0
            with part.open("ab" if have < size else "wb") as stream:
                url, done = hf_hub_url(repo, file, revision=revision), stream.tell()
                http_get(url, stream, resume_size=done, headers=build_hf_headers(), expected_size=size)
            part.rename(path)
        found.append(str(path))
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
