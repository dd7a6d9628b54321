import hashlib
import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from torch.nn.functional import interpolate

from analysis import imaging
from analysis.imaging import ImageError, image_info, read_image, read_stored, resize, upsample_map
from tests.analysis import pictures

RAMP = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20


def test_png_8_bit_grey_is_scaled_by_255() -> None:
    image = read_image(io.BytesIO(pictures.png(RAMP)))
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, RAMP.astype(np.float32) / 255)


def test_png_16_bit_is_scaled_by_65535() -> None:
    values = np.array([[0, 1, 256], [65535, 32768, 4096]], np.uint16)
    content = pictures.png(values)
    np.testing.assert_allclose(read_image(io.BytesIO(content)), values / 65535, rtol=1e-6)
    assert image_info(io.BytesIO(content)).bits == 16


def test_colour_keeps_three_planes_and_alpha_is_dropped() -> None:
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 255, 10
    image = read_image(io.BytesIO(pictures.png(rgba)))
    assert image.shape == (2, 2, 3)
    np.testing.assert_array_equal(image.reshape(4, 3), [[1, 0, 0]] * 4)


def test_jpeg_from_a_path(tmp_path: Path) -> None:
    path = tmp_path / "flat.jpg"
    path.write_bytes(pictures.encoded(np.full((16, 8), 100, np.uint8), "JPEG"))
    np.testing.assert_allclose(read_image(path), 100 / 255, atol=1 / 255)
    info = image_info(path)
    assert (info.width, info.height, info.bits) == (8, 16, 8)
    assert info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_dicom_uses_the_range_of_the_stored_bits() -> None:
    values = np.array([[0, 2048], [4095, 1024]], np.uint16)
    content = pictures.dicom(values, 12)
    np.testing.assert_allclose(read_image(io.BytesIO(content)), values / 4095, rtol=1e-6)
    info = image_info(io.BytesIO(content))
    assert (info.width, info.height, info.bits) == (2, 2, 12)


def test_dicom_8_bit_and_signed_16_bit() -> None:
    small = np.array([[0, 255], [128, 1]], np.uint8)
    np.testing.assert_allclose(read_image(io.BytesIO(pictures.dicom(small, 8))), small / 255)
    signed = np.array([[-32768, 32767], [0, -1]], np.int16)
    expected = (signed.astype(float) + 32768) / 65535
    np.testing.assert_allclose(
        read_image(io.BytesIO(pictures.dicom(signed, 16))), expected, atol=1e-6
    )


def test_monochrome1_is_inverted() -> None:
    values = np.array([[0, 4095]], np.uint16)
    image = read_image(io.BytesIO(pictures.dicom(values, 12, "MONOCHROME1")))
    np.testing.assert_array_equal(image, [[1, 0]])


def test_dicom_window_follows_the_standard() -> None:
    """PS3.3 C.11.2.1.2.1, linear: out = ((x - (c - 0.5)) / (w - 1) + 0.5) * range."""
    values = np.array([[0, 900, 1000, 1100, 4095]], np.uint16)
    content = pictures.dicom(values, 12, WindowCenter=1000, WindowWidth=401)
    expected = np.clip((values - 999.5) / 400 + 0.5, 0, 1)
    np.testing.assert_allclose(read_image(io.BytesIO(content)), expected, atol=1e-6)


def test_dicom_window_applies_to_rescaled_values() -> None:
    values = np.array([[0, 100, 200]], np.uint16)
    content = pictures.dicom(
        values, 12, RescaleSlope=2, RescaleIntercept=-50, WindowCenter=150, WindowWidth=101
    )
    expected = np.clip((values * 2.0 - 50 - 149.5) / 100 + 0.5, 0, 1)
    np.testing.assert_allclose(read_image(io.BytesIO(content)), expected, atol=1e-5)


def test_dicom_voi_lut_is_applied() -> None:
    lut = pydicom.Dataset()
    lut.add_new("LUTDescriptor", "US", [4, 0, 8])
    lut.add_new("LUTData", "US", [0, 200, 100, 255])
    values = np.array([[0, 1, 2, 3, 9]], np.uint16)
    content = pictures.dicom(values, 12, VOILUTSequence=[lut])
    image = read_image(io.BytesIO(content))
    np.testing.assert_allclose(image, np.array([[0, 200, 100, 255, 255]]) / 255, atol=1e-6)


def test_dicom_without_preamble_is_known_by_its_suffix() -> None:
    values = np.array([[0, 4095]], np.uint16)
    content = pictures.dicom(values, 12)[132:]
    np.testing.assert_array_equal(read_image(io.BytesIO(content), suffix=".DCM"), [[0, 1]])


LUT = pydicom.Dataset()
LUT.add_new("LUTDescriptor", "US", [4, 0, 8])
LUT.add_new("LUTData", "US", [0, 200, 100, 255])
DEEP = np.array([[0, 100, 200, 900], [1000, 1100, 2048, 4095]], np.uint16)


@pytest.mark.parametrize(
    "content",
    [
        pictures.png(RAMP),
        pictures.png(np.stack([RAMP, RAMP[::-1], RAMP // 2], axis=-1)),
        pictures.png(DEEP * 16),
        pictures.dicom(DEEP, 12),
        pictures.dicom(DEEP, 12, "MONOCHROME1"),
        pictures.dicom(DEEP.astype(np.int16) - 2048, 12),
        pictures.dicom(DEEP, 12, WindowCenter=1000, WindowWidth=401),
        pictures.dicom(
            DEEP.astype(np.int16) - 2048, 12,
            RescaleSlope=2, RescaleIntercept=-50, WindowCenter=[100, 0], WindowWidth=[900, 80],
        ),
        pictures.dicom(
            DEEP, 12, "MONOCHROME1",
            WindowCenter=1000, WindowWidth=401, VOILUTFunction="LINEAR_EXACT",
        ),
        pictures.dicom(DEEP, 12, VOILUTSequence=[LUT]),
    ],
)  # fmt: skip
def test_stored_values_through_the_first_window_are_what_the_model_reads(content: bytes) -> None:
    stored = read_stored(io.BytesIO(content))
    low, high = stored.windows[0]
    shown = np.clip((stored.values - low) / (high - low), 0, 1)
    shown = 1 - shown if stored.inverted else shown
    np.testing.assert_allclose(shown, read_image(io.BytesIO(content)), atol=1e-5)


def test_stored_values_keep_every_grey_level_that_a_window_clips() -> None:
    content = pictures.dicom(
        DEEP, 12, WindowCenter=[1000, 2000], WindowWidth=[401, 4001], RescaleSlope=2
    )
    stored = read_stored(io.BytesIO(content))
    np.testing.assert_array_equal(stored.values, DEEP)
    assert stored.windows == [(399.75, 599.75), (-0.25, 1999.75)]
    assert (stored.bits, stored.full, stored.slope) == (12, (0, 4095), 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"hello, world", "not a PNG, JPEG or DICOM"),
        (pictures.png(RAMP)[:50], "damaged"),
        (pictures.dicom(np.zeros((2, 2), np.uint16), 12)[:-6], "cannot be decoded"),
        (pictures.dicom(np.zeros((2, 2), np.uint16), 12, "PALETTE COLOR"), "PALETTE COLOR"),
        (pictures.dicom(np.zeros((2, 2), np.uint16), 12, NumberOfFrames=3), "3 frames"),
    ],
)
def test_unusable_files_get_a_clear_message(content: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        read_image(io.BytesIO(content))


def test_huge_images_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imaging, "MAX_PIXELS", 11)
    for content in (pictures.png(RAMP), pictures.dicom(RAMP, 8)):
        with pytest.raises(ImageError, match="4 x 3 pixels"):
            read_image(io.BytesIO(content))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "DICOM"])
def test_damaged_bytes_never_raise_anything_else(kind: str) -> None:
    generator = np.random.default_rng(0)
    picture = generator.integers(0, 256, (12, 12), np.uint8)
    good = pictures.dicom(picture, 8) if kind == "DICOM" else pictures.encoded(picture, kind)
    for _ in range(200):
        bad = bytearray(good)
        for position in generator.integers(0, len(bad), 4):
            bad[position] = generator.integers(0, 256)
        try:
            image = read_image(io.BytesIO(bytes(bad)))
        except ImageError:
            continue
        assert image.min() >= 0
        assert image.max() <= 1


@pytest.mark.parametrize("size", [(20, 30), (7, 5), (32, 8)])
def test_resize_agrees_with_torch(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((16, 12), np.float32)
    expected = interpolate(
        torch.from_numpy(image)[None, None],
        size,
        mode="bilinear",
        align_corners=False,
        antialias=True,
    )[0, 0]
    np.testing.assert_allclose(resize(image, size), expected, atol=1e-5)
    colour = np.stack([image, image * 0.5, 1 - image], axis=-1)
    np.testing.assert_allclose(resize(colour, size)[..., 1], expected / 2, atol=1e-5)


@pytest.mark.parametrize("size", [(7, 7), (28, 35), (224, 200), (3, 5)])
def test_upsample_map_agrees_with_torch(size: tuple[int, int]) -> None:
    activation = np.random.default_rng(0).normal(size=(7, 7)).astype(np.float32)
    expected = interpolate(
        torch.from_numpy(activation)[None, None], size, mode="bilinear", align_corners=False
    )[0, 0]
    np.testing.assert_allclose(upsample_map(activation, size), expected, atol=1e-5)
