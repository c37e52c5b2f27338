"""Atomic replacement of a file that keeps its old content, and the note that records it.

The old content of `NAME` is kept as `.NAME.before-switch`, a hard link made first. Then the new
content takes the name in one step. Up to that step both names are one file, which is how a run that
was killed in between is told from one that came to its end. The note beside the name says what the
switch put there, so that a rollback sees what was written since.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from intertwine.errors import FileFormatError, InputError
from intertwine.storage.file_state import FileState
from intertwine.storage.files import cannot_write, exchange_names, read_json, write_json
from intertwine.stores.store import MigrationRecord

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    # Size, time and inode.
    Facts = tuple[int, int, int]

BEFORE = ".before-switch"
# What was written under a name since a switch, once a rollback was forced.
SINCE = ".since-switch"


def give_name(there: Path, path: Path, *, instead_of: Facts | None = None) -> None:
    """Add a name to a file in one step, in place of the file that had it; to a copy across devices.

    `instead_of` are facts of the file that must have the name up to then, where the system can
    tell; another one that took it a moment before keeps it, and an error is raised.
    """
    if path.exists() and one_file(there, path):
        return
    temporary = path.with_name(f".tmp-{path.name[:100]}-switch")
    temporary.unlink(missing_ok=True)
    try:
        os.link(there, temporary)
    except OSError:
        _copy(there, temporary)
    if instead_of is not None and facts_of(path) != instead_of:
        temporary.unlink()
        raise InputError(f"{path} was written to at this very moment; nothing was lost, run again")
    if instead_of is None or not exchange_names(temporary, path):
        temporary.replace(path)
        return
    if facts_of(temporary) != instead_of:
        exchange_names(temporary, path)
        temporary.unlink()
        raise InputError(f"{path} was written to at this very moment; nothing was lost, run again")
    temporary.unlink()


def note_of(path: Path) -> Path:
    """Return the path of the note about a file or folder."""
    return path.with_name(f".{path.name}.intertwine.json")


def read_note(path: Path) -> dict[str, Any]:
    """Return the note about a file or folder; nothing where there is none of ours."""
    try:
        value = read_json(note_of(path))
    except FileFormatError:
        return {}
    return value if isinstance(value, dict) else {}


def read_mark(path: Path) -> MigrationRecord | None:
    """Return the record in the note about a file or folder."""
    text = read_note(path).get("mark")
    return MigrationRecord.from_text(text) if isinstance(text, str) else None


def write_note(path: Path, record: MigrationRecord, **more: Any) -> None:
    """Write the note about a file or folder, atomically."""
    write_json(note_of(path), {"mark": record.to_text(), **more})


def before_switch(path: Path) -> Path:
    """Return the path at which a file's old content is kept."""
    # Hidden: readers of a whole folder must not take it for one of its files.
    return path.with_name(f".{path.name}{BEFORE}")


def name_of(before: Path) -> Path:
    """Return the name whose old content is kept at a path."""
    return before.with_name(before.name[1 : -len(BEFORE)])


def stands_whole(root: Path, paths: list[Path]) -> bool:
    """Return whether every name of a switch stands for its new content, or is gone.

    `root` is the folder below which a source has its files, `paths` are the files there now.
    """
    switched = [path for path in paths if is_switched(path)]
    if not switched:
        return False
    record = read_mark(switched[0])
    asked = set(paths)
    if record is not None and record.kept:
        place = root / record.kept
        names = {root / name for name in switched_names(place)}
        # What came while a switch goes on is of the old content.
        asked = names | asked if is_switching(place) else names or asked
    return all(is_switched(path) or _old_is_removed(path) for path in asked)


def _old_is_removed(path: Path) -> bool:
    """Return whether a name stands for new content and somebody has removed the old."""
    record = read_mark(path)
    return record is not None and record.kept is not None and not before_switch(path).exists()


def switched_names(place: Path) -> list[str]:
    """Return which names, below the source's root, a switch to a place is about; none before one."""
    names = read_note(place).get("names", [])
    return [str(name) for name in names] if isinstance(names, list) else []


def is_switching(place: Path) -> bool:
    """Return whether a switch to a place was begun that has not looked at its source for the last time."""
    return read_note(place).get("switching") is True


def is_switched(path: Path, kept: str | None = None) -> bool:
    """Return whether a name stands for new content: that of the place `kept`, or any when None."""
    record = read_mark(path)
    if record is None or record.kept is None or kept not in {None, record.kept}:
        return False
    return before_switch(path).exists() and not one_file(path, before_switch(path))


def original(path: Path) -> Path:
    """Return the path of the content that a name had before any switch."""
    return before_switch(path) if is_switched(path) else path


def before_any(path: Path) -> Path:
    """Return the path of a name's old content, whether that is noted or not; else the name."""
    return before_switch(path) if before_switch(path).exists() else path


def note_is_gone(path: Path) -> str:
    """Return in words that content is kept of a name, and no note says of which switch; else nothing."""
    before = before_switch(path)
    if read_mark(path) is not None or not before.exists() or one_file(path, before):
        return ""
    return (
        f"{path}: the note of its switch, {note_of(path).name}, is gone, and its old content is still in "
        f"{before}; restore the note, or move {path} elsewhere and give {before.name} its name"
    )


def require_free(paths: list[Path], root: Path) -> None:
    """Raise where names for files' old content are taken, with what keeps one and the ways out."""
    taken = [path for path in paths if (before := before_switch(path)).exists()]
    taken = [path for path in taken if not one_file(path, before_switch(path))]
    if not taken:
        return
    path, before = taken[0], before_switch(taken[0])
    record = read_mark(path)
    more = f" (and {len(taken) - 1} more like it)" if len(taken) > 1 else ""
    if record is None or record.kept is None:
        raise InputError(
            f"{before}{more} is in the way, and no note says what it keeps; move it elsewhere, or remove "
            "it first"
        )
    place = os.path.normpath(root / record.kept)
    them = f"all {len(taken)}, each beside its file," if more else "it"
    raise InputError(
        f"{before}{more} is in the way: it keeps the vectors of {record.source.name} from before the switch "
        f"to {place}; roll that switch back, or, where those are not needed any more, remove {them} and "
        "run again"
    )


def switch_file(path: Path, new: Path, record: MigrationRecord, state: FileState) -> None:
    """Make a name stand for new content, with a record and the state of the content noted.

    Once more after a kill is right. The new content stays at its own path too, as a hard link where
    that can be. Where the old content is written to meanwhile the name stands for it again, and an
    error is raised.
    """
    if is_switched(path, record.kept):
        return
    require_free([path], path.parent)
    before, note = before_switch(path), note_of(path)
    with _told(path):
        old = facts_of(path)
        if not before.exists():
            os.link(path, before)
        known = read_mark(path)
        if note.exists() and (known is None or known.kept != record.kept):
            # What was noted of the old content goes with it.
            give_name(note, note_of(before))
        write_note(path, record, content=asdict(state))
        try:
            give_name(new, path, instead_of=old)
        except InputError:
            forget_switch(path)
            raise
        if facts_of(before) == old:
            return
        give_name(before, path)
    settle(path)
    raise InputError(f"{path} was written to during the switch, which is undone for it; go on")


def facts_of(path: Path) -> Facts:
    """Return facts of a file that change by writing to it and not by a further link."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def switched_state(path: Path) -> FileState | None:
    """Return the content that a switch put under a name; None where that is not noted."""
    return FileState.from_json(read_note(path).get("content"))


def holds_switched(path: Path) -> bool:
    """Return whether a name stands for what a switch put there, or for nothing.

    The file is read only where its facts leave a doubt.
    """
    state = switched_state(path)
    if state is None or not path.exists():
        return True
    size, changed, inode = facts_of(path)
    return [size, changed, inode] == [*state.stamp[:2], state.stamp[3]] or state.is_of(path)


def keep_since(path: Path) -> Path:
    """Link what is at a path to a hidden name beside as well, and return that."""
    number = 1
    while True:
        aside = path.with_name(f".{path.name}{SINCE}{f'-{number}' if number > 1 else ''}")
        if one_file(path, aside):
            return aside
        with _told(path):
            try:
                os.link(path, aside)
            except FileExistsError:
                number += 1
            else:
                return aside


def rollback_file(path: Path, *, instead_of: Facts | None = None) -> None:
    """Make a name stand for its old content again, in place of a file that was looked at."""
    with _told(path):
        give_name(before_switch(path), path, instead_of=instead_of)
    settle(path)


def settle(path: Path) -> None:
    """Remove what a switch that never came to its end, or was undone, left beside a file."""
    before = before_switch(path)
    if not (before.exists() and path.exists() and one_file(path, before)):
        return
    with _told(path):
        forget_switch(path)


def forget_switch(path: Path) -> None:
    """Remove what is kept of a file's old content, and what is noted of a switch."""
    before = before_switch(path)
    if note_of(before).exists():
        note_of(before).replace(note_of(path))
    else:
        note_of(path).unlink(missing_ok=True)
    before.unlink()


def _copy(there: Path, path: Path) -> None:
    shutil.copyfile(there, path)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def one_file(a: Path, b: Path) -> bool:
    """Return whether two names are of one file."""
    return a.exists() and b.exists() and a.samefile(b)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise cannot_write(path, error) from error
