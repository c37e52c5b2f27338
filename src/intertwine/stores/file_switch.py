"""Notes beside files, and a file's name that stands for other content from one moment on.

The old content of `NAME` is kept as `.NAME.before-switch`, a hard link made first. Then the name is given
to the new content in one step. Up to that step both names are one file, which is how a run that was
killed in between is told from one that came to its end.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError, InputError
from intertwine.files import cannot_write, read_json, write_json
from intertwine.stores.store import Mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEFORE = ".before-switch"


def give_name(there: Path, path: Path) -> None:
    """Give a file another name in one step, whoever had it; to a copy where links do not reach."""
    if path.exists() and _one_file(there, path):
        return
    temporary = path.with_name(f".tmp-{path.name[:100]}-switch")
    temporary.unlink(missing_ok=True)
    try:
        os.link(there, temporary)
    except OSError:
        _copy(there, temporary)
    temporary.replace(path)


def note_of(path: Path) -> Path:
    """Return where the note about a file or folder stands."""
    return path.with_name(f".{path.name}.intertwine.json")


def read_note(path: Path) -> dict[str, Any]:
    """Return the note about a file or folder; nothing where there is none of ours."""
    try:
        value = read_json(note_of(path))
    except FileFormatError:
        return {}
    return value if isinstance(value, dict) else {}


def read_mark(path: Path) -> Mark | None:
    """Return the mark in the note about a file or folder."""
    text = read_note(path).get("mark")
    return Mark.from_text(text) if isinstance(text, str) else None


def write_note(path: Path, mark: Mark, **more: Any) -> None:
    """Write the note about a file or folder, atomically."""
    write_json(note_of(path), {"mark": mark.to_text(), **more})


def before_switch(path: Path) -> Path:
    """Return where a file's old content is kept."""
    # Hidden: readers of a whole folder must not take it for one of its files.
    return path.with_name(f".{path.name}{BEFORE}")


def is_switched(path: Path, kept: str | None = None) -> bool:
    """Return whether a name stands for new content.

    Parameters
    ----------
    path
        The name.
    kept
        Which new content; any when None.
    """
    mark = read_mark(path)
    if mark is None or mark.kept is None or kept not in {None, mark.kept}:
        return False
    return before_switch(path).exists() and not _one_file(path, before_switch(path))


def original(path: Path) -> Path:
    """Return where the content is that a name had before any switch."""
    return before_switch(path) if is_switched(path) else path


def require_free(path: Path) -> None:
    """Raise where the name for a file's old content is taken.

    Raises
    ------
    InputError
        Naming it.
    """
    before = before_switch(path)
    if before.exists() and not _one_file(path, before):
        raise InputError(
            f"{before} is in the way, kept by another switch; move it elsewhere or remove it first"
        )


def switch_file(path: Path, new: Path, mark: Mark) -> None:
    """Make a name stand for new content; once more after a kill is right.

    Parameters
    ----------
    path
        The name.
    new
        Where the content is; it stays there too, as a hard link where that can be.
    mark
        To note, with what is kept.

    Raises
    ------
    InputError
        Where another switch keeps something, and where the folder cannot be written.
    """
    if is_switched(path, mark.kept):
        return
    require_free(path)
    before, note = before_switch(path), note_of(path)
    with _told(path):
        if not before.exists():
            os.link(path, before)
        known = read_mark(path)
        if note.exists() and (known is None or known.kept != mark.kept):
            # What was noted of the old content goes with it.
            give_name(note, note_of(before))
        write_note(path, mark)
        give_name(new, path)


def rollback_file(path: Path) -> None:
    """Make a name stand for its old content again."""
    with _told(path):
        give_name(before_switch(path), path)
    settle(path)


def settle(path: Path) -> None:
    """Remove what a switch that never came to its end, or was undone, left beside a file."""
    before = before_switch(path)
    if not (before.exists() and path.exists() and _one_file(path, before)):
        return
    with _told(path):
        if note_of(before).exists():
            note_of(before).replace(note_of(path))
        else:
            note_of(path).unlink(missing_ok=True)
        before.unlink()


def _copy(there: Path, path: Path) -> None:
    shutil.copyfile(there, path)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _one_file(a: Path, b: Path) -> bool:
    return a.exists() and b.exists() and a.samefile(b)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error
