import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from analysis.dissection import hotspots
from analysis.dissection.hotspots import Hotspots

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("cells", "grid"),
    [
        ((7, 7), (224, 224)),
        ((16, 16), (256, 256)),
        ((5, 9), (37, 61)),
        ((8, 8), (8, 8)),
        ((12, 10), (5, 7)),
        ((1, 1), (6, 6)),
        ((2, 3), (3, 2)),
    ],
)
@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.95, 1.0])
def test_it_counts_what_upsampling_everything_counts(
    cells: tuple[int, int], grid: tuple[int, int], quantile: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hotspots, "_ELEMENTS_AT_ONCE", 5000)
    generator = torch.Generator().manual_seed(2)
    maps = torch.randn(6, *cells, generator=generator).relu()
    maps[5] = 0
    # Between two values, so that no pixel lies at the threshold up to rounding.
    threshold = torch.quantile(maps.flatten(1), quantile, dim=1) + 0.01234
    masks = torch.rand(3, *grid, generator=generator) > 0.8
    masks[2, : grid[0] // 2] = False
    fine = interpolate(maps[None], grid, mode="bilinear", align_corners=False)[0]
    on = fine > threshold[:, None, None]
    area, shared = Hotspots(cells, grid, CPU).count(maps, threshold, masks.numpy())
    np.testing.assert_array_equal(area, on.sum((1, 2)))
    expected = (on[:, None] & masks[None]).sum((2, 3))
    np.testing.assert_array_equal(shared, expected)
    area_alone, none = Hotspots(cells, grid, CPU).count(maps, threshold, masks[:0].numpy())
    np.testing.assert_array_equal(area_alone, area)
    assert none.shape == (6, 0)


def test_a_threshold_at_the_value_of_a_flat_map_is_not_exceeded() -> None:
    maps = torch.full((2, 7, 7), 0.3)
    area, _ = Hotspots((7, 7), (224, 224), CPU).count(
        maps, torch.full((2,), 0.3), np.zeros((0, 224, 224), bool)
    )
    assert area.tolist() == [0, 0]
