"""Errors about models; their messages are shown to the person who uploaded the model."""

from analysis.errors import AnalysisError


class ModelError(AnalysisError):
    """A model cannot be used; the message says why and what to do."""


class UnsafeModelError(ModelError):
    """A model file contains, or may contain, something that could run code; it was not loaded."""
