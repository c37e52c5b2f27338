"""Files beside those of a source, whose names come to stand for them at a switch."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.files import cannot_write, forget_temporary
from intertwine.stores.file_switch import (
    is_switched,
    note_of,
    read_mark,
    require_free,
    rollback_file,
    settle,
    switch_file,
)
from intertwine.vectors.partial_output import partial_files

if TYPE_CHECKING:
    from intertwine.stores.row_store import RowStore
    from intertwine.stores.store import Convert, Mark


class SwitchedFiles:
    """Files of a migration, one for each of the source's.

    Each name of the source is switched in one step of its own. Where a run was killed between two
    files, the source is read as it was before, and the next `switch` or `rollback` ends what was begun.

    Parameters
    ----------
    source
        Where the vectors come from.
    place
        The file or folder that a note stands beside.
    outputs
        The files.
    made
        The mark that they bear.
    """

    def __init__(self, source: RowStore, place: Path, outputs: list[Path], made: Mark) -> None:
        self.source, self.place, self.outputs, self.made = source, place, outputs, made
        self.kept = os.path.relpath(place, common_folder(source.paths))

    def exists(self) -> bool:
        """Whether there is a note of ours, or anything where a file is to be."""
        suffix = self.outputs[0].suffix
        if self.place.is_dir() and any(self.place.rglob(f"*{suffix}")):
            return True
        return note_of(self.place).exists() or any(path.exists() for path in self.outputs)

    def mark(self) -> Mark | None:
        """Return the mark in the note."""
        return read_mark(self.place)

    def switched(self) -> bool:
        """Whether all the source's names stand for these files."""
        return all(is_switched(path, self.kept) for path in self.source.paths)

    def switch(self, convert: Convert) -> list[str]:
        """Make the source's names stand for these files; `.NAME.before-switch` keeps the old content.

        A source that has changed is refused, so that nothing is left to convert.

        Raises
        ------
        InputError
            Where files are missing, another switch keeps something, or a folder cannot be written.
        """
        del convert
        self.require_made()
        for path in self.source.paths:
            if not is_switched(path, self.kept):
                require_free(path)
        for path, output in zip(self.source.paths, self.outputs, strict=True):
            switch_file(path, output, self.made.switched(self.kept))
        return []

    def require_made(self) -> None:
        """Raise unless all files are made of the source as it is."""
        raise NotImplementedError

    def rollback(self, *, force: bool = False) -> list[str]:
        """Make the source's names stand for their old content again."""
        del force
        switched = [path for path in self.source.paths if is_switched(path, self.kept)]
        if not switched:
            raise InputError(f"{self.source.name} is not switched over; nothing to roll back")
        for path in switched:
            rollback_file(path)
        self._settle()
        return []

    def _settle(self) -> None:
        for path in self.source.paths:
            settle(path)

    def drop(self) -> None:
        """Remove these files, rows so far, and the note.

        Raises
        ------
        InputError
            While a name of the source stands for them.
        """
        if any(is_switched(path, self.kept) for path in self.source.paths):
            raise InputError(f"{self.source.name} stands for these vectors; roll back first")
        self._settle()
        try:
            for output in self.outputs:
                for path in (*partial_files(output), output):
                    forget_temporary(path)
                    path.unlink(missing_ok=True)
            note_of(self.place).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.place, error) from error
        for folder in sorted({path.parent for path in self.outputs}, key=str, reverse=True):
            if folder.is_relative_to(self.place):
                with suppress(OSError):  # it holds something else
                    folder.rmdir()


def common_folder(paths: list[Path]) -> Path:
    """Return the folder that holds all of some files."""
    return Path(os.path.commonpath([path.absolute().parent for path in paths]))
