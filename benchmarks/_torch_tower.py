"""The same CLIP image tower in torch, for comparison; and its weights, read back from ours or random."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyhere.encoders import ViTConfig, weight_shapes
from whyhere.encoders import _onnx as fmt

Array = NDArray[np.float32]


def random_state(config: ViTConfig) -> dict[str, Array]:
    """Random weights of the true shapes: matrices by their fan-in, norms around one."""
    rng = np.random.default_rng(0)
    state = {}
    for name, shape in weight_shapes(config).items():
        values = rng.standard_normal(shape, np.float32)
        if "norm" in name and name.endswith("weight"):
            state[name] = 1 + values * np.float32(0.1)
        else:
            small = len(shape) < 2 or "position" in name or "class" in name
            state[name] = values * np.float32(0.1 if small else np.prod(shape[1:]) ** -0.5)
    return state


def state_of_onnx(path: Path, config: ViTConfig) -> dict[str, Array]:
    """Read the weights of a float32 tower of whyhere back, by their names in `transformers`."""
    arrays = _initialisers(path)
    scale = np.float32((config.hidden // config.heads) ** -0.5)  # the builder folds it into the queries
    state: dict[str, Array] = {}
    for name in weight_shapes(config):
        if ".self_attn." in name and name.split(".")[-2] in ("q_proj", "k_proj", "v_proj"):
            prefix, part, kind = name.rsplit(".", 2)
            third = "qkv".index(part[0])
            whole = arrays[f"{prefix}.qkv.{kind}"]
            values = whole[..., third * config.hidden : (third + 1) * config.hidden]
            values = values / scale if part[0] == "q" else values
        elif name == "visual_projection.weight":
            values = arrays["visual_projection"]
        elif name.endswith("patch_embedding.weight"):
            state[name] = arrays["vision_model.embeddings.patches"]
            continue
        elif name.endswith("position_embedding.weight"):
            state[name] = arrays["vision_model.embeddings.positions"]
            continue
        elif name.endswith("class_embedding"):
            values = arrays[name].reshape(-1)
        else:
            values = arrays[name]
        state[name] = np.ascontiguousarray(values.T if values.ndim == 2 else values)
    return state


def _initialisers(path: Path) -> dict[str, Array]:
    """The weights of a model file by name, those in the file beside it mapped into memory."""
    found: dict[str, Array] = {}
    for tensor in fmt.read_model(path).graph.initializer:
        if not tensor.data_location:
            found[tensor.name] = fmt.to_array(tensor)
            continue
        where = {entry.key: entry.value for entry in tensor.external_data}
        shape, offset = tuple(tensor.dims), int(where["offset"])
        found[tensor.name] = np.memmap(
            path.parent / where["location"], np.float32, mode="r", offset=offset, shape=shape
        )
    return found


def torch_tower(
    config: ViTConfig, state: dict[str, Array], threads: int
) -> list[tuple[str, Callable[[Array], Array], bool]]:
    """Open the tower in torch: name, how to run it, and whether it runs on a device; none without torch."""
    try:
        import torch
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection
    except ImportError:
        return []
    torch.set_num_threads(threads)
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=config.hidden,
            intermediate_size=config.mlp,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            patch_size=config.patch,
            image_size=config.image_size,
            projection_dim=config.projection,
            hidden_act="quick_gelu",
        )
    ).eval()
    model.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in state.items()}, strict=False)
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]

    def runner(tower: Any, dtype: Any, device: str) -> Callable[[Array], Array]:  # noqa: ANN401 - torch's
        def run(pixels: Array) -> Array:
            with torch.inference_mode():
                given = torch.from_numpy(pixels).to(device, dtype)
                return np.asarray(tower(pixel_values=given).image_embeds.float().cpu().numpy())

        return run

    ways = []
    for device in devices:
        for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
            tower = copy.deepcopy(model).to(device, dtype)
            name = f"torch, {device.upper()}, {precision}"
            ways.append((name, runner(tower, dtype, device), device == "cuda"))
    return ways
