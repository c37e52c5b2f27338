"""Faces found before, stored with the features: `faces.csv`, one line an image.

Lines are only appended, so the cost of a save does not grow with the file, and a line cut short by
a kill is dropped when the file is opened again.
"""

from __future__ import annotations

import csv
import io
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.errors import Doubt, FileFormatError
from intertwine.inputs.images.faces.detection import Face
from intertwine.storage.cells import bare, guarded
from intertwine.storage.files import cannot_write, no_links, write_bytes
from intertwine.storage.untrusted import damage_as_error, is_count, require_ordinary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from intertwine.inputs.images.faces.detection import FaceDetector

FILE = "faces.csv"
BOX = ("left", "top", "right", "bottom")
PLACES = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
HEADER = (
    "id",
    "detector",
    "faces",
    *BOX,
    *(f"{place}_{axis}" for place in PLACES for axis in "xy"),
)


class FaceCache:
    """The faces of a feature set's images by id, as one detector finds them.

    A column `faces` holds how many the detector found; 0 marks an image without one, whose box and
    points are those of the rule for such images. Lines of a detector of another name are left in
    place and not used. FileFormatError when the file is none of this kind; InputError when it
    cannot be repaired after a kill, or written.
    """

    def __init__(self, folder: str | os.PathLike[str], detector: FaceDetector) -> None:
        self.path, self.detector = Path(folder) / FILE, detector
        self._faces: dict[str, Face] = {}
        self._pending: list[str] = []
        try:
            self._read()
        except OSError as error:
            raise FileFormatError(f"{self.path}: cannot be read ({error.strerror})") from error

    def _read(self) -> None:
        require_ordinary(self.path)
        data = self.path.read_bytes() if self.path.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            write_bytes(self.path, whole)
        text = whole.decode(errors="replace") or _line(HEADER)
        with damage_as_error(self.path, "a list of faces"):
            self._read_rows(csv.reader(io.StringIO(text)))

    def _read_rows(self, rows: Iterator[list[str]]) -> None:
        """Store the faces of lines that this detector wrote."""
        if tuple(next(rows, ())) != HEADER:
            raise FileFormatError(
                f"{self.path}: its first line is not that of a list of faces; "
                "move it away or choose a new folder"
            )
        for number, row in enumerate(rows, start=2):
            face = _face(row)
            if face is None:
                raise FileFormatError(
                    f"{self.path}: line {number} is no face, expected {len(HEADER)} values, "
                    "numbers after the second; remove the file, and faces are looked for again"
                )
            if row[1] == self.detector.name:
                self._faces[bare(row[0])] = face

    def get(self, name: str) -> Face | None:
        """Return the face of an image by its id, or None when it was not searched for yet."""
        return self._faces.get(name)

    def add(self, name: str, face: Face) -> None:
        """Add the face of an image; it is on disk only after `commit`."""
        self._faces[name] = face
        numbers = (repr(value) for value in (*face.box, *face.points))
        self._pending.append(_line((guarded(name), self.detector.name, str(face.found), *numbers)))

    def commit(self) -> None:
        """Write new faces to disk; InputError when the disk is full or fails."""
        if not self._pending:
            return
        before = self.path.stat().st_size if self.path.exists() else 0
        lines = "".join([*([] if before else [_line(HEADER)]), *self._pending])
        try:
            with open(self.path, "ab", opener=no_links) as file:
                file.write(lines.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            with suppress(OSError):
                # Half a line in the middle would spoil the file.
                os.truncate(self.path, before)
            raise cannot_write(self.path, error) from error
        self._pending.clear()

    def not_found(self, names: Sequence[str]) -> list[str]:
        """Return those of some ids for which the detector found no face, in their order."""
        faces = ((name, self._faces.get(name)) for name in names)
        return [name for name, face in faces if face is not None and face.found == 0]


def faceless(folders: Iterable[Path]) -> tuple[set[str], list[str]]:
    """Return the ids of a set's images in which no face was found, and notes on unreadable lists.

    Folders without a list of faces are skipped; of several lines of an image the last one counts.
    """
    counts: dict[str, int] = {}
    notes: list[str] = []
    for path in (folder / FILE for folder in folders):
        try:
            require_ordinary(path)
            counts |= _counts(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass
        except (FileFormatError, OSError, ValueError, csv.Error):
            notes.append(Doubt(f"{path}: no list of faces; which images show none is not known"))
    return {name for name, count in counts.items() if count == 0}, notes


def faceless_note(ids: Sequence[str], faceless: set[str], what: str) -> list[str]:
    """Return a doubt that counts the images without a face among some, if any."""
    count = sum(name in faceless for name in ids)
    if not count:
        return []
    return [
        Doubt(
            f"{count} of {len(ids)} {what} show no face ({FILE}): what is compared there is background, "
            "and two of them may be alike for that alone"
        )
    ]


def _counts(text: str) -> dict[str, int]:
    rows = csv.reader(io.StringIO(text))
    if tuple(next(rows, ())) != HEADER:
        raise ValueError("no list of faces")
    # A last line that a kill cut short lacks some values.
    return {bare(row[0]): int(row[2]) for row in rows if len(row) == len(HEADER)}


def _line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _face(row: Sequence[str]) -> Face | None:
    if len(row) != len(HEADER) or not is_count(row[2]):
        return None
    try:
        numbers = tuple(float(value) for value in row[3:])
    except ValueError:
        return None
    if not all(map(math.isfinite, numbers)):
        return None
    return Face(numbers[:4], numbers[4:], int(row[2]))
