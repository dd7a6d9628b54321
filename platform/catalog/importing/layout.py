"""What each file of a dataset is: from a manifest, or from the names of its folders.

Both formats are described in docs/bring-your-own.md.
"""

import csv
import hashlib
import io
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from catalog.importing.errors import DatasetError, FileError
from catalog.importing.sources import SPLIT_FOLDERS, Source
from catalog.importing.text import is_storable, printable, strict_json
from catalog.models import Split

MANIFEST = "manifest.csv"
DESCRIPTION = "dataset.json"
LIMITS = {"name": 160, "patient": 80, "study": 80, "laterality": 1, "view": 10}
MAX_CLASS_NAME = 80
CONCEPT_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
# DICOM files are often named by a UID alone: what follows its last dot is no suffix.
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".dcm", ".dicom", ".dic", ".ima"}
# "p012__left.png": what stands before the double underscore is the patient.
PATIENT_PREFIX = re.compile(r"(.+?)__")


@dataclass(frozen=True)
class Entry:
    """One image: its file, what it is called and what belongs to it.

    masks: concept key -> path of the mask. Paths are those of the source.
    """

    path: str
    name: str
    patient: str
    class_name: str = ""
    split: str = Split.VALIDATION
    study: str = ""
    laterality: str = ""
    view: str = ""
    report: str = ""
    masks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ConceptEntry:
    key: str
    name: str
    category: str
    term: str | None


@dataclass
class Layout:
    """entries may be imported; left_out lists (file, reason) of what cannot."""

    description: str
    class_names: list[str]
    concepts: list[ConceptEntry]
    entries: list[Entry]
    left_out: list[tuple[str, str]]


def read_layout(source: Source) -> Layout:
    """Find out what the files are. Contents of images are not looked at.

    Raises:
        DatasetError: no files at all, a faulty manifest or description, or a patient whose images
            are in more than one split.
    """
    if not source.files:
        raise DatasetError("There are no files in it. Add a folder or zip archive of images.")
    layout = _from_manifest(source) if MANIFEST in source.files else _from_folders(source)
    layout.left_out[:0] = source.left_out
    _leave_out_unusable(layout)
    _refuse_patients_in_two_splits(layout.entries)
    return layout


def _from_manifest(source: Source) -> Layout:
    rows = _manifest_rows(source)
    description = _description(source)
    concepts = [_concept(values) for values in description.get("concepts", [])]
    class_names = description.get("classes") or sorted(
        {row["class"] for row in rows if row.get("class")}
    )
    if not all(isinstance(name, str) and 1 <= len(name) <= MAX_CLASS_NAME for name in class_names):
        raise DatasetError(
            f"{DESCRIPTION}: classes must be names of at most {MAX_CLASS_NAME} characters."
        )
    _refuse_repeated(DESCRIPTION, "concept", (concept.key for concept in concepts))
    _refuse_repeated(DESCRIPTION, "class", class_names)
    masks = _masks_by_stem(source)
    left_out = [
        (f"masks/{key}", f"{DESCRIPTION} has no concept “{key}”. Add it there.")
        for key in sorted(masks.keys() - {concept.key for concept in concepts})
    ]
    entries = []
    for row in rows:
        try:
            entries.append(_manifest_entry(row, source, class_names, concepts, masks))
        except FileError as error:
            left_out.append((row["image"], str(error)))
    return Layout(
        str(description.get("description", "")), list(class_names), concepts, entries, left_out
    )


def _manifest_rows(source: Source) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(_text(source, MANIFEST)), strict=True)
    try:
        rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]
    except (csv.Error, AttributeError) as error:
        raise DatasetError(f"{MANIFEST} is not a CSV table ({error}).") from error
    if "image" not in (reader.fieldnames or []):
        raise DatasetError(
            f"{MANIFEST} needs a header line with the column image; the others are patient, study, "
            "laterality, view, class, split and report."
        )
    return rows


def _manifest_entry(
    row: dict[str, str],
    source: Source,
    class_names: list[str],
    concepts: list[ConceptEntry],
    masks: Mapping[str, Mapping[str, str]],
) -> Entry:
    path = PurePosixPath(row["image"]).as_posix()
    if path not in source.files:
        raise FileError("The manifest lists it, but there is no such file.")
    class_name = row.get("class", "")
    if class_name and class_name not in class_names:
        raise FileError(f"The class “{class_name}” is not one of {', '.join(class_names)}.")
    split = row.get("split") or Split.VALIDATION
    if split not in Split.values:
        raise FileError(f"The split “{split}” is not one of {', '.join(Split.values)}.")
    stem = _without_suffix(path).name
    return Entry(
        path=path,
        name=stem,
        patient=row.get("patient") or stem,
        class_name=class_name,
        split=split,
        study=row.get("study", ""),
        laterality=row.get("laterality", ""),
        view=row.get("view", ""),
        report=PurePosixPath(row["report"]).as_posix() if row.get("report") else "",
        masks={
            concept.key: masks[concept.key][stem]
            for concept in concepts
            if stem in masks.get(concept.key, {})
        },
    )


def _description(source: Source) -> dict[str, Any]:
    if DESCRIPTION not in source.files:
        return {}
    try:
        content = strict_json(_text(source, DESCRIPTION))
    except ValueError as error:
        raise DatasetError(f"{DESCRIPTION} is not valid JSON ({error}).") from error
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key, []), list) for key in ("classes", "concepts")
    ):
        raise DatasetError(f"{DESCRIPTION} must be an object with the lists classes and concepts.")
    return content


def _concept(values: Any) -> ConceptEntry:
    key = values.get("key") if isinstance(values, dict) else None
    if not isinstance(key, str) or not CONCEPT_KEY.fullmatch(key):
        raise DatasetError(
            f"{DESCRIPTION}: every concept needs a key of at most 60 letters, digits, - and _."
        )
    name = str(values.get("name") or key)
    category = str(values.get("category") or "")
    if len(name) > 120 or len(category) > 60:
        raise DatasetError(f"{DESCRIPTION}: the name or category of the concept {key} is too long.")
    return ConceptEntry(key, name, category, values.get("term"))


def _masks_by_stem(source: Source) -> dict[str, dict[str, str]]:
    """Concept key -> file stem -> path, for files masks/<key>/<stem>.<suffix>."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted(source.files):
        parts = path.split("/")
        if len(parts) == 3 and parts[0] == "masks":
            found[parts[1]][_without_suffix(path).name] = path
    return found


def _from_folders(source: Source) -> Layout:
    parts = {path: path.split("/") for path in sorted(source.files)}
    tops = {names[0].lower() for names in parts.values() if len(names) > 1}
    by_split = bool(tops) and tops <= SPLIT_FOLDERS.keys()
    entries = [_folder_entry(path, names, by_split) for path, names in parts.items()]
    return Layout("", [], [], entries, [])


def _folder_entry(path: str, parts: list[str], by_split: bool) -> Entry:
    """[split/]class/[patient/]file; a file without folders has no class."""
    in_split = by_split and len(parts) > 1
    split = SPLIT_FOLDERS[parts[0].lower()] if in_split else Split.VALIDATION
    folders = parts[1:-1] if in_split else parts[:-1]
    name = _without_suffix(path)
    prefix = PATIENT_PREFIX.match(name.name)
    patient = prefix[1] if prefix else "/".join(folders[1:]) or name.as_posix()
    return Entry(path, name.as_posix(), patient, folders[0] if folders else "", split)


def _without_suffix(path: str) -> PurePosixPath:
    """The path without the suffix of an image file, if it has one."""
    whole = PurePosixPath(path)
    return whole.with_suffix("") if whole.suffix.lower() in IMAGE_SUFFIXES else whole


def _leave_out_unusable(layout: Layout) -> None:
    """Keep entries whose texts fit the database and whose name is their own."""
    counts = Counter(entry.name for entry in layout.entries)
    kept = []
    for entry in layout.entries:
        too_long = [key for key, limit in LIMITS.items() if len(getattr(entry, key)) > limit]
        if too_long == ["patient"] and entry.patient == entry.name:
            digest = hashlib.sha256(entry.name.encode()).hexdigest()[: LIMITS["patient"]]
            entry, too_long = replace(entry, patient=digest), []
        if too_long:
            limit = LIMITS[too_long[0]]
            reason = f"Its {too_long[0]} has more than {limit} characters. Shorten it."
        elif len(entry.class_name) > MAX_CLASS_NAME:
            reason = f"Its class has more than {MAX_CLASS_NAME} characters. Shorten it."
        elif not is_storable(entry.path):
            reason = "Its name holds characters that are no text. Rename it."
        elif counts[entry.name] > 1:
            reason = f"Several images are called “{entry.name}”. Give each its own name."
        else:
            kept.append(entry)
            continue
        layout.left_out.append((printable(entry.path), reason))
    layout.entries = kept


def _refuse_patients_in_two_splits(entries: list[Entry]) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        splits[entry.patient].add(entry.split)
    divided = sorted(patient for patient, found in splits.items() if len(found) > 1)
    if divided:
        raise DatasetError(
            f"{len(divided)} patients have images in more than one split (first: {divided[0]}). "
            "Results on them would look better than they are. Give every patient one split."
        )


def _refuse_repeated(file: str, what: str, values: Iterable[str]) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise DatasetError(f"{file} lists the {what} “{repeated[0]}” more than once.")


def _text(source: Source, path: str) -> str:
    try:
        text = source.read(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path} is not UTF-8 text. Save it as UTF-8.") from error
    except FileError as error:
        raise DatasetError(f"{path}: {error}") from error
    if not is_storable(text):
        raise DatasetError(f"{path} holds characters that are no text (zero bytes or surrogates).")
    return text
