"""The only image reader of the product: PNG, JPEG and DICOM in, float arrays in [0, 1] out.

It needs numpy, Pillow and pydicom, and no torch, so that the web process can render images and
activation maps with the code that the network saw them through.
"""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
from PIL import Image, ImageOps
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from analysis.errors import AnalysisError

MAX_PIXELS = 100_000_000
"""Images with more pixels are refused undecoded (a mammogram has about 20 M)."""

MAX_BYTES = 500_000_000
"""Files larger than this are refused before they are read."""

# Settings of the libraries, which have them per process: Pillow must not warn about images that are
# accepted here, and pydicom must not print values of patients' files that break a rule.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_DICOM_SUFFIXES = {".dcm", ".dicom"}
_PILLOW_FORMATS = ("PNG", "JPEG")
_PILLOW_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error)


class ImageError(AnalysisError):
    """An image cannot be used; the message tells the user why and what to do."""


@dataclass(frozen=True)
class ImageInfo:
    """An image file: size in pixels, bits per sample as stored, SHA-256 of its bytes."""

    width: int
    height: int
    bits: int
    sha256: str


@dataclass(frozen=True)
class StoredPixels:
    """An image at its stored depth, for windowing on a screen.

    values: uint16 [H, W] or [H, W, 3]. The value v of a DICOM image stands for
    `v * slope + intercept` in its own units. A window (low, high), in `values`, shows low and less
    as black, high and more as white; the other way round where `inverted` (MONOCHROME1).
    full: the range of the stored bits. windows: those of the file, or `full`; through the first one
    the image looks as `read_image` reads it (but for VOI functions that are not linear).
    """

    values: np.ndarray
    bits: int
    full: tuple[float, float]
    windows: list[tuple[float, float]]
    slope: float = 1.0
    intercept: float = 0.0
    inverted: bool = False


def read_image(source: Path | BinaryIO, *, suffix: str | None = None) -> np.ndarray:
    """Read an image as float32 in [0, 1], shape [H, W] (grey) or [H, W, 3] (RGB).

    The content decides the format; `suffix` (".dcm") only helps with DICOM files that lack the
    preamble. Full scale is the full range of the stored bits, so values of different images can be
    compared. DICOM: the first VOI LUT or window is applied where present (PS3.3 C.11.2), otherwise
    the range of BitsStored is used; MONOCHROME1 is inverted so that high values are bright.
    Transparency is dropped; EXIF rotation is applied.

    Raises ImageError: not an image, damaged, unsupported kind, or more than MAX_PIXELS pixels.
    """
    content = _content(source)
    if _is_dicom(content, source, suffix):
        return _dicom_pixels(_open_dicom(content))
    return _pillow_pixels(content)


def read_stored(source: Path | BinaryIO, *, suffix: str | None = None) -> StoredPixels:
    """Read an image without giving up any of its grey levels. Raises what `read_image` raises.

    Where a DICOM file has a lookup table in place of a window, the values are those it gives.
    """
    content = _content(source)
    if _is_dicom(content, source, suffix):
        return _dicom_stored(_open_dicom(content))
    pixels = _pillow_pixels(content)
    bits = 16 if _is_deep(content) else 8
    full = (0.0, 2.0**bits - 1)
    return StoredPixels(np.rint(pixels * full[1]).astype(np.uint16), bits, full, [full])


def image_info(source: Path | BinaryIO, suffix: str | None = None) -> ImageInfo:
    """Size, stored bits and SHA-256 of an image, from its header only. Raises ImageError."""
    content = _content(source)
    digest = hashlib.sha256(content).hexdigest()
    if _is_dicom(content, source, suffix):
        dataset = _open_dicom(content)
        return ImageInfo(int(dataset.Columns), int(dataset.Rows), int(dataset.BitsStored), digest)
    with _open_pillow(content) as image:
        try:
            swapped = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        except (OSError, ValueError, SyntaxError) as error:
            raise ImageError(f"The image is damaged ({error}). Export it again.") from error
        width, height = image.size[::-1] if swapped else image.size
        return ImageInfo(width, height, 16 if image.mode.startswith("I") else 8, digest)


def resize(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize [H, W] or [H, W, 3] to `size` (height, width), float32.

    Bilinear with half-pixel centres; when shrinking, the filter widens by the scale (antialias),
    as `torch.nn.functional.interpolate(..., antialias=True)` does.
    """
    height, width = size
    if array.shape[:2] == (height, width):
        return array.astype(np.float32, copy=False)
    planes = array[..., None] if array.ndim == 2 else array
    resized = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(planes[..., c], dtype=np.float32)).resize(
                (width, height), Image.Resampling.BILINEAR
            )
        )
        for c in range(planes.shape[-1])
    ]
    return resized[0] if array.ndim == 2 else np.stack(resized, axis=-1)


def upsample_map(map2d: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolate an activation map [h, w] to `size` (height, width), float32.

    The convention of `torch.nn.functional.interpolate(mode="bilinear", align_corners=False)`,
    which the dissection uses for its overlaps: half-pixel centres, border values repeated.
    """
    rows = _bilinear_weights(map2d.shape[0], size[0])
    columns = _bilinear_weights(map2d.shape[1], size[1])
    return rows @ map2d.astype(np.float32, copy=False) @ columns.T


@lru_cache(maxsize=64)
def _bilinear_weights(source: int, target: int) -> np.ndarray:
    """Matrix [target, source] whose rows hold the two weights of each output position."""
    centre = np.maximum((np.arange(target) + 0.5) * source / target - 0.5, 0.0)
    left = np.minimum(centre.astype(np.int64), source - 1)
    right = np.minimum(left + 1, source - 1)
    fraction = (centre - left).astype(np.float32)
    weights = np.zeros((target, source), np.float32)
    position = np.arange(target)
    np.add.at(weights, (position, left), 1 - fraction)
    np.add.at(weights, (position, right), fraction)
    weights.flags.writeable = False
    return weights


def _content(source: Path | BinaryIO) -> bytes:
    if isinstance(source, Path):
        with source.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    else:
        content = source.read(MAX_BYTES + 1)
    if not content:
        raise ImageError("The file is empty. Upload it again.")
    if len(content) > MAX_BYTES:
        raise ImageError(f"The file is larger than {MAX_BYTES // 10**6} MB. Reduce the image.")
    return content


def _is_dicom(content: bytes, source: Path | BinaryIO, suffix: str | None) -> bool:
    if content[128:132] == b"DICM":
        return True
    if suffix is None and isinstance(source, Path):
        suffix = source.suffix
    return (suffix or "").lower() in _DICOM_SUFFIXES


def _check_pixels(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise ImageError("The image has no pixels. Export it again.")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"The image has {width} x {height} pixels; at most {MAX_PIXELS // 10**6} million are "
            "read. Reduce its size."
        )


def _open_pillow(content: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content), formats=_PILLOW_FORMATS)
    except Image.DecompressionBombError as error:
        raise ImageError("The image has too many pixels. Reduce its size.") from error
    except _PILLOW_ERRORS as error:
        raise ImageError(
            "The file is not a PNG, JPEG or DICOM image, or it is damaged. "
            "Convert it to one of these formats."
        ) from error
    _check_pixels(*image.size)
    return image


def _pillow_pixels(content: bytes) -> np.ndarray:
    with _open_pillow(content) as image:
        try:
            turned = ImageOps.exif_transpose(image)
            if turned.mode.startswith("I"):
                return np.asarray(turned, dtype=np.float32) / np.float32(65535)
            grey = turned.mode in ("1", "L", "LA", "La")
            pixels = np.asarray(turned.convert("L" if grey else "RGB"), dtype=np.float32)
        except _PILLOW_ERRORS as error:
            raise ImageError(f"The image is damaged ({error}). Export it again.") from error
    return pixels / np.float32(255)


def _open_dicom(content: bytes) -> pydicom.Dataset:
    try:
        dataset = pydicom.dcmread(io.BytesIO(content), force=True)
        if "PixelData" not in dataset:
            raise ImageError("The DICOM file holds no image. Upload an image object.")
        frames = int(dataset.get("NumberOfFrames") or 1)
        if frames != 1:
            raise ImageError(
                f"The DICOM file holds {frames} frames; single images are read. Export one frame."
            )
        _check_pixels(int(dataset.Columns), int(dataset.Rows))
        if not 1 <= int(dataset.BitsStored) <= 16:
            raise ImageError("DICOM images with 1 to 16 bits are read. Convert the image.")
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(
            f"The DICOM file cannot be read ({_brief(error)}). Export it again."
        ) from error
    return dataset


def _is_deep(content: bytes) -> bool:
    with _open_pillow(content) as image:
        return image.mode.startswith("I")


def _dicom_stored(dataset: pydicom.Dataset) -> StoredPixels:
    stored, grey = _decoded(dataset)
    bits = int(dataset.BitsStored)
    full = (0.0, 2.0**bits - 1)
    if not grey:
        return StoredPixels(_as_uint16(stored), bits, full, [full])
    inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    try:
        if dataset.get("VOILUTSequence"):
            values, _, top = _display_values(dataset, stored)
            return StoredPixels(
                _as_uint16(values), bits, (0.0, top), [(0.0, top)], inverted=inverted
            )
        slope, intercept = 1.0, 0.0
        if "ModalityLUTSequence" in dataset:
            stored = apply_modality_lut(stored, dataset)
            full = (0.0, _lut_top(dataset.ModalityLUTSequence[0]))
        else:
            slope = float(dataset.get("RescaleSlope", 1))
            intercept = float(dataset.get("RescaleIntercept", 0))
            if int(dataset.get("PixelRepresentation", 0)) == 1:
                half = 2 ** (bits - 1)
                stored = stored.astype(np.int32) + half
                intercept -= half * slope
        windows = [
            ((low - intercept) / slope, (high - intercept) / slope)
            for low, high in _windows(dataset)
        ]
    except Exception as error:
        raise _bad_window(error) from error
    return StoredPixels(
        _as_uint16(stored), bits, full, windows or [full], slope, intercept, inverted
    )


def _windows(dataset: Any) -> list[tuple[float, float]]:
    """The file's windows as the values at their ends (PS3.3 C.11.2.1.2)."""
    if dataset.get("WindowCenter") is None or dataset.get("WindowWidth") is None:
        return []
    centres, widths = (
        np.atleast_1d(dataset[name].value) for name in ("WindowCenter", "WindowWidth")
    )
    exact = dataset.get("VOILUTFunction", "LINEAR") != "LINEAR"
    ends = []
    for centre, width in zip(centres.astype(float), widths.astype(float), strict=False):
        middle, half = (centre, width / 2) if exact else (centre - 0.5, (width - 1) / 2)
        if half > 0:
            ends.append((middle - half, middle + half))
    return ends


def _as_uint16(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values.astype(np.float32)), 0, 65535).astype(np.uint16)


def _decoded(dataset: pydicom.Dataset) -> tuple[np.ndarray, bool]:
    """The stored values, and whether they are grey (else RGB)."""
    try:
        stored = dataset.pixel_array
    except Exception as error:
        raise ImageError(
            f"The pixels of the DICOM file cannot be decoded ({_brief(error)}). "
            "Export it uncompressed."
        ) from error
    photometric = str(dataset.get("PhotometricInterpretation", "MONOCHROME2"))
    if stored.ndim == 3 and photometric.startswith(("RGB", "YBR")):
        return stored, False
    if stored.ndim != 2 or not photometric.startswith("MONOCHROME"):
        raise ImageError(
            f"DICOM images of the kind {photometric} are not read. Convert to grey or RGB."
        )
    return stored, True


def _dicom_pixels(dataset: pydicom.Dataset) -> np.ndarray:
    stored, grey = _decoded(dataset)
    if not grey:
        full = np.float32(2 ** int(dataset.BitsStored) - 1)
        return np.clip(stored.astype(np.float32) / full, 0, 1)
    try:
        values, low, high = _display_values(dataset, stored)
    except Exception as error:
        raise _bad_window(error) from error
    if not low < high:
        raise ImageError("The rescale slope of the DICOM file is invalid.")
    scaled = np.clip((values.astype(np.float32) - np.float32(low)) / np.float32(high - low), 0, 1)
    inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    return 1 - scaled if inverted else scaled


def _bad_window(error: Exception) -> ImageError:
    return ImageError(f"The window or lookup table of the DICOM file is invalid ({_brief(error)}).")


def _brief(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _display_values(dataset: Any, stored: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Values after the VOI step with the ends of the range they are shown in."""
    bits = int(dataset.BitsStored)
    low, high = (0.0, 2.0**bits - 1)
    if int(dataset.get("PixelRepresentation", 0)) == 1:
        low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1)
    lut = dataset.get("VOILUTSequence")
    if lut:
        return apply_voi_lut(apply_modality_lut(stored, dataset), dataset), 0.0, _lut_top(lut[0])
    if dataset.get("WindowCenter") is None or dataset.get("WindowWidth") is None:
        return stored, low, high
    if "ModalityLUTSequence" in dataset:
        low, high = 0.0, _lut_top(dataset.ModalityLUTSequence[0])
    else:
        slope = float(dataset.get("RescaleSlope", 1))
        intercept = float(dataset.get("RescaleIntercept", 0))
        low, high = low * slope + intercept, high * slope + intercept
    return apply_voi_lut(apply_modality_lut(stored, dataset), dataset), low, high


def _lut_top(lut: Any) -> float:
    return 2.0 ** int(lut.LUTDescriptor[2]) - 1
