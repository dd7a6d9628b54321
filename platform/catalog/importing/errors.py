"""What can be wrong with a dataset or one of its files."""

from analysis.errors import AnalysisError


class DatasetError(AnalysisError):
    """The dataset as a whole cannot be imported; the message says what to change."""


class FileError(AnalysisError):
    """One file cannot be used; it is left out and the rest is imported."""
