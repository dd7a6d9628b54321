"""Find out what the units of a layer respond to."""

from analysis.dissection.result import Dissection, LayerResult
from analysis.dissection.run import dissect
from analysis.dissection.settings import DissectionError, DissectionSettings
from analysis.errors import Cancelled

__all__ = [
    "Cancelled",
    "Dissection",
    "DissectionError",
    "DissectionSettings",
    "LayerResult",
    "dissect",
]
