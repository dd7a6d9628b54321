"""Folders in the storage of files: a local disk or an object store."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from django.core.files import File
from django.core.files.storage import default_storage


def store_folder(source: Path, name: str) -> None:
    """Store the files of a flat folder under a name that nothing is stored under yet."""
    for path in sorted(source.iterdir()):
        with path.open("rb") as file:
            default_storage.save(str(PurePosixPath(name, path.name)), File(file))


@contextmanager
def local_folder(name: str) -> Iterator[Path]:
    """The folder's path where the storage is a local disk, else a temporary copy of it."""
    try:
        path = Path(default_storage.path(name))
    except NotImplementedError:
        with tempfile.TemporaryDirectory(prefix="unitscope-") as copy:
            for file in default_storage.listdir(name)[1]:
                with (
                    default_storage.open(f"{name}/{file}") as source,
                    Path(copy, file).open("wb") as target,
                ):
                    shutil.copyfileobj(source, target)
            yield Path(copy)
    else:
        yield path


def delete_folder(name: str) -> None:
    """Delete a folder with all that it holds; nothing happens where there is none."""
    try:
        folders, files = default_storage.listdir(name)
    except FileNotFoundError:
        return
    for folder in folders:
        delete_folder(f"{name}/{folder}")
    for file in files:
        default_storage.delete(f"{name}/{file}")
    with suppress(OSError):  # another attempt at the same work may have written a file meanwhile
        default_storage.delete(name)
