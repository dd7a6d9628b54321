"""Errors whose messages are written for the person who started the work."""


class AnalysisError(ValueError):
    """The input cannot be analysed; the message says what is wrong and what to do."""


class Cancelled(Exception):  # noqa: N818 - it reports a wish, not a fault
    """The caller asked to stop; nothing was wrong."""
