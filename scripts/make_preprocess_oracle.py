"""Write the numbers that `tests/images/test_preprocess.py` compares with where `transformers` is absent.

Run it with `transformers` (5.23 made the committed file) and its PIL backend installed:

    python scripts/make_preprocess_oracle.py tests/images/preprocess_oracle.json

It stores, for pictures made by `synthetic_image`, a few pixels of what CLIP's own processor returns.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZES = [
    (640, 480),
    (333, 517),
    (224, 224),
    (225, 224),
    (2000, 301),
    (97, 1031),
    (31, 17),
    (1, 1),
    (1, 50),
    (7, 3),
]
SAMPLES = [
    (0, 0, 0),
    (1, 0, 223),
    (2, 223, 0),
    (0, 223, 223),
    (1, 112, 112),
    (2, 57, 190),
    (0, 190, 57),
    (1, 13, 101),
]


def synthetic_image(width: int, height: int) -> Image.Image:
    """Return an RGB picture with smooth and sharp parts, from integer arithmetic only."""
    x, y, channel = np.meshgrid(np.arange(width), np.arange(height), np.arange(3), indexing="xy")
    smooth = x * 200 // max(width, 2) + y * 50 // max(height, 2)
    sharp = ((x * 7 + y * 13 + channel * 29) ^ (x * y >> 3)) % 97
    return Image.fromarray(((smooth + sharp + channel * 11) % 256).astype(np.uint8))


def clip_processor(**options: Any) -> Any:  # noqa: ANN401 - a class of an optional package
    """Return CLIP's processor on the PIL backend, with OpenAI's settings as its defaults."""
    try:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as Processor
    except ImportError:  # before transformers 5 the PIL backend had the plain name
        from transformers import CLIPImageProcessor as Processor
    return Processor(**options)


def reference_pixels(image: Image.Image) -> NDArray[np.float32]:
    """Return what CLIP's processor makes of an image, float32 of shape (3, 224, 224)."""
    pixels: NDArray[np.float32] = clip_processor()(images=image, return_tensors="np")["pixel_values"][0]
    return pixels


def main() -> None:
    """Write the oracle file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    output: Path = parser.parse_args().output
    cases = []
    for width, height in SIZES:
        pixels = reference_pixels(synthetic_image(width, height))
        samples = [[*index, float(pixels[index])] for index in SAMPLES]
        means = [float(pixels[channel].mean(dtype=np.float64)) for channel in range(3)]
        cases.append({"width": width, "height": height, "means": means, "samples": samples})
    rows = ",\n".join(json.dumps(case) for case in cases)
    output.write_text(f"[\n{rows}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
