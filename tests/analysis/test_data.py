import io
from pathlib import Path

import numpy as np
import pytest

from analysis.data import Sample, decode_in_batches, read_sample
from tests.analysis import pictures


def test_samples_come_in_order_and_failures_are_listed() -> None:
    def decode(sample: Sample) -> int:
        if int(sample.key) % 5 == 3:
            raise ValueError(f"bad {sample.key}")
        return int(sample.key) * 10

    samples = [Sample(str(i), io.BytesIO) for i in range(23)]
    batches = list(decode_in_batches(samples, decode, 4))
    assert [len(good) + len(bad) for good, bad in batches] == [4, 4, 4, 4, 4, 3]
    good = [item for part, _ in batches for item in part]
    assert good == [(i, i * 10) for i in range(23) if i % 5 != 3]
    assert [i for _, bad in batches for i, _ in bad] == [3, 8, 13, 18]


def test_every_sample_is_decoded_once_even_with_batches_of_one() -> None:
    calls: list[str] = []

    def decode(sample: Sample) -> str:
        calls.append(sample.key)
        return sample.key

    samples = [Sample(str(i), io.BytesIO) for i in range(50)]
    for size in (1, 7, 64):
        calls.clear()
        keys = [k for good, _ in decode_in_batches(samples, decode, size) for _, k in good]
        assert keys == [str(i) for i in range(50)]
        assert sorted(calls) == sorted(keys)


def test_defects_are_not_mistaken_for_bad_images() -> None:
    def decode(sample: Sample) -> int:
        raise KeyError(sample.key)

    with pytest.raises(KeyError):
        list(decode_in_batches([Sample("a", io.BytesIO)], decode, 4))


def test_reading_a_sample_closes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(pictures.png(np.full((2, 3), 255, np.uint8)))
    opened = []

    def opener() -> io.BufferedReader:
        opened.append(path.open("rb"))
        return opened[-1]

    np.testing.assert_array_equal(read_sample(Sample("x", opener)), np.ones((2, 3)))
    assert opened[0].closed
