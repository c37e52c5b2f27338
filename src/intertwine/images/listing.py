"""Which images there are: a folder or a manifest as ids, paths and labels in a fixed order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from intertwine.arrays import Array

LABELS_FILE = "labels.txt"
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True)
class ImageList:
    """Images in a fixed order.

    Parameters
    ----------
    path
        The folder or manifest they were listed from, absolute.
    kind
        `folder`, `class-folders`, `labels` (a folder with labels.txt) or `manifest`.
    root
        The folder that ids are relative to.
    ids
        One an image: its path relative to the root, with `/`.
    labels
        (n,) int64, or None.
    classes
        Names of the classes, where folders name them.
    """

    path: Path
    kind: str
    root: Path
    ids: list[str]
    labels: Array | None
    classes: list[str] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def file(self, row: int) -> Path:
        """Return the path of an image by its row."""
        return self.root / self.ids[row]

    def rows(self, start: int, stop: int) -> ImageList:
        """Return rows start … stop−1 as a list of their own.

        Raises
        ------
        InputError
            When there are no such rows.
        """
        if not 0 <= start < stop <= len(self):
            raise InputError(
                f"{self.path}: got rows {start}:{stop}, expected some of 0:{len(self)}"
            )
        labels = None if self.labels is None else self.labels[start:stop]
        return ImageList(
            self.path, self.kind, self.root, self.ids[start:stop], labels, self.classes
        )


def list_images(path: str | os.PathLike[str]) -> ImageList:
    """List the images of a folder or manifest.

    A folder with `labels.txt` (lines `file label`) is what that file says, in its order. In any
    other folder all images below it count, sorted; when each lies in one of two or more folders
    right below it, these are the classes, numbered in sorted order. A manifest is a text file
    of lines `file label`, files relative to its own folder.

    Parameters
    ----------
    path
        The folder or manifest.

    Raises
    ------
    InputError
        When there is nothing there, no image, a line is not `file label`, a file is listed twice
        or missing.
    """
    path = Path(path)
    if path.is_dir():
        manifest = path / LABELS_FILE
        return _read_manifest(manifest, path, "labels") if manifest.is_file() else _walk(path)
    if not path.is_file():
        raise InputError(f"{path}: nothing there, expected a folder of images or a manifest")
    return _read_manifest(path, path, "manifest")


def _read_manifest(manifest: Path, path: Path, kind: str) -> ImageList:
    try:
        lines = manifest.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{manifest}: cannot be read as a manifest, text of lines `file label` ({error})"
        ) from error
    root = _absolute(manifest.parent)
    seen: dict[str, int] = {}
    labels = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, label = _parse_line(line, f"{manifest}: line {number}")
        if name in seen:
            raise InputError(
                f"{manifest}: line {number}: {name} stands on line {seen[name]} already"
            )
        if not (root / name).is_file():
            raise InputError(f"{manifest}: line {number}: no file {name} in {root}")
        seen[name] = number
        labels.append(label)
    if not seen:
        raise InputError(f"{manifest}: lists no image, expected lines `file label`")
    return ImageList(_absolute(path), kind, root, list(seen), np.array(labels, np.int64))


def _parse_line(line: str, where: str) -> tuple[str, int]:
    # The file's name may hold blanks, the label may not.
    name, label = [*line.rsplit(maxsplit=1), "", ""][:2]
    if not label.isdecimal() or len(label) > 9:
        raise InputError(f"{where}: got {line.strip()!r}, expected `file label` with a label ≥ 0")
    return PurePath(os.path.normpath(name.strip())).as_posix(), int(label)


def _walk(path: Path) -> ImageList:
    root = _absolute(path)
    ids = sorted(
        (Path(folder) / name).relative_to(root).as_posix()
        for folder, _, names in os.walk(root)
        for name in names
        if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
    )
    if not ids:
        raise InputError(
            f"{path}: holds no image, expected files ending in {' '.join(sorted(SUFFIXES))}"
        )
    tops = [name.split("/")[0] for name in ids]
    classes = sorted(set(tops))
    if len(classes) < 2 or any(name.count("/") != 1 for name in ids):
        return ImageList(root, "folder", root, ids, None)
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[top] for top in tops], np.int64)
    return ImageList(root, "class-folders", root, ids, labels, classes)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
