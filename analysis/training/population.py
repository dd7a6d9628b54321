"""The phantom population as arrays, generated in parallel and cached in a folder."""

import hashlib
import multiprocessing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import analysis.phantoms
from analysis.phantoms import CLASSES, CONCEPTS, SIZE, PhantomImage, generate_patient, split_of

FINDINGS = tuple(
    concept.key
    for concept in CONCEPTS
    if concept.category in ("mass", "calcification", "architecture", "associated")
)
"""Concepts that a reader would outline; anatomy is not among them."""
OUTLINES = (*FINDINGS, "benign lesion", "malignant lesion")
"""What the outline maps hold: the findings, then the lesions by their true nature."""
GRID = 32
"""Cells per side of the outline maps."""


@dataclass(frozen=True)
class Population:
    """Images of many patients, the four of a patient together.

    ``pixels`` uint8 ``[N, 256, 256]``; ``labels`` and ``patients`` int64 ``[N]``; ``outlines`` bool
    ``[N, F, 32, 32]``: the cells that each of ``OUTLINES`` touches.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    patients: NDArray[np.int64]
    outlines: NDArray[np.bool_]

    def split(self, name: str) -> "Population":
        """The images of the patients of one split (train, validation or test)."""
        chosen = np.array([split_of(int(number)) == name for number in self.patients])
        return Population(**{field: array[chosen] for field, array in vars(self).items()})

    def shuffled(self, rng: np.random.Generator) -> "Population":
        """The same images with the labels and outlines of each patient dealt to another one."""
        count = len(self.labels) // 4
        order = (4 * rng.permutation(count)[:, None] + np.arange(4)).reshape(-1)
        return replace(self, labels=self.labels[order], outlines=self.outlines[order])


def build_population(numbers: Iterable[int], seed: int, workers: int = 1) -> Population:
    """Generate the patients ``numbers`` of population ``seed``, as 8-bit images like the PNGs."""
    numbers = list(numbers)
    make = partial(_patient_arrays, seed=seed)
    if workers > 1:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            parts = pool.map(make, numbers, chunksize=8)
    else:
        parts = [make(number) for number in numbers]
    return Population(
        pixels=np.concatenate([part.pixels for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        patients=np.concatenate([part.patients for part in parts]),
        outlines=np.concatenate([part.outlines for part in parts]),
    )


def cached_population(
    numbers: Sequence[int], seed: int, folder: Path, workers: int = 1
) -> Population:
    """``build_population`` kept as one .npz in ``folder``; a changed generator makes a new file."""
    name = hashlib.sha256(f"{list(numbers)} {seed} {_generator_version()}".encode()).hexdigest()
    path = folder / f"phantoms-{name[:16]}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            return Population(**stored)
    population = build_population(numbers, seed, workers)
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, **vars(population))
    return population


def _patient_arrays(number: int, seed: int) -> Population:
    images = generate_patient(number, seed).images
    return Population(
        pixels=np.stack([np.rint(image.pixels * 255).astype(np.uint8) for image in images]),
        labels=np.array([CLASSES.index(image.label) for image in images], dtype=np.int64),
        patients=np.full(len(images), number, dtype=np.int64),
        outlines=np.stack([_outlines(image) for image in images]),
    )


def _outlines(image: PhantomImage) -> NDArray[np.bool_]:
    cells = np.zeros((len(OUTLINES), GRID, GRID), dtype=bool)
    for index, key in enumerate(FINDINGS):
        if key in image.masks:
            cells[index] = _touched(image.masks[key])
    for finding in image.findings:
        if finding.planned.nature != "incidental":
            cells[OUTLINES.index(f"{finding.planned.nature} lesion")] |= _touched(finding.mask)
    return cells


def _touched(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    cell = SIZE // GRID
    return np.logical_or.reduce(mask.reshape(GRID, cell, GRID, cell), axis=(1, 3))


def _generator_version() -> str:
    """A hash of the generator's source, so that the cache never outlives a change to it."""
    sources = sorted(Path(analysis.phantoms.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
