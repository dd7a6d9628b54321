"""Predict, and say how much each unit contributed to a prediction."""

from analysis.explanation.evidence import Evidence, ExplanationError, explain
from analysis.explanation.predict import Predictions, predict
from analysis.explanation.removal import Removal

__all__ = ["Evidence", "ExplanationError", "Predictions", "Removal", "explain", "predict"]
