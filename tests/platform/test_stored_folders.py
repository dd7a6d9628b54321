"""Folders of files, on a local disk and in a storage that has no paths (as object stores)."""

from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage, Storage, default_storage
from pytest_django import Settings

from catalog.stored_folders import delete_folder, local_folder, store_folder


class ObjectStore(Storage):
    """Keeps files but gives no paths, as the storages of django-storages do."""

    def __init__(self) -> None:
        files = FileSystemStorage()
        self._open, self._save = files._open, files._save  # type: ignore[attr-defined]
        self.exists, self.delete = files.exists, files.delete  # type: ignore[method-assign]
        self.listdir = files.listdir  # type: ignore[method-assign]


@pytest.fixture(params=["django.core.files.storage.FileSystemStorage", f"{__name__}.ObjectStore"])
def folder(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Path:
    """A folder with two files, stored as "some/place"."""
    backend = {"BACKEND": request.param}
    settings.MEDIA_ROOT = tmp_path / "media"
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.bin").write_bytes(b"a" * 100_000)
    (source / "b.npz").write_bytes(b"")
    store_folder(source, "some/place")
    return source


def test_a_stored_folder_comes_back_whole(folder: Path) -> None:
    with local_folder("some/place") as copy:
        assert {file.name: file.read_bytes() for file in copy.iterdir()} == {
            file.name: file.read_bytes() for file in folder.iterdir()
        }


def test_deleting_takes_all_below_and_nothing_beside(folder: Path) -> None:
    store_folder(folder, "some/other")
    delete_folder("some/place")
    assert not default_storage.exists("some/place/a.bin")
    assert default_storage.exists("some/other/a.bin")
    delete_folder("some/place")
    delete_folder("some")
    assert not default_storage.exists("some/other/a.bin")
