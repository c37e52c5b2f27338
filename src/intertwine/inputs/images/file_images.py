"""Images that are files: in a folder, or listed in a manifest or table."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from intertwine.errors import InputError
from intertwine.features.writing.record import ids_text, is_line
from intertwine.inputs.images.decode import UnreadableImageError
from intertwine.inputs.rows import absolute, hidden, shown_path
from intertwine.inputs.tables.columns import Columns, content_column, read_keys
from intertwine.storage.untrusted import require_ordinary
from intertwine.wording import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.inputs.tables.table import Table
    from intertwine.numerics.arrays import Array

LABELS_FILE = "labels.txt"
# Endings of what `intertwine.inputs.images.decode.FORMATS` names, the usual ones first.
SUFFIXES = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    *(".apng", ".avif", ".avifs", ".jfif", ".jpe", ".mpo", ".pbm", ".pnm"),
)
# Endings of images of other formats, which are not read but named.
_OTHER_SUFFIXES = (
    ".arw .bpg .cr2 .cr3 .dcm .dds .dib .dng .emf .eps .exr .fits .flif .hdr .heic .heics .heif"
    " .heifs .hif .icns .ico .iiq .j2c .j2k .jng .jp2 .jpc .jpf .jpm .jpx .jxl .jxr .mng .nef .orf"
    " .pam .pcx .pef .pfm .psb .psd .qoi .raf .ras .raw .rw2 .sgi .srw .svg .svgz .svs .tga .wbmp"
    " .wdp .wmf .xbm .xcf .xpm"
)
OTHER_SUFFIXES = frozenset(_OTHER_SUFFIXES.split())
# Links to folders nested deeper than this are refused.
MAX_LINKS = 5
# Names that a note lists.
SHOWN = 3
USUAL = ("path", "file", "filename", "image", "image_path")
TYPES = ("text", "bytes", "image")


@dataclass
class FileImages:
    """Image files; an `ImageSource`.

    `kind` is `folder`, `class-folders`, `labels` or `manifest`; `ids` are paths relative to `root`,
    with `/`; `notes` what is doubtful about the list.
    """

    kind: str
    root: Path
    ids: list[str]
    labels: Array | None
    classes: list[str] | None = None
    notes: tuple[str, ...] = ()

    def open(self, place: int) -> Path:
        """Return an image's file."""
        return self.root / self.ids[place]

    def name(self, place: int) -> str:
        """Return the name of an image for an error."""
        return str(self.open(place))


class TableImages:
    """The images of a table; an `ImageSource`.

    Ids are those of the id column; else the paths where a column of text names files, relative to
    the table's folder, and row numbers where the table holds the images themselves. InputError when
    a column is absent or holds something else, a cell names no file, an id repeats or is not on one
    line, or a label is unfit.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, table: Table, columns: Columns) -> None:
        self._table = table
        self.kind = table.kind
        self._column = content_column(table, columns.content, usual=USUAL, types=TYPES)
        named = table.types[self._column] == "text"
        keys = read_keys(table, columns, content=self._column if named else None)
        self._paths = None
        if keys.content is not None:
            self._paths = [self._path(cell, row) for row, cell in enumerate(keys.content)]
        self.ids = keys.ids or self._paths or [str(row) for row in range(len(table))]
        self.labels, self.classes = keys.labels, keys.classes
        ids_text(self.ids, len(table), table.path)
        self._root = absolute(table.path if table.path.is_dir() else table.path.parent)

    def open(self, place: int) -> Path | BytesIO:
        """Return an image's file, or its bytes.

        UnreadableImageError when its cell is empty; InputError when the table cannot be read there.
        """
        if self._paths is not None:
            return self._root / self._paths[place]
        cell = self._table.cells(self._column, [place])[0]
        data, path = (cell["bytes"], cell["path"]) if isinstance(cell, dict) else (cell, None)
        return BytesIO(data) if data else self._root / self._path(path, place)

    def name(self, place: int) -> str:
        """Return the name of an image for an error."""
        if self._paths is not None:
            return str(self._root / self._paths[place])
        return self._table.where(place)

    def _path(self, cell: Any, row: int) -> str:
        if not isinstance(cell, str) or not cell.strip():
            raise UnreadableImageError(self._table.where(row), f"column {self._column} is empty")
        return relative(cell)


def walk(path: Path) -> FileImages:
    """List all images below a folder, sorted; folders right below it may be their classes.

    Hidden files and folders are skipped; links are followed. InputError when there is no image, or
    a folder in it cannot be read.
    """
    root = absolute(path)
    broken: list[str] = []
    files = sorted(_files(root, broken))
    ids = [name for name in files if _suffix(name) in SUFFIXES]
    if not ids:
        raise InputError(
            f"{path}: holds no image, expected files ending in {_found_instead(files)}"
        )
    notes = _other_images_note(path, files) + _broken_links_note(path, broken)
    classes = class_folders(path, ids)
    if classes.labels is None:
        return FileImages("folder", root, ids, None, notes=notes + classes.notes)
    notes += _no_images_note(root, classes.folders)
    return FileImages("class-folders", root, ids, classes.labels, classes.classes, notes)


def read_manifest(manifest: Path, kind: str) -> FileImages:
    """List the images of a text file of lines `file label`, files relative to its own folder.

    A missing image is noticed only when it is read. InputError when the file is no text, lists no
    image, has another line, or lists a file twice.
    """
    require_ordinary(manifest)
    try:
        lines = manifest.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{manifest}: cannot be read as a manifest, text of lines `file label` ({one_line(error)})"
        ) from error
    seen: dict[str, int] = {}
    labels = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, label = _parse_line(line, f"{manifest}: line {number}")
        if name in seen:
            raise InputError(f"{manifest}: line {number}: {name} is on line {seen[name]} already")
        seen[name] = number
        labels.append(label)
    if not seen:
        raise InputError(f"{manifest}: lists no image, expected lines `file label`")
    return FileImages(kind, absolute(manifest.parent), list(seen), np.array(labels, np.int64))


class ClassFolders(NamedTuple):
    """Folders as classes: labels and their names, or None; the folders; what is doubtful."""

    labels: Array | None
    classes: list[str] | None
    folders: list[str]
    notes: tuple[str, ...]


def class_folders(path: Path, ids: Sequence[str]) -> ClassFolders:
    """Return the folders of some images as their classes, if they are laid out so.

    They are when each image, an id with `/`, is in one of two or more folders right below the path;
    labels are in the sorted order of the folders. If only some are, there is a note.
    """
    tops = [name.split("/")[0] for name in ids]
    folders = sorted(set(tops))
    strays = [name for name in ids if name.count("/") != 1]
    if len(folders) < 2 or strays:
        return ClassFolders(None, None, [], _no_classes_note(path, ids, strays))
    number = {name: label for label, name in enumerate(folders)}
    # Images in a folder whose name is no text have no ids either; extraction reports that.
    shown = [name if is_line(name) else shown_path(name) for name in folders]
    return ClassFolders(np.array([number[top] for top in tops], np.int64), shown, folders, ())


def relative(name: str) -> str:
    """Return a path as text in one form, so that `./a.png` and `a.png` are one file."""
    return PurePath(os.path.normpath(name.strip())).as_posix()


def _parse_line(line: str, where: str) -> tuple[str, int]:
    # The file's name may contain blanks, the label may not.
    name, label = [*line.rsplit(maxsplit=1), "", ""][:2]
    if not label.isdecimal() or len(label) > 9:
        raise InputError(f"{where}: got {line.strip()!r}, expected `file label` with a label ≥ 0")
    return relative(name), int(label)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 - a path costs many times more


def _files(root: Path, broken: list[str]) -> Iterator[str]:
    """Yield every file below a folder, relative to it, but for hidden ones; follow links.

    Links that lead nowhere and are not called images are added to `broken`.
    """
    # A folder, the real paths of its parents and itself, and the links on the way to it.
    waiting: list[tuple[str, tuple[str, ...], int]] = [("", (os.path.realpath(root),), 0)]
    while waiting:
        inner, above, links = waiting.pop()
        for entry in _entries(root / inner):
            name = f"{inner}{entry.name}"
            if not _is_folder(entry):
                yield name
                if entry.is_symlink() and _suffix(name) not in SUFFIXES and _leads_nowhere(entry):
                    broken.append(name)
                continue
            real, links_here = f"{above[-1]}/{entry.name}", links
            if entry.is_symlink():
                real, links_here = os.path.realpath(entry.path), links + 1
            if links_here > MAX_LINKS:
                raise InputError(
                    f"{shown_path(entry.path)}: a link inside {MAX_LINKS} others; remove links "
                    "to folders that hold such links"
                )
            # A link back to one of its parents holds nothing new.
            if real not in above:
                waiting.append((f"{name}/", (*above, real), links_here))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not hidden(entry.name)]
    except OSError as error:
        raise InputError(
            f"{shown_path(folder)}: cannot be read ({error.strerror}); make it readable or move it "
            "away"
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # Links in a circle; reading reports what is wrong.
        return False


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return not os.path.exists(entry.path)  # noqa: PTH110


def _found_instead(files: Sequence[str]) -> str:
    """Return the expected endings of files, and those of the files found instead."""
    endings = Counter(_suffix(name) or "no ending" for name in files).most_common(SHOWN)
    shown = ", ".join(f"{ending} ({count})" for ending, count in endings)
    hint = f"; got {counted(len(files), 'other file')}: {shown}" if files else ""
    return " ".join(SUFFIXES) + hint


def _other_images_note(path: Path, files: Sequence[str]) -> tuple[str, ...]:
    """Return a note about images of unsupported formats, if there are any."""
    others = [name for name in files if _suffix(name) in OTHER_SUFFIXES]
    if not others:
        return ()
    counts = Counter(map(_suffix, others)).most_common()
    shown = ", ".join(f"{count} {ending}" for ending, count in counts)
    many = f"{len(others)} files of formats that are not read are passed over ({shown}), such as"
    what = many if len(others) > 1 else "a file of a format that is not read is passed over:"
    note = f"{path}: {what} {shown_path(others[0])}; convert to PNG or JPEG to include"
    return (note,)


def _broken_links_note(path: Path, broken: Sequence[str]) -> tuple[str, ...]:
    """Return a note about links that may stand for a removed folder of images, if any."""
    if not broken:
        return ()
    more = f", as do {len(broken) - 1} more" if len(broken) > 1 else ""
    note = (
        f"{path}: the link {shown_path(min(broken))} leads nowhere{more}, so nothing of it is read; "
        "repair or remove it"
    )
    return (note,)


def _no_classes_note(path: Path, ids: Sequence[str], strays: Sequence[str]) -> tuple[str, ...]:
    """Return a note on the images because of which folders are not classes, if any."""
    folders = sorted({name.split("/")[0] for name in ids if name.count("/") == 1})
    if len(folders) < 2:
        return ()
    where = "is next to them" if "/" not in strays[0] else "is deeper"
    more = f", as do {len(strays) - 1} more" if len(strays) > 1 else ""
    shown = ", ".join(map(shown_path, folders[:SHOWN])) + (", …" if len(folders) > SHOWN else "")
    note = (
        f"{path}: no labels: {len(folders)} folders hold images ({shown}) but are not used as "
        f"classes, because {shown_path(strays[0])} {where}{more}; move it away if they are classes"
    )
    return (note,)


def _no_images_note(root: Path, folders: Sequence[str]) -> tuple[str, ...]:
    """Return a note about folders next to the classes that hold no image, if any."""
    known = set(folders)
    there = [entry for entry in _entries(root) if _is_folder(entry) and not entry.is_symlink()]
    empty = sorted(entry.name for entry in there if entry.name not in known)
    if not empty:
        return ()
    more = f", nor do {len(empty) - 1} more" if len(empty) > 1 else ""
    note = (
        f"{root}: folder {shown_path(empty[0])} holds no image{more}, so there are "
        f"{len(known)} classes and no label for it"
    )
    return (note,)
