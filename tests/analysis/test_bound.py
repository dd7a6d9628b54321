"""The bounded mode on a scaled-down version of `python -m analysis.dissection.bound`."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from analysis.dissection import bound


def test_thresholds_hold_and_the_cache_is_removed(tmp_path: Path) -> None:
    found = bound.run(400, 16, 4, n_concepts=3, cache_bytes=1000, folder=tmp_path)
    assert found.cache_bytes == 2 * 400 * 16 * 16
    np.testing.assert_allclose(found.above.mean(), 0.005, atol=0.001)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """Eight times the images (a cache of 103 MB in place of 13) in fresh processes."""

    def peak(images: int) -> int:
        code = (
            "import sys, torch; torch.set_num_threads(1)\n"
            "from pathlib import Path\n"
            "from analysis.dissection.bound import run\n"
            f"sys.stdout.write(str(run({images}, 256, 5, cache_bytes=0, n_concepts=2,"
            f" folder=Path({str(tmp_path)!r})).peak_bytes))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        return int(done.stdout)

    small, large = peak(1_024), peak(8_192)
    assert large - small < 16 * 2**20


def test_the_command_says_what_it_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    arguments = ["--images", "64", "--units", "8", "--cells", "3", "--folder", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["bound", *arguments])
    caplog.set_level("INFO")
    assert bound.main() == 0
    assert "64 images x 8 units x 3 x 3: peak" in caplog.text
    monkeypatch.setattr(sys, "argv", ["bound", *arguments, "--limit-gb", "0.001"])
    assert bound.main() == 1
