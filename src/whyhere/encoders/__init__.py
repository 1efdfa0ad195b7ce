"""Encoders: photos, coordinates and texts to embeddings, each for itself, without torch.

`OnnxImageTower` runs a CLIP image tower under ONNX Runtime; `LocationEncoder` is GeoCLIP's location encoder
in NumPy. Neither answer depends on what else is in the batch. `CustomTower` runs an image tower that the user
brings as ONNX; `TextTower` is CLIP's text tower, with its tokenizer, in NumPy. `export_image_tower` and its
neighbours write the files that these run.
"""

from whyhere.encoders._clip_onnx import (
    VIT_B_16,
    VIT_L_14,
    WEIGHT_KINDS,
    ClipViTBuilder,
    ViTConfig,
    Weights,
    convert_clip_int8,
    convert_clip_safetensors,
    export_image_tower,
    export_text_tower,
    weight_shapes,
)
from whyhere.encoders._image_tower import (
    CustomTower,
    ImageTower,
    OnnxImageTower,
    PatchShares,
    TowerNames,
    TowerOutput,
    TracingTower,
)
from whyhere.encoders._location import LocationEncoder, equal_earth, location_encoder_shapes
from whyhere.encoders._onnx import GraphBuilder
from whyhere.encoders._sessions import ENGINES, check_engine, import_onnxruntime
from whyhere.encoders._text_tower import ClipTokenizer, TextConfig, TextTower, text_weight_shapes

__all__ = [
    "ENGINES",
    "VIT_B_16",
    "VIT_L_14",
    "WEIGHT_KINDS",
    "ClipTokenizer",
    "ClipViTBuilder",
    "CustomTower",
    "GraphBuilder",
    "ImageTower",
    "LocationEncoder",
    "OnnxImageTower",
    "PatchShares",
    "TextConfig",
    "TextTower",
    "TowerNames",
    "TowerOutput",
    "TracingTower",
    "ViTConfig",
    "Weights",
    "check_engine",
    "convert_clip_int8",
    "convert_clip_safetensors",
    "equal_earth",
    "export_image_tower",
    "export_text_tower",
    "import_onnxruntime",
    "location_encoder_shapes",
    "text_weight_shapes",
    "weight_shapes",
]
