"""Images that are files: of a folder, or listed in a manifest."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.listing import absolute

if TYPE_CHECKING:
    from intertwine.arrays import Array

LABELS_FILE = "labels.txt"
SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)


@dataclass
class FileImages:
    """Image files; see `intertwine.images.listing.ImageSource`.

    Parameters
    ----------
    kind
        `folder`, `class-folders`, `labels` or `manifest`.
    root
        The folder that ids are relative to.
    ids
        One an image: its path relative to the root, with `/`.
    labels
        (n,) int64, or None.
    classes
        Names of the classes, where folders name them.
    """

    kind: str
    root: Path
    ids: list[str]
    labels: Array | None
    classes: list[str] | None = None

    def open(self, place: int) -> Path:
        """Return an image's file."""
        return self.root / self.ids[place]

    def name(self, place: int) -> str:
        """Return what to call an image in an error."""
        return str(self.open(place))


def relative(name: str) -> str:
    """Return a path as text of one form, so that `./a.png` and `a.png` are one file."""
    return PurePath(os.path.normpath(name.strip())).as_posix()


def read_manifest(manifest: Path, kind: str) -> FileImages:
    """List the images of a text file of lines `file label`, files relative to its own folder.

    Parameters
    ----------
    manifest
        The file. That an image is missing is found out when it is read.
    kind
        What to call the list.

    Raises
    ------
    InputError
        When it is no text, lists no image, a line is not `file label`, or a file is listed twice.
    """
    try:
        lines = manifest.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{manifest}: cannot be read as a manifest, text of lines `file label` ({error})"
        ) from error
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
        seen[name] = number
        labels.append(label)
    if not seen:
        raise InputError(f"{manifest}: lists no image, expected lines `file label`")
    return FileImages(kind, absolute(manifest.parent), list(seen), np.array(labels, np.int64))


def _parse_line(line: str, where: str) -> tuple[str, int]:
    # The file's name may hold blanks, the label may not.
    name, label = [*line.rsplit(maxsplit=1), "", ""][:2]
    if not label.isdecimal() or len(label) > 9:
        raise InputError(f"{where}: got {line.strip()!r}, expected `file label` with a label ≥ 0")
    return relative(name), int(label)


def walk(path: Path) -> FileImages:
    """List all images below a folder, sorted; folders right below it may be their classes.

    Parameters
    ----------
    path
        The folder.

    Raises
    ------
    InputError
        When it holds no image.
    """
    root = absolute(path)
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
        return FileImages("folder", root, ids, None)
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[top] for top in tops], np.int64)
    return FileImages("class-folders", root, ids, labels, classes)
