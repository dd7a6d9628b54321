"""Images with masks of ten concepts, made in memory for a seed."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import Image

from analysis.data import Sample
from analysis.models.preprocessing import Preprocessing

CLASSES = 10


def concept_names(count: int) -> list[str]:
    return [f"concept-{i}" for i in range(count)]


def make_samples(count: int, side: int, concepts: int, seed: int = 0) -> list[Sample]:
    """Smooth colour images; each concept is a rectangle on about a third of them."""
    generator = np.random.default_rng(seed)
    return [_sample(i, side, concepts, generator) for i in range(count)]


def preprocessing_for(side: int) -> Preprocessing:
    return Preprocessing((side, side), 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _sample(index: int, side: int, concepts: int, generator: np.random.Generator) -> Sample:
    coarse = Image.fromarray(generator.integers(0, 256, (14, 14, 3), np.uint8))
    image = np.asarray(coarse.resize((side, side), Image.Resampling.BILINEAR))
    masks = {}
    for name in concept_names(concepts):
        if generator.random() < 1 / 3:
            mask = np.zeros((side, side), np.uint8)
            row, column = generator.integers(0, side * 3 // 4, 2)
            mask[row : row + side // 4, column : column + side // 4] = 255
            masks[name] = _opener(mask)
    return Sample(
        key=str(index),
        open=_opener(image),
        suffix=".png",
        group=str(index),
        label=index % CLASSES,
        masks=masks,
    )


def _opener(array: np.ndarray) -> Callable[[], BinaryIO]:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG", compress_level=1)
    content = stream.getvalue()
    return lambda: io.BytesIO(content)
