"""What an ablation can be told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from analysis.errors import AnalysisError

Fill = Literal["zero", "mean"] | float | Sequence[float] | np.ndarray
"""What a removed unit's map holds everywhere: zero, the unit's mean over all images and positions,
one value, or one value per unit [K]."""


class AblationError(AnalysisError):
    """The ablation cannot be done; the message says what is wrong."""


@dataclass(frozen=True)
class AblationSettings:
    """batch_size: images per forward pass, and edited maps per run of the layers behind.

    cache_bytes: logits of all sets and images, or pooled maps, beyond this many bytes go to a
    temporary file in `cache_folder` (default: the system's temporary folder).
    """

    batch_size: int = 32
    cache_bytes: int = 2 * 2**30
    cache_folder: Path | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError("batch_size must be at least 1.")
