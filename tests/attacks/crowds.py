"""Several processes at once on one cache: empty, half-filled, read-only and full.

Usage: crowds.py PROCESSES, in a process of its own, which forks. Prints as JSON, for each state of the cache,
how the processes ended and whether all that ended well have the same answer.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

STATES = ("empty", "half-filled", "read-only", "full")


def crowd(processes: int) -> dict[str, dict[str, Any]]:
    """Open a gallery from several processes at once, for each state of the cache.

    Returns:
        For each of `STATES`, `statuses` (exit codes, 0 done, 3 refused with a message), `same` (whether all
        that ended well got the right embeddings) and `left_behind` (temporary files).
    """
    from attacks.kills import finished, in_child
    from tiny_training import write_tiny_release
    from whyhere.gallery import open_gallery

    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="whyhere-crowd-") as name:
        root = Path(name)
        root.chmod(0o755)
        parts = write_tiny_release(root / "mine", gallery=400) / "parts"
        files = parts / "gallery.npy", parts / "location_encoder.safetensors"
        for file in files:
            file.chmod(0o644)  # for whom root becomes where the cache is read-only

        def work(folder: Path) -> None:
            state = folder.name
            if state == "full":
                import resource

                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            if state == "read-only" and os.geteuid() == 0:
                os.seteuid(65534)
            gallery = open_gallery(*files, folder / "cache")
            digest = hashlib.sha256(gallery.embeddings.tobytes()).hexdigest()
            if state != "full":
                (folder / "answers" / str(os.getpid())).write_text(digest)

        for state in STATES:
            folder = root / state
            (folder / "answers").mkdir(parents=True)
            (folder / "answers").chmod(0o777)
            whole = "0"
            if state != "full":
                with_answer = open_gallery(*files, folder / "cache")
                whole = hashlib.sha256(with_answer.embeddings.tobytes()).hexdigest()
                (bank,) = (folder / "cache").glob("[0-9a-f]*")
                if state == "read-only":
                    (folder / "cache").chmod(0o555)
                else:
                    (bank / "embeddings.npy").unlink()
                    if state == "empty":
                        (bank / "manifest.json").unlink()
                        bank.rmdir()
                    else:
                        (bank / "embeddings.npy").write_bytes(bytes(1000))
            children = [in_child(work, folder) for _ in range(processes)]
            statuses = [finished(child) for child in children]
            answers = {path.read_text() for path in (folder / "answers").iterdir()}
            found[state] = {
                "statuses": statuses,
                "same": answers <= {whole},
                "left_behind": [path.name for path in (folder / "cache").glob(".*.partial")],
            }
    return found


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parent.parent)]
    print(json.dumps(crowd(int(sys.argv[1]))))
