"""Report progress and notice requests to stop."""

from __future__ import annotations

from collections.abc import Callable

from analysis.errors import Cancelled

ProgressCallback = Callable[[int, int, str], None]
StopCallback = Callable[[], bool]


class Steps:
    """Counts steps up to a known total. `advance` raises Cancelled when `should_stop()` is true."""

    def __init__(
        self, total: int, progress: ProgressCallback | None, should_stop: StopCallback | None
    ) -> None:
        self._done = 0
        self._total = total
        self._progress = progress
        self._should_stop = should_stop

    def advance(self, steps: int, message: str) -> None:
        self._done = min(self._done + steps, self._total)
        if self._progress is not None:
            self._progress(self._done, self._total, message)
        if self._should_stop is not None and self._should_stop():
            raise Cancelled("Stopped on request.")

    def finish(self, message: str) -> None:
        """The last step."""
        self.advance(self._total, message)
