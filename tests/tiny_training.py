"""A tiny release to answer and train with: random weights, a tower of a few numbers, and photos for it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from planted import land_places
from whyhere.encoders import location_encoder_shapes

DIMS, CONCEPTS, SIZE_PX = 12, 5, 16


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def write_tiny_release(folder: Path, *, gallery: int = 300) -> Path:
    """Write a release whose parts all lie beside its configuration."""
    rng = np.random.default_rng(0)
    (folder / "parts").mkdir(parents=True)
    encoder = {
        name: (rng.standard_normal(shape) * (0.3 if name.endswith(".b") else shape[-1] ** -0.5)).astype(
            np.float32
        )
        for name, shape in location_encoder_shapes().items()
    }
    save_file(encoder, folder / "parts" / "location_encoder.safetensors")
    np.save(folder / "parts" / "gallery.npy", np.stack(land_places(gallery, rng=rng), axis=1))
    write_tower(folder / "parts" / "tower.onnx")
    directions = unit(rng.standard_normal((CONCEPTS, DIMS))).T.astype(np.float32)
    tensors = {
        "directions": directions,
        "patterns": directions,
        "head": rng.standard_normal((512, DIMS)),
        "feature_mean": np.zeros(DIMS),
        "location_mean": np.zeros(512),
        "spread": np.ones(CONCEPTS),
        "grounding": np.zeros((512, CONCEPTS)),
    }
    save_file(
        {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in tensors.items()},
        folder / "model.safetensors",
    )
    labels = [
        {"id": f"c{j}", "name": f"Concept {j}", "group": "water", "definition": "A test.", "source": "text"}
        for j in range(CONCEPTS)
    ]
    (folder / "concepts.json").write_text(json.dumps(labels))
    tower = {"file": "parts/tower.onnx", "views": 1, "size_px": SIZE_PX, "licence": "none, a test"}
    config = {
        "format_version": 1,
        "name": "tiny",
        "version": "1.0",
        "image_tower": tower,
        "location_encoder": {"folder": "parts"},
        "gallery": {"folder": "parts"},
        "alignment": {
            "kind": "linear",
            "concept_ids": [label["id"] for label in labels],
            "scale": 10.0,
            "penalty": 0.1,
        },
        "ranking": {"temperature": 1.0, "cell_resolution": 3, "radius_km": 300.0, "abstain_below": 0.0},
        "card": {"summary": "A test.", "accuracy": "None.", "limits": ["All."], "attribution": ["Nobody."]},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "MODEL_CARD.md").write_text("# tiny\n")
    return folder


def write_tower(path: Path) -> None:
    """Write an ONNX image tower that is one matrix."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    matrix = np.random.default_rng(1).standard_normal((3 * SIZE_PX * SIZE_PX, DIMS)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["pixel_values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["image_embeds"]),
    ]
    shape = ["n", 3, SIZE_PX, SIZE_PX]
    graph = helper.make_graph(
        nodes,
        "tower",
        [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("image_embeds", TensorProto.FLOAT, ["n", DIMS])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)


def write_table(path: Path, *, count: int = 60, header: str = "file,lat,lon", seed: int = 3) -> np.ndarray:
    """Write a table of places on land and return unit features that belong to its rows."""
    rng = np.random.default_rng(seed)
    lat, lon = land_places(count, rng=rng)
    rows = "\n".join(f"{i}.png,{y},{x}" for i, (y, x) in enumerate(zip(lat, lon, strict=True)))
    path.write_text(f"{header}\n{rows}\n")
    signal = np.stack((np.sin(np.radians(lat)), np.cos(np.radians(lon)), np.sin(np.radians(lon))), axis=1)
    features = signal @ rng.standard_normal((3, DIMS)) + 0.3 * rng.standard_normal((count, DIMS))
    return unit(features).astype(np.float32)


def write_photos(folder: Path, *, count: int = 60) -> None:
    """Write photos of random colours under the names of `write_table`."""
    folder.mkdir()
    rng = np.random.default_rng(4)
    for i in range(count):
        Image.fromarray(rng.integers(0, 256, (24, 30, 3), np.uint8)).save(folder / f"{i}.png")
