"""Phantom mammograms with exact masks, classes and structured reports.

Drawn with NumPy and SciPy alone. Every patient depends on (seed, patient number) only, so
patients can be generated in any order and in parallel.
"""

from analysis.phantoms.anatomy import VISIBLE
from analysis.phantoms.concepts import CONCEPTS, Concept
from analysis.phantoms.drawing import SIZE, power_law_texture
from analysis.phantoms.patients import (
    DEMO_SEED,
    Patient,
    PhantomImage,
    VisibleFinding,
    demo_patients,
    generate_patient,
    patient_identifier,
    render_view,
    split_of,
)
from analysis.phantoms.populations import CLASSES, plan_patient
from analysis.phantoms.writer import write_dataset

__all__ = [
    "CLASSES",
    "CONCEPTS",
    "DEMO_SEED",
    "SIZE",
    "VISIBLE",
    "Concept",
    "Patient",
    "PhantomImage",
    "VisibleFinding",
    "demo_patients",
    "generate_patient",
    "patient_identifier",
    "plan_patient",
    "power_law_texture",
    "render_view",
    "split_of",
    "write_dataset",
]
