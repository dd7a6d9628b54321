"""The untrained twin of a model: same weights in another order, other outputs, same bytes again."""

from pathlib import Path

import pytest
import torch
from torch import nn

from analysis.models.errors import ModelError, UnsafeModelError
from analysis.models.loading import load_model
from analysis.models.shuffling import write_shuffled
from tests.analysis.networks import SmallResNet

IMAGES = torch.randn(16, 1, 32, 32, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network whose batch norms hold the statistics of the images, as a trained one does."""
    torch.manual_seed(3)
    network = SmallResNet()
    for _ in range(30):
        network(3 * IMAGES + 2)
    path = tmp_path_factory.mktemp("shuffling") / "model.pt2"
    _export(network, path)
    return path


def test_each_weight_tensor_keeps_its_values_in_another_order(source: Path, tmp_path: Path) -> None:
    write_shuffled(source, tmp_path / "control.pt2", IMAGES, seed=1)
    before, after = load_model(source), load_model(tmp_path / "control.pt2")
    shuffled = dict(after.named_parameters())
    for name, weights in before.named_parameters():
        assert shuffled[name].shape == weights.shape
        assert torch.equal(shuffled[name].flatten().sort()[0], weights.flatten().sort()[0]), name
    kernel = dict(before.named_parameters())["stage2.0.conv1.weight"]
    assert not torch.equal(shuffled["stage2.0.conv1.weight"], kernel)

    old, new = before(IMAGES), after(IMAGES)
    assert new.shape == old.shape
    assert torch.corrcoef(torch.stack([old.flatten(), new.flatten()]))[0, 1] < 0.9


def test_the_batch_norms_are_measured_again(source: Path, tmp_path: Path) -> None:
    """Each normalises what reaches it on the images; with the old statistics it would not."""
    write_shuffled(source, tmp_path / "control.pt2", IMAGES, seed=1)
    after = load_model(tmp_path / "control.pt2")
    reaching = []
    after.get_submodule("stem.0").register_forward_hook(lambda _m, _i, out: reaching.append(out))
    after(IMAGES)
    values = reaching[0].double().transpose(0, 1).flatten(1)
    buffers = dict(after.named_buffers())
    torch.testing.assert_close(buffers["stem.1.running_mean"].double(), values.mean(1))
    torch.testing.assert_close(
        buffers["stem.1.running_var"].double(), values.var(1, correction=0), rtol=1e-4, atol=1e-6
    )
    old = dict(load_model(source).named_buffers())["stem.1.running_mean"].double()
    assert not torch.allclose(old, values.mean(1), atol=1e-2)


def test_the_same_seed_gives_the_same_file_and_another_seed_another(
    source: Path, tmp_path: Path
) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_shuffled(source, tmp_path / f"{name}.pt2", IMAGES, seed=seed)
    first, again, other = ((tmp_path / f"{name}.pt2").read_bytes() for name in "abc")
    assert first == again
    assert first != other


def test_what_cannot_be_shuffled_is_refused_in_words(tmp_path: Path) -> None:
    network = SmallResNet()
    for weights in network.parameters():
        nn.init.constant_(weights, 0.5)
    _export(network, tmp_path / "even.pt2")
    with pytest.raises(ModelError, match="nothing to shuffle"):
        write_shuffled(tmp_path / "even.pt2", tmp_path / "control.pt2", IMAGES, seed=1)
    (tmp_path / "not.pt2").write_bytes(b"no archive")
    with pytest.raises(UnsafeModelError):
        write_shuffled(tmp_path / "not.pt2", tmp_path / "control.pt2", IMAGES, seed=1)
    assert not (tmp_path / "control.pt2").exists()


def _export(network: nn.Module, path: Path) -> None:
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(
        network.eval(), (torch.zeros(2, 1, 32, 32),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, path)
