"""Where the files of a dataset come from: a folder or a zip archive, both untrusted.

An archive is never unpacked: its members are read one by one, so no name in it can touch the disk.
"""

import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Protocol, Self

from analysis.imaging import MAX_BYTES
from catalog.importing.errors import DatasetError, FileError
from catalog.importing.text import printable

MAX_FILES = 200_000
MAX_TOTAL_BYTES = 200 << 30
# Deflate packs zeros about 1000 times smaller; images, masks and tables stay far below this.
MAX_RATIO = 100
RATIO_MATTERS_FROM = 256 << 20

IGNORED_FOLDERS = {"__MACOSX"}
IGNORED_FILES = {"Thumbs.db", "desktop.ini"}
SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}


class Source(Protocol):
    """Files by their path below the root, with forward slashes.

    files: paths of the regular files. left_out: (path, reason) of entries that are not read.
    """

    files: frozenset[str]
    left_out: list[tuple[str, str]]

    def read(self, path: str) -> bytes:
        """The content of one of `files`. Raises FileError where it cannot be read."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def open_source(path: Path) -> Source:
    """The source for a folder or a zip archive.

    Raises:
        DatasetError: neither of them, damaged, too large, or an archive that looks like an attack.
    """
    if path.is_dir():
        return FolderSource(path)
    try:
        return ZipSource(path)
    except DatasetError:
        raise
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError, struct.error) as error:
        raise DatasetError(
            f"The zip archive is damaged ({error}). Create it again and add it again."
        ) from error


class FolderSource:
    """Files of a folder. Symbolic links are left out, so nothing outside the folder is read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.left_out: list[tuple[str, str]] = []
        files = []
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_symlink():
                self.left_out.append(
                    (printable(name), "Symbolic links are not followed. Copy the file.")
                )
            elif path.is_file() and not _is_ignored(name):
                files.append(name)
        _check_count(len(files))
        self.files = frozenset(files)

    def read(self, path: str) -> bytes:
        file = self._root / path
        try:
            _check_size(file.stat().st_size)
            return file.read_bytes()
        except OSError as error:
            raise FileError(f"The file cannot be read ({error.strerror}).") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class ZipSource:
    """Members of a zip archive. One folder around everything is taken off."""

    def __init__(self, path: Path) -> None:
        self._archive = zipfile.ZipFile(path)
        try:
            members = [member for member in self._archive.infolist() if not member.is_dir()]
            _refuse_attacks(members, packed=path.stat().st_size)
        except BaseException:
            self._archive.close()
            raise
        kept = {m.filename: m for m in members if not _is_ignored(m.filename)}
        prefix = _folder_around(list(kept))
        self._members = {name.removeprefix(prefix): member for name, member in kept.items()}
        self.files = frozenset(self._members)
        self.left_out: list[tuple[str, str]] = []

    def read(self, path: str) -> bytes:
        member = self._members[path]
        _check_size(member.file_size)
        try:
            return self._archive.read(member)
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError) as error:
            raise FileError(f"The archive is damaged at this file ({error}).") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()


def _refuse_attacks(members: list[zipfile.ZipInfo], packed: int) -> None:
    """Raise DatasetError for archives that no honest tool writes, or that are too large."""
    _check_count(len(members))
    names = {member.filename for member in members}
    if len(names) < len(members):
        raise DatasetError("The archive holds two files of the same name. Create it again.")
    for member in members:
        path = PurePosixPath(member.filename)
        if (
            path.is_absolute()
            or ".." in path.parts
            or any(sign in member.filename for sign in ("\\", "\0", ":"))
        ):
            raise DatasetError(
                f"The archive was refused: the name “{member.filename}” points outside its folder. "
                "Zip the folder itself and add it again."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise DatasetError(
                f"The archive was refused: “{member.filename}” is a symbolic link. Zip the files "
                "themselves."
            )
        if member.flag_bits & 1:
            raise DatasetError("The archive has a password. Create it without one.")
    total = sum(member.file_size for member in members)
    if total > MAX_TOTAL_BYTES:
        raise DatasetError(
            f"The archive unpacks to more than {MAX_TOTAL_BYTES >> 30} GiB. Split the dataset."
        )
    if total > RATIO_MATTERS_FROM and total > MAX_RATIO * packed:
        raise DatasetError(
            f"The archive was refused: it unpacks to {total // packed} times its size, as no set "
            "of images does."
        )


def _folder_around(names: list[str]) -> str:
    """The folder, with a slash, that holds every file and itself says nothing; else ""."""
    tops = {name.split("/", 1)[0] for name in names}
    if len(tops) != 1 or not any("/" in name for name in names):
        return ""
    (top,) = tops
    nested = any(name.count("/") >= 2 for name in names)
    if f"{top}/manifest.csv" in names or (nested and top.lower() not in SPLIT_FOLDERS):
        return f"{top}/"
    return ""


def _is_ignored(name: str) -> bool:
    parts = name.split("/")
    return (
        any(part.startswith(".") or part in IGNORED_FOLDERS for part in parts)
        or parts[-1] in IGNORED_FILES
    )


def _check_count(count: int) -> None:
    if count > MAX_FILES:
        raise DatasetError(
            f"The dataset holds {count} files; at most {MAX_FILES} are read. Split the dataset."
        )


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise FileError(f"The file is larger than {MAX_BYTES // 10**6} MB.")
