"""Writing an import: files first, then all rows in one transaction, or neither."""

import uuid
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import transaction
from django.utils.text import get_valid_filename

from analysis.errors import Cancelled
from catalog.importing.errors import DatasetError, FileError
from catalog.importing.files import CheckedImage, check_image
from catalog.importing.layout import Entry, Layout, read_layout
from catalog.importing.sources import Source, open_source
from catalog.models import Concept, ConceptMask, Dataset, Image, ImportState
from catalog.stored_folders import delete_folder

THREADS = 4
BATCH = 32
ROWS = 1000
LISTED = 20

Progress = Callable[[int, int, str], None]


@dataclass
class ImportReport:
    """imported: number of images. errors: (file, reason) of everything that was left out."""

    imported: int
    errors: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class _Stored:
    """Rows to be written for one image whose files lie in the storage."""

    image: Image
    masks: dict[str, str]
    report_error: tuple[str, str] | None


def import_dataset(
    dataset: Dataset, source_path: Path, *, progress: Progress, should_stop: Callable[[], bool]
) -> ImportReport:
    """Import the folder or zip archive at `source_path`; the dataset is then ready.

    Files that cannot be used are left out and listed in the report and in the dataset's message.
    Unless the import completes, no row and no file of it remains. A second import of a dataset
    that is ready does nothing, so a job may run twice.

    Args:
        progress: called with (done, total, stage).
        should_stop: asked after every few images.

    Raises:
        DatasetError: nothing in it can be imported, or the whole of it is faulty.
        Cancelled: `should_stop` returned True.
    """
    dataset.refresh_from_db()
    if dataset.state == ImportState.READY:
        return ImportReport(dataset.images.count())
    home = f"projects/{dataset.project.slug}/datasets/{dataset.pk}"
    folder = f"{home}/{uuid.uuid4().hex[:12]}"
    try:
        with open_source(source_path) as source:
            report = _import(dataset, source, folder, progress, should_stop)
    except BaseException:
        delete_folder(folder)
        raise
    _delete_others(home, folder)
    return report


def _import(
    dataset: Dataset,
    source: Source,
    folder: str,
    progress: Progress,
    should_stop: Callable[[], bool],
) -> ImportReport:
    layout = read_layout(source)
    stage = "Checking and storing images"
    total = len(layout.entries)
    progress(0, total, stage)
    stored: list[_Stored] = []
    errors = list(layout.left_out)
    with closing(_stored_images(dataset, layout, source, folder)) as results:
        for done, (entry, result) in enumerate(results, 1):
            if isinstance(result, FileError):
                errors.append((entry.path, str(result)))
            else:
                stored.append(result)
                if result.report_error:
                    errors.append(result.report_error)
            progress(done, total, stage)
            if done % BATCH == 0 and should_stop():
                raise Cancelled
    if not stored:
        raise DatasetError(f"None of the files could be imported. {_list(errors)}".strip())
    progress(0, 0, "Writing the database")
    with transaction.atomic():
        _write_rows(dataset, layout, stored, errors)
        if should_stop():
            raise Cancelled
    return ImportReport(len(stored), errors)


def _stored_images(
    dataset: Dataset, layout: Layout, source: Source, folder: str
) -> Generator[tuple[Entry, _Stored | FileError], None, None]:
    """Check and store images in a few threads, in order; threads never touch the database."""

    def store(numbered: tuple[int, Entry]) -> _Stored | FileError:
        number, entry = numbered
        try:
            checked = check_image(entry, source)
        except FileError as error:
            return error
        return _store_files(dataset, checked, folder, number)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="import") as pool:
        for start in range(0, len(layout.entries), BATCH):
            batch = list(enumerate(layout.entries[start : start + BATCH], start))
            results = pool.map(store, batch)
            for (_, entry), result in zip(batch, results, strict=True):
                yield entry, result


def _store_files(dataset: Dataset, checked: CheckedImage, folder: str, number: int) -> _Stored:
    entry, info = checked.entry, checked.info
    stem = f"{number:06d}-{get_valid_filename(Path(entry.path).stem)[:60]}"
    name = default_storage.save(
        f"{folder}/images/{stem}{checked.suffix}", ContentFile(checked.content)
    )
    masks = {
        key: default_storage.save(f"{folder}/masks/{key}/{stem}.png", ContentFile(content))
        for key, content in checked.masks.items()
    }
    image = Image(
        dataset=dataset,
        file=name,
        name=entry.name,
        patient=entry.patient,
        study=entry.study,
        laterality=entry.laterality,
        view=entry.view,
        split=entry.split,
        width=info.width,
        height=info.height,
        bits=info.bits,
        sha256=info.sha256,
        report=checked.report,
    )
    return _Stored(
        image, masks, (entry.report, checked.report_error) if checked.report_error else None
    )


def _write_rows(
    dataset: Dataset, layout: Layout, stored: list[_Stored], errors: list[tuple[str, str]]
) -> None:
    """Write all rows. Two runs of one job cannot both do so: the dataset's row is locked."""
    locked = Dataset.objects.select_for_update().get(pk=dataset.pk)
    if locked.state == ImportState.READY:
        raise Cancelled
    class_of = {entry.name: entry.class_name for entry in layout.entries}
    class_names = layout.class_names or sorted(
        {class_of[row.image.name] for row in stored if class_of[row.image.name]}
    )
    for row in stored:
        class_name = class_of[row.image.name]
        row.image.class_index = class_names.index(class_name) if class_name else None
    Image.objects.bulk_create([row.image for row in stored], batch_size=ROWS)
    concepts = _create_concepts(dataset, layout, errors)
    ConceptMask.objects.bulk_create(
        [
            ConceptMask(image=row.image, concept=concepts[key], file=name)
            for row in stored
            for key, name in row.masks.items()
        ],
        batch_size=ROWS,
    )
    dataset.class_names = class_names
    dataset.description = dataset.description or layout.description
    dataset.state = ImportState.READY
    dataset.message = _list(errors)
    dataset.save(update_fields=["class_names", "description", "state", "message"])


def _create_concepts(
    dataset: Dataset, layout: Layout, errors: list[tuple[str, str]]
) -> dict[str, Concept]:
    terms = {term.code: term for term in dataset.project.vocabulary.terms.all()}
    for concept in layout.concepts:
        if concept.term is not None and concept.term not in terms:
            errors.append(
                (
                    f"concept {concept.key}",
                    f"The project's vocabulary has no term “{concept.term}”; the concept was "
                    "imported without a term.",
                )
            )
    concepts = [
        Concept(
            dataset=dataset,
            key=concept.key,
            name=concept.name,
            category=concept.category,
            term=terms.get(concept.term or ""),
        )
        for concept in layout.concepts
    ]
    return {concept.key: concept for concept in Concept.objects.bulk_create(concepts)}


def _list(errors: list[tuple[str, str]]) -> str:
    """The first errors as text, one a line."""
    if not errors:
        return ""
    lines = [f"Left out: {len(errors)}."]
    lines += [f"{name}: {reason}" for name, reason in errors[:LISTED]]
    if len(errors) > LISTED:
        lines.append(f"… and {len(errors) - LISTED} more, listed in the job's log.")
    return "\n".join(lines)


def _delete_others(home: str, folder: str) -> None:
    """Remove what an earlier run that was killed left behind."""
    for name in default_storage.listdir(home)[0]:
        if f"{home}/{name}" != folder:
            delete_folder(f"{home}/{name}")
