"""A project with everything that pages show: images, a dissected model with real arrays, people.

The "activations" are pooled, filtered copies of the images, so peaks, thresholds and overlays can
be checked against an independent computation. No torch.
"""

import io
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from django.contrib.auth.hashers import make_password
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image as Picture

from accounts.models import Membership, Role, User
from catalog.models import (
    Concept,
    Dataset,
    Image,
    ImportState,
    Project,
    Term,
    TrainedModel,
    Vocabulary,
)
from dissections.models import ConceptScore, Dissection, Layer, TopPatch, Unit

CLASSES = ["normal", "benign", "malignant"]
TERMS = [
    ("mass", "Mass", "Mass", ["lump", "opacity"]),
    ("mass.shape.round", "Round shape", "Mass shape", ["circular"]),
    ("mass.margin.circumscribed", "Circumscribed margin", "Mass margin", ["well-defined"]),
    ("mass.margin.spiculated", "Spiculated margin", "Mass margin", ["stellate", "spicules"]),
    ("calcification.benign.vascular", "Vascular calcification", "Calcification", ["tram-track"]),
    ("calcification.suspicious.fine-pleomorphic", "Fine pleomorphic", "Calcification", []),
    ("architectural-distortion", "Architectural distortion", "Distortion", ["distortion"]),
    ("other.vessel", "Vessel", "Outside BI-RADS", ["blood vessel"]),
    ("other.skin", "Skin", "Outside BI-RADS", []),
    ("other.normal-tissue", "Normal tissue", "Outside BI-RADS", ["unremarkable"]),
]
TOP_K = 16
BINS = 40


@dataclass
class World:
    project: Project
    model: TrainedModel
    dataset: Dataset
    dissection: Dissection
    layers: list[Layer]
    people: dict[str, User] = field(default_factory=dict)
    pixels: dict[str, np.ndarray] = field(default_factory=dict)
    maps: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def layer(self) -> Layer:
        return self.layers[0]

    def unit(self, index: int) -> Unit:
        return self.layer.units.select_related("layer__dissection__model").get(index=index)


def build_world(
    *, images: int = 20, size: tuple[int, int] = (96, 72), units: int = 8, slug: str = "study"
) -> World:
    """Build and store a project. Layer "layer4" has `units` units, the last of which is dead."""
    vocabulary = make_vocabulary(slug)
    project = Project.objects.create(
        slug=slug, name="Reader study", description="Units of a classifier.", vocabulary=vocabulary
    )
    people = make_people(project)
    model = TrainedModel.objects.create(
        project=project,
        name="Small classifier",
        file=ContentFile(b"not a model", name="model.pt2"),
        sha256="ab" * 32,
        class_names=CLASSES,
        preprocessing={},
        layers=[],
        state=ImportState.READY,
    )
    dataset = Dataset.objects.create(
        project=project, name="Screening images", class_names=CLASSES, state=ImportState.READY
    )
    pixels = {f"image{i:03d}": draw_image(i, size) for i in range(images)}
    stored = [
        store_image(dataset, name, array, i) for i, (name, array) in enumerate(pixels.items())
    ]
    concepts = [
        Concept.objects.create(dataset=dataset, key=key, name=name, category="finding")
        for key, name in (("mass", "Mass"), ("vessel", "Vessel"))
    ]
    dissection = Dissection.objects.create(
        project=project,
        model=model,
        dataset=dataset,
        layer_names=["layer4", "layer3"],
        splits=["validation"],
        image_count=images,
        completed=timezone.now(),
    )
    world = World(project, model, dataset, dissection, [], people, pixels)
    for position, (name, count, cells) in enumerate(
        [("layer3", units // 2, (12, 9)), ("layer4", units, (6, 5))]
    ):
        maps = activations(list(pixels.values()), count, cells, seed=position)
        world.maps[name] = maps
        world.layers.insert(0, store_layer(dissection, name, position, maps, stored, concepts))
    return world


def make_vocabulary(slug: str) -> Vocabulary:
    vocabulary = Vocabulary.objects.create(slug=f"lexicon-{slug}", name="Lexicon", version="5")
    for position, (code, name, category, synonyms) in enumerate(TERMS):
        Term.objects.create(
            vocabulary=vocabulary,
            code=code,
            code_system="TEST",
            name=name,
            phrase=name.lower(),
            category=category,
            synonyms=synonyms,
            position=position,
        )
    return vocabulary


def make_people(project: Project) -> dict[str, User]:
    """The people of the demo, and an outsider; their password is "unitscope"."""
    names = {
        "admin": ("Alex", "Admin", Role.ADMIN),
        "expert1": ("Ada", "Reyes", Role.EXPERT),
        "expert2": ("Ben", "Okafor", Role.EXPERT),
        "clinician": ("Cleo", "Lind", Role.CLINICIAN),
        "outsider": ("Otto", "Out", None),
    }
    people = {}
    for username, (first, last, role) in names.items():
        user, _ = User.objects.get_or_create(
            username=username,
            defaults={"first_name": first, "last_name": last, "password": _password()},
        )
        if role:
            Membership.objects.create(project=project, user=user, role=role)
        people[username] = user
    return people


@cache
def _password() -> str:
    """Hashed once: the hash is slow by design."""
    return make_password("unitscope")


def draw_image(seed: int, size: tuple[int, int]) -> np.ndarray:
    """A dark picture with a bright half-disc, texture and a few blobs: uint8 [H, W]."""
    rng = np.random.default_rng(seed)
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width] / max(size)
    inside = np.hypot((rows - rows.max() / 2) * 1.1, columns * 1.2) < 0.46
    picture = np.where(inside, 0.28 + 0.12 * np.sin(rows * 23 + seed) * np.cos(columns * 31), 0.02)
    for _ in range(3):
        row, column = rng.uniform(0.2, 0.75), rng.uniform(0.05, 0.4)
        spread, height_of = rng.uniform(0.01, 0.05), rng.uniform(0.2, 0.5)
        blob = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * spread**2))
        picture = picture + height_of * blob * inside
    picture += rng.normal(0, 0.02, size)
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def store_image(dataset: Dataset, name: str, array: np.ndarray, number: int) -> Image:
    stream = io.BytesIO()
    Picture.fromarray(array).save(stream, "PNG")
    return Image.objects.create(
        dataset=dataset,
        file=ContentFile(stream.getvalue(), name=f"{name}.png"),
        name=name,
        patient=f"p{number:03d}",
        class_index=number % len(CLASSES),
        width=array.shape[1],
        height=array.shape[0],
        bits=8,
        sha256=f"{number:064x}",
    )


def activations(
    pictures: list[np.ndarray], units: int, cells: tuple[int, int], seed: int
) -> np.ndarray:
    """Pooled brightness through random gains and offsets, rectified: float32 [N, K, h, w]."""
    rng = np.random.default_rng(seed)
    pooled = np.stack([_pool(picture / 255.0, cells) for picture in pictures])
    gain = rng.uniform(0.5, 2.0, units)
    focus = rng.uniform(0.1, 0.6, units)
    maps = gain[:, None, None] * np.maximum(pooled[:, None] - focus[:, None, None] * 0.6, 0)
    maps[:, -1] = 0
    return maps.astype(np.float32)


def store_layer(
    dissection: Dissection,
    name: str,
    position: int,
    maps: np.ndarray,
    images: list[Image],
    concepts: list[Concept],
) -> Layer:
    count, units, height, width = maps.shape
    k = min(TOP_K, count)
    values = maps.transpose(1, 0, 2, 3).reshape(units, -1)
    peaks = maps.reshape(count, units, -1)
    top_index = np.argsort(-peaks.max(-1), axis=0)[:k].T.astype(np.int32)
    places = np.take_along_axis(peaks.argmax(-1), top_index.T, 0).T
    threshold = np.quantile(values, 0.995, axis=1)
    edges = np.stack([np.linspace(row.min(), max(row.max(), 1e-6), BINS + 1) for row in values])
    histogram = np.stack(
        [np.histogram(row, bins=b)[0] for row, b in zip(values, edges, strict=True)]
    )
    stream = io.BytesIO()
    np.savez_compressed(
        stream,
        threshold=threshold,
        histogram_edges=edges,
        histogram=histogram,
        top_index=top_index,
        top_maps=np.stack([maps[top_index[u], u] for u in range(units)]).astype(np.float16),
    )
    layer = Layer.objects.create(
        dissection=dissection,
        name=name,
        position=position,
        height=height,
        width=width,
        unit_count=units,
        is_head_input=name == "layer4",
        influence_method="exact" if name == "layer4" else "measured",
        arrays=ContentFile(stream.getvalue(), name=f"arrays-{dissection.pk}-{name}.npz"),
    )
    labels = np.array([image.class_index for image in images])
    for index in range(units):
        dead = bool(values[index].max() == values[index].min())
        influence = [0.0] * 3 if dead else [0.1 * (index + 1), -0.05, 0.3 - 0.02 * index]
        unit = Unit.objects.create(
            layer=layer,
            index=index,
            threshold=None if dead else float(threshold[index]),
            mean=float(values[index].mean()),
            maximum=float(values[index].max()),
            active_fraction=float((values[index] > 0).mean()),
            selectivity=None if dead else 0.1 * index,
            class_means=[float(maps[labels == c, index].mean()) for c in range(3)],
            influence=influence,
            influence_max=max(abs(value) for value in influence),
            best_concept=None if dead else concepts[index % 2],
            best_iou=None if dead else 0.02 + 0.01 * index,
        )
        for concept in concepts:
            iou = 0.02 + 0.01 * index if concept == concepts[index % 2] else 0.01
            ConceptScore.objects.create(unit=unit, concept=concept, iou=iou, iou_chance=0.005)
        TopPatch.objects.bulk_create(
            TopPatch(
                unit=unit,
                rank=rank,
                image=images[top_index[index, rank]],
                value=float(peaks[top_index[index, rank], index].max()),
                row=int(places[index, rank]) // width,
                column=int(places[index, rank]) % width,
            )
            for rank in range(k)
        )
    return layer


def _pool(picture: np.ndarray, cells: tuple[int, int]) -> np.ndarray:
    rows = np.array_split(np.arange(picture.shape[0]), cells[0])
    columns = np.array_split(np.arange(picture.shape[1]), cells[1])
    return np.array([[picture[np.ix_(r, c)].mean() for c in columns] for r in rows])
