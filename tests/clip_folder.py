"""Model folders for tests: random CLIP models, vocabularies and GeoCLIP releases in their true formats."""

from __future__ import annotations

import csv
import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from whyhere.encoders import TextConfig, ViTConfig, location_encoder_shapes, text_weight_shapes, weight_shapes

VISION = ViTConfig(hidden=24, mlp=40, layers=2, heads=3, patch=32, image_size=224, projection=768)
TEXT = TextConfig(hidden=24, mlp=48, layers=2, heads=4, vocabulary=700, positions=77, projection=768)

_CORPUS = (
    "a photo of a beach in the tropics a street view photo of a mountain the landscape with palm trees "
    "houses and roads near the coast it's snow on the roofs they're walking along the river don't we'll"
)


def byte_letters() -> list[str]:
    """The printable stand-ins of the bytes, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(256 - len(printable))]


def vocabulary(count: int = 100) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary in CLIP's layout, with merges learned from a few sentences."""
    words = [[*word[:-1], word[-1] + "</w>"] for word in _CORPUS.split()]
    merges = []
    while len(merges) < count:
        pairs = Counter(pair for word in words for pair in pairwise(word))
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = [best[0] + best[1]]
                at += 1
    letters = byte_letters()
    tokens = letters + [letter + "</w>" for letter in letters] + [a + b for a, b in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return {token: number for number, token in enumerate(tokens)}, merges


def write_vocabulary(folder: Path, count: int = 100) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tokens, merges = vocabulary(count)
    (folder / "vocab.json").write_text(json.dumps(tokens), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def random_tensors(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, np.ndarray]:
    """Weights of a size that keeps activations alive: matrices by their fan-in, norms around one."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = rng.standard_normal(shape, np.float32)
        if "norm" in name and name.endswith("weight"):
            tensors[name] = 1 + values * np.float32(0.1)
        elif len(shape) < 2 or "embedding" in name:
            tensors[name] = values * np.float32(0.1)
        else:
            tensors[name] = values * np.float32(np.prod(shape[1:]) ** -0.5)
    return tensors


def write_clip_folder(
    folder: Path,
    *,
    vision: ViTConfig = VISION,
    text: TextConfig = TEXT,
    seed: int = 0,
    dtype: type = np.float32,
) -> dict[str, np.ndarray]:
    """Write a CLIP model in the layout of the hub, as `transformers` reads it; return its weights."""
    write_vocabulary(folder)
    tensors = random_tensors(weight_shapes(vision) | text_weight_shapes(text), seed)
    tensors["logit_scale"] = np.array(2.0, np.float32)
    tensors = {name: array.astype(dtype) for name, array in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "model_type": "clip",
        "architectures": ["CLIPModel"],
        "projection_dim": vision.projection,
        "vision_config": {
            "model_type": "clip_vision_model",
            "hidden_size": vision.hidden,
            "intermediate_size": vision.mlp,
            "num_hidden_layers": vision.layers,
            "num_attention_heads": vision.heads,
            "patch_size": vision.patch,
            "image_size": vision.image_size,
            "projection_dim": vision.projection,
            "hidden_act": "quick_gelu" if vision.quick_gelu else "gelu",
        },
        "text_config": {
            "model_type": "clip_text_model",
            "hidden_size": text.hidden,
            "intermediate_size": text.mlp,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "vocab_size": text.vocabulary,
            "max_position_embeddings": text.positions,
            "projection_dim": text.projection,
            "hidden_act": "quick_gelu" if text.quick_gelu else "gelu",
            "bos_token_id": vocabulary()[0]["<|startoftext|>"],
            "eos_token_id": vocabulary()[0]["<|endoftext|>"],
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return tensors


def gallery_points(count: int = 400, seed: int = 5) -> np.ndarray:
    """Places all over the Earth, rounded as a CSV file has them; [n, 2] of lat, lon."""
    rng = np.random.default_rng(seed)
    lat = np.degrees(np.arcsin(rng.uniform(-0.99, 0.99, count)))
    return np.stack([lat, rng.uniform(-180, 180, count)], axis=1).round(5)


def write_geoclip_release(folder: Path, *, points: np.ndarray | None = None, seed: int = 1) -> None:
    """Write a release folder of the `geoclip` package with random weights of the true shapes."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder = random_tensors(location_encoder_shapes(), seed)
    rng = np.random.default_rng(seed)
    for number, sigma in enumerate((1, 16, 256)):  # the frequencies are of the scales that GeoCLIP uses
        name = f"LocEnc{number}.capsule.0.b"
        encoder[name] = (rng.standard_normal(encoder[name].shape) * sigma).astype(np.float32)
    head = {"0.weight": (768, 768), "0.bias": (768,), "2.weight": (512, 768), "2.bias": (512,)}
    tensors = {f"location_encoder.{name}": array for name, array in encoder.items()}
    tensors |= {f"image_encoder.mlp.{name}": array for name, array in random_tensors(head, seed + 1).items()}
    tensors["logit_scale"] = np.array(3.68, np.float32)
    save_file(tensors, folder / "model.safetensors")
    with (folder / "places.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("LAT", "LON"), *(gallery_points() if points is None else points)])
    config = {
        "model_type": "geoclip-geolocation",
        "format_version": 1,
        "backbone": {
            "repo_id": "openai/clip-vit-large-patch14",
            "revision": "32bd64288804d66eefd0ccbe215aa642df71cc41",
        },
        "sigma": [1, 16, 256],
        "gallery_file": "places.csv",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
