"""What the engine finds about a unit that never varies, as it is published."""

import io
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from analysis.data import Sample
from analysis.dissection import DissectionSettings, dissect
from analysis.models.preprocessing import Preprocessing
from dissections.models import Dissection, TopPatch
from dissections.services import publish
from tests.analysis.networks import SquareDetector, bias
from tests.platform.factories import build_world

DEAD, CONSTANT, RARE = 1, 2, 3
BRIGHT = 5
PREPROCESSING = Preprocessing((32, 32), 1, (0.0,), (1.0,), "RGB")


def samples() -> list[Sample]:
    """Six dark images of noise; one has a bright square, which unit RARE alone sees."""
    noise = np.random.default_rng(0)
    made = []
    for number in range(6):
        pixels = noise.integers(0, 90, (32, 32), dtype=np.uint8)
        if number == BRIGHT:
            pixels[8:24, 8:24] = 250
        stream = io.BytesIO()
        Picture.fromarray(pixels).save(stream, "PNG")
        made.append(
            Sample(f"image{number}", partial(io.BytesIO, stream.getvalue()), ".png", "", None, {})
        )
    return made


def network() -> SquareDetector:
    """Unit DEAD is always 0 and CONSTANT always 0.7; their thresholds would be finite."""
    torch.manual_seed(0)
    model = SquareDetector().eval()
    with torch.no_grad():
        for unit, value in ((DEAD, -1.0), (CONSTANT, 0.7)):
            model.units.weight[unit] = 0
            bias(model.units)[unit] = value
    return model


@pytest.mark.django_db
def test_a_unit_that_never_varies_has_no_threshold_and_no_patches(tmp_path: Path) -> None:
    world = build_world(images=6, units=8)
    world.model.layers = [{"name": "relu", "depth_index": 0}]
    world.model.save()
    dissection = Dissection.objects.create(
        project=world.project,
        model=world.model,
        dataset=world.dataset,
        layer_names=["relu"],
        splits=["validation"],
    )
    settings = DissectionSettings(top_k=6)
    found = dissect(network(), ["relu"], samples(), PREPROCESSING, 2, [], settings)
    file = tmp_path / "relu.npz"
    found.layers["relu"].save(file)
    images = list(world.dataset.images.order_by("name"))
    publish(dissection, found, {"relu": file}, images=images, concepts=[])

    units = {unit.index: unit for unit in dissection.layers.get().units.all()}
    for index in (DEAD, CONSTANT):
        assert units[index].threshold is None
        assert not units[index].top_patches.exists()
    assert all(
        units[index].threshold is not None for index in units if index not in (DEAD, CONSTANT)
    )
    assert units[0].top_patches.count() == 6
    patch = TopPatch.objects.get(unit=units[RARE])
    assert (patch.rank, patch.image) == (0, images[BRIGHT]), "it is silent on all other images"
