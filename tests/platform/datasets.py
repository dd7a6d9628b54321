"""Small datasets on disk, and zip archives that mean harm."""

import csv
import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEADER = ["image", "patient", "study", "laterality", "view", "class", "split", "report"]
SIDE = 12


def png(value: int | np.ndarray = 90, side: int = SIDE) -> bytes:
    """A grey PNG: one value everywhere, or the given pixels."""
    pixels = np.full((side, side), value, np.uint8) if isinstance(value, int) else value
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def mask() -> bytes:
    pixels = np.zeros((SIDE, SIDE), np.uint8)
    pixels[3:6, 4:8] = 255
    return png(pixels)


def write(root: Path, files: Mapping[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def manifest(*rows: Mapping[str, str]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, HEADER)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def full_dataset() -> dict[str, bytes | str]:
    """Two patients, three images, a mask of a concept with a term and a report."""
    description = {
        "name": "Small",
        "description": "Three images.",
        "classes": ["normal", "benign"],
        "concepts": [
            {"key": "mass", "name": "Mass", "category": "mass", "term": "mass"},
            {"key": "vessel", "name": "Vessel", "category": "anatomy", "term": None},
        ],
    }
    rows = [
        {
            "image": f"images/{patient}_{side}_CC.png",
            "patient": patient,
            "study": f"{patient}-1",
            "laterality": side,
            "view": "CC",
            "class": label,
            "split": split,
            "report": report,
        }
        for patient, side, label, split, report in (
            ("p1", "L", "benign", "validation", "reports/p1_L_CC.json"),
            ("p1", "R", "normal", "validation", ""),
            ("p2", "L", "", "test", ""),
        )
    ]
    return {
        "dataset.json": json.dumps(description),
        "manifest.csv": manifest(*rows),
        "images/p1_L_CC.png": png(40),
        "images/p1_R_CC.png": png(80),
        "images/p2_L_CC.png": png(120),
        "masks/mass/p1_L_CC.png": mask(),
        "reports/p1_L_CC.json": json.dumps({"assessment": "2"}),
    }


def zipped(path: Path, files: Mapping[str, bytes | str], **kwargs: Any) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **kwargs) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path
