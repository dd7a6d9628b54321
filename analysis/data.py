"""Images of a data set as the analysis takes them, decoded ahead by a few threads."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

import numpy as np
import torch

from analysis.imaging import read_image
from analysis.models.preprocessing import Preprocessing

Decoded = TypeVar("Decoded")


@dataclass(frozen=True)
class Sample:
    """One image of a data set.

    key: how the caller names it. open: gives its bytes (closed after use). suffix: file suffix
    such as ".png". group: the patient; images of one patient share it. label: class index or None.
    masks: concept key -> bytes of a mask image; a concept without an entry is absent.
    """

    key: str
    open: Callable[[], BinaryIO]
    suffix: str = ""
    group: str = ""
    label: int | None = None
    masks: Mapping[str, Callable[[], BinaryIO]] = field(default_factory=dict)


def read_sample(sample: Sample) -> np.ndarray:
    """The image of a sample as `analysis.imaging.read_image` gives it."""
    with sample.open() as stream:
        return read_image(stream, suffix=sample.suffix)


def decode_input(sample: Sample, preprocessing: Preprocessing) -> torch.Tensor:
    """The model input of a sample, float32 [C, H, W] on the CPU."""
    return torch.from_numpy(preprocessing.apply(read_sample(sample)))


def decode_in_batches(
    samples: Sequence[Sample],
    decode: Callable[[Sample], Decoded],
    batch_size: int,
) -> Iterator[tuple[list[tuple[int, Decoded]], list[tuple[int, Exception]]]]:
    """Decode samples in order, two batches ahead, in a small thread pool.

    Yields per batch the decoded samples and the failures (OSError, ValueError), each with the
    index of the sample. Other errors are defects and are raised.
    """
    threads = min(4, os.cpu_count() or 1)
    ahead = 2 * batch_size + threads
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        pending: deque[Future[Decoded]] = deque()
        try:
            for start in range(0, len(samples), batch_size):
                stop = min(start + batch_size, len(samples))
                first = start + len(pending)
                for sample in samples[first : stop + ahead]:
                    pending.append(pool.submit(decode, sample))
                good: list[tuple[int, Decoded]] = []
                bad: list[tuple[int, Exception]] = []
                for index in range(start, stop):
                    try:
                        good.append((index, pending.popleft().result()))
                    except (OSError, ValueError) as error:
                        bad.append((index, error))
                yield good, bad
        finally:
            for future in pending:
                future.cancel()


def to_device(inputs: Sequence[torch.Tensor], device: torch.device) -> torch.Tensor:
    """Stack inputs to [N, C, H, W] on the device; through pinned memory on CUDA."""
    batch = torch.stack(list(inputs))
    if device.type == "cuda":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)
