"""Check a release against the `geoclip` package on the same weights, and score it on a benchmark.

    pip download geoclip==1.3.0 --no-deps
    whyhere releases fetch geoclip-l14 --from clip-vit-large-patch14
    python scripts/check_geoclip_parity.py --wheel geoclip-1.3.0-py3-none-any.whl \
        --clip clip-vit-large-patch14 --table im2gps3k.csv --photos im2gps3k --limit 20

Needs torch, transformers and pandas for the package, which is imported from its wheel, not installed. Without
--table the photos of --photos are compared only. Both sides answer from our gallery, in which every place
stands once: in the package's own, 5,900 of the 100,000 points are doubles.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyhere._parts import Parts, assemble
from whyhere.evaluation import THRESHOLDS_KM, photos_of, read_benchmark
from whyhere.geo import great_circle_km
from whyhere.images import PreprocessSpec, find_photos, open_photo, preprocess
from whyhere.ranking import gallery_softmax
from whyhere.releases import resolve

TOP = 5
PUBLISHED = {1: (13.1, 32.2, 48.1, 66.6, 82.3), 10: (14.11, 34.47, 50.65, 69.67, 83.82)}
"""Published for GeoCLIP on Im2GPS3k, % within `THRESHOLDS_KM`, by number of views."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two answers to one photo are apart.

    Attributes:
        same_places: Whether the first five places are the same, in the same order.
        probability: Largest difference of two probabilities.
        logit: Largest difference of two scores.
        best: Position of our first place, degrees.
    """

    same_places: bool
    probability: float
    logit: float
    best: tuple[float, float]


def import_geoclip(wheel: Path, folder: Path) -> ModuleType:
    """Unpack the wheel and import its models without its training code, which wants torchvision."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    package = ModuleType("geoclip")
    package.__path__ = [str(folder / "geoclip")]
    sys.modules["geoclip"] = package
    models = importlib.import_module("geoclip.model")
    encoder = importlib.import_module("geoclip.model.image_encoder")
    # CLIP's processor in its PIL backend: the same numbers, and no torchvision either.
    encoder.AutoProcessor = SimpleNamespace(from_pretrained=lambda *_, **__: clip_processor())
    return models


def clip_processor() -> Any:  # noqa: ANN401 - a class of transformers
    """CLIP's own image processor, with its own defaults."""
    try:
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil as Processor
    except ImportError:  # before transformers 5 the PIL backend had the plain name
        from transformers import CLIPImageProcessor as Processor
    return Processor()


def load_theirs(models: ModuleType, clip: Path, *, release: Path | None = None) -> Any:  # noqa: ANN401
    """Load the package's model: heads of the wheel, or of a release folder; the tower from a CLIP folder."""
    if release is None:
        return models.GeoCLIP(clip_path=str(clip)).eval()
    hub = importlib.import_module("geoclip.model._hub")
    hub.snapshot_download = lambda **_: str(clip)
    return models.GeoCLIP.from_pretrained(release)


class TheirGallery:
    """The package's answers over our gallery, whose places it embeds once."""

    def __init__(self, model: Any, parts: Parts) -> None:  # noqa: ANN401
        import torch

        self._torch, self._model = torch, model
        points = np.stack([parts.gallery.lat, parts.gallery.lon], axis=1)
        model.gps_gallery = torch.from_numpy(points.astype(np.float32))
        with torch.no_grad():
            chunks = [model.location_encoder(chunk) for chunk in model.gps_gallery.split(2048)]
            self._places = torch.nn.functional.normalize(torch.cat(chunks), dim=1)

    def logits(self, pixels: Any) -> Any:  # noqa: ANN401 - torch tensors
        """What the model's forward pass gives for pixels [v, 3, s, s] and all places: [v, n]."""
        torch = self._torch
        with torch.no_grad():
            features = torch.nn.functional.normalize(self._model.image_encoder(pixels), dim=1)
            return self._model.logit_scale.exp() * features @ self._places.t()

    def answer(self, image: Image.Image, views: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Scores and probabilities of all places, as `predict` computes them; ten views as in the paper."""
        if views == 1:
            pixels = self._model.image_encoder.preprocess_image(image)
        else:
            pixels = self._torch.from_numpy(preprocess(image, PreprocessSpec(views=views)))
        logits = self.logits(pixels).mean(dim=0)
        return logits.numpy(), logits.softmax(dim=-1).numpy()


def our_answer(parts: Parts, image: Image.Image, views: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Scores and probabilities of all places, by whyhere."""
    pixels = preprocess(image, PreprocessSpec(views=views))
    scores = parts.alignment.scores(
        parts.alignment.encode_image(parts.tower.embed_only(pixels)), parts.gallery.embeddings
    )
    return scores, gallery_softmax(scores)


def compare(parts: Parts, theirs: TheirGallery, image: Image.Image, *, views: int) -> Comparison:
    """Answer one photo twice."""
    our_scores, ours = our_answer(parts, image, views)
    their_scores, probabilities = theirs.answer(image, views)
    top = np.argsort(-ours, kind="stable")[:TOP]
    their_top = np.argsort(-probabilities, kind="stable")[:TOP]
    return Comparison(
        same_places=top.tolist() == their_top.tolist(),
        probability=float(np.abs(ours - probabilities).max()),
        logit=float(np.abs(our_scores - their_scores).max()),
        best=(float(parts.gallery.lat[top[0]]), float(parts.gallery.lon[top[0]])),
    )


def check_photos(parts: Parts, theirs: TheirGallery, photos: list[Path], views: int) -> bool:
    """Compare photos and print one line; False where one differs."""
    found = [compare(parts, theirs, open_photo(photo).image, views=views) for photo in photos]
    same = sum(one.same_places for one in found)
    probability, logit = max(one.probability for one in found), max(one.logit for one in found)
    print(
        f"{views:2} view(s), {len(found)} photos: the same first {TOP} places for {same}; largest difference "
        f"of a probability {probability:.1e}, of a score {logit:.1e}"
    )
    return same == len(found) and probability <= 1e-5


def score_benchmark(parts: Parts, table: Path, photos: Path, views: int) -> None:
    """Print our accuracy on a benchmark beside the published one."""
    benchmark, files = photos_of(read_benchmark(table), photos)
    for problem in benchmark.problems[:5]:
        print(f"left out: {problem}", file=sys.stderr)
    errors = []
    for query in benchmark.queries:
        scores, _ = our_answer(parts, open_photo(files[query.photo]).image, views)
        best = int(np.argmax(scores))
        lat, lon = float(parts.gallery.lat[best]), float(parts.gallery.lon[best])
        errors.append(float(great_circle_km(query.lat, query.lon, lat, lon)))
    km = np.array(errors)
    measured = " / ".join(f"{100 * np.mean(km <= threshold):.2f}" for threshold in THRESHOLDS_KM)
    published = " / ".join(map(str, PUBLISHED[views]))
    print(
        f"{views:2} view(s), {len(km)} photos: {measured} % within "
        f"{' / '.join(f'{t:g}' for t in THRESHOLDS_KM)} km; published for Im2GPS3k: {published}"
    )


def main() -> int:
    """Run the check; exit status 1 where an answer differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--wheel", type=Path, required=True, help="geoclip-1.3.0-py3-none-any.whl")
    parser.add_argument("--clip", type=Path, required=True, help="folder of the CLIP model")
    parser.add_argument("--release", default="geoclip-l14", help="release of whyhere, or its directory")
    parser.add_argument("--geoclip", type=Path, help="release folder of geoclip instead of the wheel's heads")
    parser.add_argument("--photos", type=Path, required=True, help="photos to compare")
    parser.add_argument("--table", type=Path, help="true positions of the photos: score them all")
    parser.add_argument("--limit", type=int, default=20, help="photos to compare with the package")
    parser.add_argument("--views", type=int, nargs="+", default=[1, 10], choices=[1, 10])
    arguments = parser.parse_args()
    parts = assemble(resolve(arguments.release))
    photos = [photo for photo in find_photos([str(arguments.photos)]) if isinstance(photo, Path)]
    with tempfile.TemporaryDirectory() as folder:
        models = import_geoclip(arguments.wheel, Path(folder))
        theirs = TheirGallery(load_theirs(models, arguments.clip, release=arguments.geoclip), parts)
        equal = [check_photos(parts, theirs, photos[: arguments.limit], views) for views in arguments.views]
    if arguments.table:
        for views in arguments.views:
            score_benchmark(parts, arguments.table, arguments.photos, views)
    return 0 if all(equal) else 1


if __name__ == "__main__":
    sys.exit(main())
