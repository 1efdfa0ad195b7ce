"""From a release to the parts of a locator: loads every model file once and checks that they fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from whyhere.alignment import Alignment, ImageCode, load_alignment
from whyhere.concepts import ConceptLabel, LandmarkLabel, read_labels, read_landmarks
from whyhere.embeddings import Embedder
from whyhere.encoders import ImageTower
from whyhere.errors import MissingFileError
from whyhere.explain import concept_meanings
from whyhere.gallery import Gallery, PlaceUnits, open_gallery, open_units
from whyhere.geo import great_circle_km
from whyhere.images import PreprocessSpec
from whyhere.prediction import ReleaseCard
from whyhere.ranking import CellIndex, RankingConfig, UnitIndex
from whyhere.releases import Release, galleries_dir, prepare_heads


@dataclass(frozen=True)
class Parts:
    """Everything that a locator is made of.

    Attributes:
        tower: The image tower.
        preprocessing: How photos are prepared for it.
        gallery: The places that can be answered, embedded.
        alignment: What scores places and splits scores into concepts.
        ranking: How scores become answers.
        concepts: Names of the concepts, in the order of the alignment.
        card: What a reader must know about the release.
        view_average: What is averaged over the views of a photo: "embeddings" of unit length, before the
            alignment sees them, or "logits", for which it sees the raw embeddings of all views.
        tower_name: Asset name of the image tower; "" for one that whyhere does not know.
        units: The country of every place of the gallery; found when first needed where it is None.
        landmarks: Names of the landmarks, in the order of the alignment; empty for a release without any.
    """

    tower: ImageTower
    preprocessing: PreprocessSpec
    gallery: Gallery
    alignment: Alignment
    ranking: RankingConfig
    concepts: tuple[ConceptLabel, ...]
    card: ReleaseCard
    view_average: str = "embeddings"
    tower_name: str = ""
    units: PlaceUnits | None = None
    landmarks: tuple[LandmarkLabel, ...] = ()

    @cached_property
    def labels(self) -> tuple[ConceptLabel, ...]:
        """Names of the concepts, and of the landmarks after them."""
        return self.concepts + tuple(one.concept for one in self.landmarks)

    @cached_property
    def cells(self) -> CellIndex:
        """The H3 cells that probability is spread over."""
        return self.ranking.cells_of(self.gallery)

    @cached_property
    def countries(self) -> UnitIndex:
        """How the cells are shared by countries and their first-level units."""
        return UnitIndex.build(self.units or PlaceUnits.of(self.gallery.lat, self.gallery.lon), self.cells)

    @cached_property
    def _where_concepts_are(self) -> tuple[str, ...]:
        """Where the release has each of its concepts, in words; from one place of every cell, once."""
        _, first = np.unique(self.cells.cell_of_point, return_index=True)
        values = self.alignment.location_concepts(self.gallery.embeddings[first])
        return concept_meanings(values, self.cells, self.countries)

    @property
    def embedder(self) -> Embedder:
        """What turns a photo into what the alignment sees: the one slow step."""
        return Embedder(self.tower, self.preprocessing, self.view_average)

    def meanings(self, code: ImageCode, point: int) -> dict[int, str]:
        """Say by label where the release has its concepts, and whose photo a landmark is and how far off."""
        told = dict(enumerate(self._where_concepts_are))
        for similar in code.similar:
            landmark = self.landmarks[similar.landmark]
            photo = landmark.photos[similar.photo]
            km = great_circle_km(self.gallery.lat[point], self.gallery.lon[point], landmark.lat, landmark.lon)
            credit = ", ".join(text for text in (photo.author, photo.licence, photo.source) if text)
            told[len(self.concepts) + similar.landmark] = (
                f"looks like “{photo.title}” ({similar.cosine:.2f}), {float(km):,.0f} km from here; {credit}"
            )
        return told


def assemble(
    release: Release, *, threads: int | None = None, progress: Callable[[int, int], None] | None = None
) -> Parts:
    """Load a release.

    Args:
        release: The release.
        threads: Threads of the image tower; all cores by default.
        progress: Called with places done and places in all while the gallery is embedded at its first use.

    Raises:
        MissingFileError: A file is missing, damaged or does not fit the others.
    """
    config, where = release.config, release.directory / "config.json"
    kind = config.alignment.get("kind")
    averaged = "logits" if kind == "geoclip" else "embeddings"
    if config.image_tower.view_average != averaged:
        raise MissingFileError(
            f'{where}: for an alignment of kind {kind!r} image_tower.view_average must be "{averaged}"'
        )
    embedder = Embedder.open(release, threads=threads)
    tower = embedder.tower
    alignment = load_alignment(prepare_heads(release), config.alignment)
    if problem := alignment.tower_problem(tower.dim):
        raise MissingFileError(f"{where}: {problem}")
    gallery = prepare_gallery(release, progress=progress)
    return Parts(
        tower=tower,
        preprocessing=embedder.spec,
        gallery=gallery,
        alignment=alignment,
        ranking=RankingConfig.from_dict(config.ranking, where=str(where)),
        concepts=labels_of(release, alignment),
        card=config.card,
        view_average=averaged,
        tower_name=config.image_tower.asset,
        units=open_units(gallery.lat, gallery.lon, galleries_dir() / gallery.fingerprint),
        landmarks=_landmarks_of(release, alignment),
    )


def labels_of(release: Release, alignment: Alignment) -> tuple[ConceptLabel, ...]:
    """Read the names of a release's concepts, in the order of its alignment.

    Raises:
        MissingFileError: They are missing, or are those of another alignment.
    """
    concepts = read_labels(release.directory / "concepts.json")
    if tuple(concept.id for concept in concepts) != alignment.concept_ids:
        raise MissingFileError(
            f"{release.directory}: concepts.json and config.json name different concepts; "
            "reinstall the release"
        )
    return concepts


def _landmarks_of(release: Release, alignment: Alignment) -> tuple[LandmarkLabel, ...]:
    path = release.directory / "landmarks.json"
    landmarks = read_landmarks(path)
    photos = np.bincount(alignment.places.of_photo, minlength=len(alignment.places)).tolist()
    if [len(one.photos) for one in landmarks] != photos:
        raise MissingFileError(f"{path}: not the landmarks of model.safetensors; reinstall the release")
    return landmarks


def prepare_gallery(release: Release, *, progress: Callable[[int, int], None] | None = None) -> Gallery:
    """Open the gallery of a release; embed it where this was never done, telling places done and in all.

    Raises:
        MissingFileError: The weights or the coordinates are missing or damaged.
    """
    config = release.config
    return open_gallery(
        release.part_path(config.gallery) / "gallery.npy",
        release.part_path(config.location_encoder) / "location_encoder.safetensors",
        galleries_dir(),
        smoothing_km=config.gallery_smoothing_km,
        covers_land=config.gallery_covers_land,
        progress=progress,
    )
