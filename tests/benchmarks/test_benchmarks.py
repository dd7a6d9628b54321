"""The benchmarks run and print their tables; what they measure is not judged here."""

import numpy as np
import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.data import make_samples
from benchmarks.network import exported
from benchmarks.peers import captum_loop, hook_loop
from benchmarks.timing import growth


def test_a_quick_run_prints_every_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--quick", "--threads", "1"])
    printed = capsys.readouterr().out
    assert printed.startswith("# Benchmarks\n")
    for words in ("dissect the last layer", "ablate each", "plain hook loop", "explain:",
                  "images, dissection", "units, dissection", "concepts, dissection"):  # fmt: skip
        assert f"| {words}" in printed
    assert "| stage3 | Unitscope |" in printed


def test_growth_is_the_exponent() -> None:
    assert growth([1, 2, 4], [3, 6, 12]) == pytest.approx(1)
    assert growth([10, 20], [1, 4]) == pytest.approx(2)


def test_samples_are_the_same_for_a_seed() -> None:
    first, second = (make_samples(3, 32, 4) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert one.open().read() == other.open().read()
        assert one.masks.keys() == other.masks.keys()


def test_the_peers_do_the_same_work() -> None:
    model = exported("resnet18", 4, 32)
    inputs = torch.randn(2, 3, 32, 32)
    removed = hook_loop(model, "stage3", inputs, [0, 3])
    effects = captum_loop(model, "stage3", inputs, [0, 3], 16)
    for place, unit in enumerate([0, 3]):
        change = (model(inputs) - removed[place])[:, 0]
        np.testing.assert_allclose(effects[:, unit, 0, 0], change, rtol=1e-3, atol=1e-5)
