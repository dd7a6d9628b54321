"""Import of a folder or zip archive of images into a dataset.

`sources` gives the files, `layout` says what each one is, `files` checks contents, `store` writes.
"""

from catalog.importing.errors import DatasetError
from catalog.importing.store import ImportReport, import_dataset

__all__ = ["DatasetError", "ImportReport", "import_dataset"]
