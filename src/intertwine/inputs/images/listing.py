"""The images of an input, in a fixed order: files, or what tables and tars hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from intertwine.errors import InputError
from intertwine.inputs.images.file_images import LABELS_FILE, TableImages, read_manifest, walk
from intertwine.inputs.images.tar_images import TarImages, tar_shards
from intertwine.inputs.rows import RowList, absolute
from intertwine.inputs.tables.columns import Columns
from intertwine.inputs.tables.table import open_table

if TYPE_CHECKING:
    import os
    from io import BytesIO

    from intertwine.numerics.arrays import Array


class ImageSource(Protocol):
    """All images of an input; they are opened from several threads at once.

    Parameters
    ----------
    kind, ids, labels, classes, notes
        As in `ImageList`.
    """

    kind: str
    ids: list[str]
    labels: Array | None
    classes: list[str] | None
    notes: tuple[str, ...]

    def open(self, place: int) -> Path | BytesIO:
        """Return an image's file, or its bytes."""
        ...

    def name(self, place: int) -> str:
        """Return the name of an image for an error."""
        ...


@dataclass(frozen=True)
class ImageList(RowList):
    """Images in a fixed order; `kind` is one of these.

    `folder`, `class-folders`, `labels` (a folder with labels.txt), `manifest`, `table`,
    `webdataset` or `datasets`. `source` opens them; for the rest see
    `intertwine.inputs.rows.RowList`.
    """

    source: ImageSource

    def open(self, row: int) -> Path | BytesIO:
        """Return what `decode` reads: an image's file, which may be missing, or its bytes.

        InputError when it cannot be read from a table or tar; an `UnreadableImageError` when its
        tar is cut or has disappeared, or its cell is empty.
        """
        return self.source.open(int(self.places[row]))

    def name(self, row: int) -> str:
        """Return the name of an image for an error, such as `shard.tar: 0001.jpg`."""
        return self.source.name(int(self.places[row]))


def list_images(path: str | os.PathLike[str], *, columns: Columns | None = None) -> ImageList:
    """List the images of a folder, manifest, table, tar or saved dataset.

    A folder with `labels.txt` (lines `file label`) is what that file lists, in its order. A folder
    of nothing but `.parquet` or `.tar` files is one table or WebDataset, and one that
    `Dataset.save_to_disk` wrote is that dataset. In any other folder all images below it count,
    sorted, also those behind links but not hidden ones; when each is in one of two or more folders
    right below it, these are the classes, numbered in sorted order, and when only some are, a note
    says so. A `.csv` or `.parquet` file is a table of paths, or of images' bytes; a `.tar` file, or
    several as `shards-{000..012}.tar`, a WebDataset, whose folders are its classes in the same way
    where it has no labels. Any other file is a manifest: lines `file label`. Paths are relative to
    the folder of the file that names them.

    `columns` selects columns of a table; of a WebDataset, `content` is the ending of the images and
    `label` that of the labels, or their key in `.json`. InputError when there is no image, or the
    input cannot be listed: a line that is not `file label`, an image listed twice, an absent
    column, an unfit id or label.
    """
    path = Path(path)
    source = _source(path, columns or Columns())
    places = np.arange(len(source.ids))
    return ImageList(
        absolute(path),
        source.kind,
        source.ids,
        source.labels,
        source.classes,
        places,
        source,
        notes=source.notes,
    )


def _source(path: Path, columns: Columns) -> ImageSource:
    labelled = (path / LABELS_FILE).is_file()
    if not labelled:
        table = open_table(path)
        if table is not None:
            return TableImages(table, columns)
        shards = tar_shards(path)
        if shards:
            return TarImages(shards, columns)
    if columns != Columns():
        raise InputError(f"{path}: got names of columns, but it is no table; leave them out")
    if path.is_dir():
        return read_manifest(path / LABELS_FILE, "labels") if labelled else walk(path)
    if not path.is_file():
        raise InputError(
            f"{path}: nothing there, expected a folder of images or a manifest, table or tar"
        )
    return read_manifest(path, "manifest")
