"""One side of `against_geoclip.py`, in a process of its own; commands come in, one JSON line each goes out.

    python _answer_worker.py whyhere|openvino|geoclip SETTINGS

SETTINGS is JSON: `release` (directory) for whyhere; `package` (folder of the unpacked wheel), `clip` (model
folder) and `places` (.npy of latitudes and longitudes) for geoclip; `threads` for both. Commands are one
word and paths, with tabs between: "load", "answer PHOTO", "batch PHOTO PHOTO ...", "quit". A reply says the
seconds it took by the clock and in processor time, the processor time and the largest memory of the process
so far, and the best places.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = Callable[[list[str]], list[tuple[float, float]]]


def whyhere_side(settings: dict[str, Any]) -> tuple[Answer, Answer]:
    """Load whyhere: how to answer one photo, and many; each gives the best-scoring places."""
    from whyhere import Locator

    locator = Locator.from_release(settings["release"], threads=settings["threads"])

    def places(predictions: Any) -> list[tuple[float, float]]:  # noqa: ANN401
        return [(found.answers[0].lat, found.answers[0].lon) for found in predictions]

    return (
        lambda photos: places([locator.locate(photos[0])]),
        lambda photos: places(locator.locate_many(photos)),
    )


def geoclip_side(settings: dict[str, Any]) -> tuple[Answer, Answer]:
    """Load the package: its own `predict`, and its `forward` for a batch, which embeds the gallery once."""
    import importlib
    import types

    import numpy as np
    import torch

    if settings["threads"]:
        torch.set_num_threads(settings["threads"])
    # The package's own __init__ imports its training code, which wants torchvision.
    package = types.ModuleType("geoclip")
    package.__path__ = [str(Path(settings["package"]) / "geoclip")]
    sys.modules["geoclip"] = package
    encoder = importlib.import_module("geoclip.model.image_encoder")
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    def processor(*_: object, **__: object) -> Any:  # noqa: ANN401 - of transformers
        return CLIPImageProcessorPil()  # the same numbers without torchvision

    encoder.AutoProcessor = types.SimpleNamespace(from_pretrained=processor)
    model = importlib.import_module("geoclip.model").GeoCLIP(clip_path=settings["clip"]).eval()
    model.gps_gallery = torch.from_numpy(np.load(settings["places"]).astype(np.float32))
    if torch.cuda.is_available():
        model = model.to("cuda")

    def one(photos: list[str]) -> list[tuple[float, float]]:
        places, _ = model.predict(photos[0], 5)
        return [tuple(places[0].tolist())]

    def many(photos: list[str]) -> list[tuple[float, float]]:
        from PIL import Image

        opened = [model.image_encoder.preprocess_image(Image.open(path).convert("RGB")) for path in photos]
        device = model.logit_scale.device
        with torch.no_grad():
            logits = model(torch.cat(opened).to(device), model.gps_gallery)
            best = logits.softmax(dim=-1).argmax(dim=1)
        return [tuple(place) for place in model.gps_gallery[best].cpu().tolist()]

    return one, many


def peak_mb() -> float:
    """Largest memory of this process, MB.

    Linux counts in `ru_maxrss` what the process that started this one held, so its own record goes first.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        if lines:
            return int(lines[0].split()[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def main() -> None:
    """Serve commands until told to quit."""
    side, settings = sys.argv[1], json.loads(sys.argv[2])
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    one: Answer | None = None
    many: Answer | None = None
    for line in sys.stdin:
        command, *photos = line.rstrip("\n").split("\t")
        if command == "quit":
            return
        wall, used = time.perf_counter(), time.process_time()
        if one is None or many is None:
            one, many = geoclip_side(settings) if side == "geoclip" else whyhere_side(settings)
        places = {"load": lambda _: [], "answer": one, "batch": many}[command](photos)
        reply = {
            "wall_s": time.perf_counter() - wall,
            "processor_s": time.process_time() - used,
            "processor_s_so_far": time.process_time(),
            "peak_mb": peak_mb(),
            "places": places,
        }
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
