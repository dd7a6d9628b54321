"""A real-photograph example: 100 faces and 100 other patches, shipped with scikit-image.

The faces are the Labeled Faces in the Wild subset of `skimage.data.lfw_subset` (25 x 25, grey).
"""

import io
import zipfile

import numpy as np
import torch
from PIL import Image
from skimage.data import lfw_subset
from torch import nn

SIZE = 25
CLASSES = ["background", "face"]
PREPROCESSING = {
    "input_size": [SIZE, SIZE],
    "channels": 1,
    "mean": [0.5],
    "std": [0.25],
    "channel_order": "RGB",
}


def photographs() -> tuple[np.ndarray, np.ndarray]:
    """Images [200, 25, 25] in [0, 1] as 8-bit files hold them, and labels [200] (1 = face)."""
    images = np.round(lfw_subset() * 255).astype(np.uint8)
    labels = np.array([1] * 100 + [0] * 100)
    return images.astype(np.float32) / 255, labels


def class_folder_zip() -> bytes:
    """The photographs as a zip of class folders of PNG files."""
    images, labels = photographs()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            png = io.BytesIO()
            Image.fromarray(np.round(image * 255).astype(np.uint8)).save(png, "PNG")
            archive.writestr(f"{CLASSES[label]}/{number:03}.png", png.getvalue())
    return buffer.getvalue()


class FaceNet(nn.Module):
    """Two convolutional stages, global average pooling, one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.low = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        self.high = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(16, 2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.high(self.low(images))).flatten(1))


def prepared(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((images - 0.5) / 0.25)[:, None].float()


def train_face_net(steps: int = 150) -> FaceNet:
    """A few seconds of full-batch training, seeded."""
    torch.manual_seed(0)
    images, labels = photographs()
    network = FaceNet()
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    x, y = prepared(images), torch.from_numpy(labels)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimiser.step()
    return network.eval()


def export(network: nn.Module) -> bytes:
    """The network as a user exports it: `torch.export` with a free batch dimension."""
    batch = torch.export.Dim("batch", min=1, max=4096)
    program = torch.export.export(
        network, (torch.zeros(2, 1, SIZE, SIZE),), dynamic_shapes=({0: batch},)
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer.getvalue()
