"""Encoders: photos and coordinates to embeddings, each for itself, without torch.

`OnnxImageTower` runs a CLIP image tower under ONNX Runtime; `LocationEncoder` is GeoCLIP's location encoder
in NumPy. Neither answer depends on what else is in the batch. `CustomTower` runs an image tower that the user
brings as ONNX; `TextTower` is CLIP's text tower, with its tokenizer, in NumPy.
"""

from whyhere.encoders._custom_tower import CustomTower, TowerNames
from whyhere.encoders._equal_earth import equal_earth
from whyhere.encoders._image_tower import ImageTower, OnnxImageTower, TowerOutput
from whyhere.encoders._location import LocationEncoder
from whyhere.encoders._text_tower import TextTower
from whyhere.encoders._tokenizer import ClipTokenizer
from whyhere.encoders._tracing import PatchShares, TracingTower

__all__ = [
    "ClipTokenizer",
    "CustomTower",
    "ImageTower",
    "LocationEncoder",
    "OnnxImageTower",
    "PatchShares",
    "TextTower",
    "TowerNames",
    "TowerOutput",
    "TracingTower",
    "equal_earth",
]
