"""Files beside those of a source, whose names come to stand for them at a switch."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from intertwine.errors import InputError, IntertwineError
from intertwine.storage.files import cannot_write, remove_temporaries
from intertwine.storage.locks import one_run
from intertwine.stores.rows.switch import (
    before_switch,
    facts_of,
    forget_switch,
    give_name,
    holds_switched,
    is_switched,
    is_switching,
    keep_since,
    note_is_gone,
    note_of,
    one_file,
    read_mark,
    require_free,
    rollback_file,
    settle,
    switch_file,
    switched_names,
    switched_state,
)
from intertwine.stores.store import require_ours
from intertwine.vectors.partial_output import partial_files
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from intertwine.storage.file_state import FileState
    from intertwine.stores.rows.store import RowStore
    from intertwine.stores.rows.switch import Facts
    from intertwine.stores.store import Convert, MigrationRecord

# Files that a line names.
NAMED = 3


class SwitchedFiles:
    """Files of a migration, one for each of the source's, with a note beside their file or folder.

    Each name of the source is switched in one step of its own. Where a run was killed between two
    files, the source is read as it was before, and the next `switch` or `rollback` ends what was
    begun.
    """

    def __init__(
        self, source: RowStore, place: Path, outputs: list[Path], record: MigrationRecord
    ) -> None:
        self.source, self.place, self.outputs, self.record = source, place, outputs, record
        self.kept = os.path.relpath(place, source.root)
        # Names that a switch is about, those that are gone by now too.
        self.names = [source.root / name for name in switched_names(place)]
        # Until a switch has looked at the source once more, when all its names were exchanged.
        self.switching = is_switching(place)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold these files for one run."""
        with one_run(self.place):
            yield

    def exists(self) -> bool:
        """Whether there is a note of ours, or anything where a file is to be."""
        suffix = self.outputs[0].suffix
        if self.place.is_dir() and any(self.place.rglob(f"*{suffix}")):
            return True
        return note_of(self.place).exists() or any(path.exists() for path in self.outputs)

    def mark(self) -> MigrationRecord | None:
        """Return the record in the note."""
        return read_mark(self.place)

    def switched(self) -> bool:
        """Whether all the source's names stand for these files."""
        names = self.names or self.source.paths
        more = self.source.paths if self.switching else []
        return all(is_switched(path, self.kept) for path in (*names, *more))

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise where a name is taken by what another switch keeps."""
        del force
        others = [path for path in self.source.paths if not is_switched(path, self.kept)]
        require_free(others, self.source.root)
        return []

    def require_name(self) -> None:
        """Raise where a name is a link: a switch would put a file in its place."""
        links = [path for path in self.source.paths if path.is_symlink()]
        if links:
            more = f" (and {len(links) - 1} more)" if len(links) > 1 else ""
            raise InputError(
                f"{links[0]}{more} is a link to {links[0].resolve()}, and a switch would put a file in its "
                "place: name what it leads to, or put a copy of that in its place; without --switch the "
                "new vectors stand beside"
            )

    def switch(self, convert: Convert) -> list[str]:
        """Make the source's names stand for these files.

        `.NAME.before-switch` keeps the old content. A source that has changed is refused, so that
        nothing is left to convert.
        """
        del convert
        with one_run(self.source.paths[0]):
            states = self.require_made()
            self.require_name()
            self.require_ready()
            if came := self.source.newcomers(self.source.paths):
                raise InputError(
                    f"{_listed(came)} came since this run began; run again to convert what came, and switch"
                )
            self._note_names(self.source.paths, switching=True)
            for path, output, state in zip(self.source.paths, self.outputs, states, strict=True):
                switch_file(path, output, self.record.switched(self.kept), state)
            self.look_again()
        return []

    def look_again(self) -> None:
        """End a switch: look at the source's files once more, now that all names are exchanged.

        A file that came or was written to meanwhile raises an error: it is of the old space, and
        the next run converts it.
        """
        came = self.source.newcomers(self.names)
        reasons = [self._undo(path) for path in self.names if not holds_switched(path)]
        if came:
            holds = "holds" if len(came) == 1 else "hold"
            reasons.append(f"{_listed(came)} came during the switch and {holds} old vectors")
        if reasons:
            raise InputError(
                f"{_few(reasons)}; run again to convert {'it' if _one(came, reasons) else 'them'}"
            )
        self._note_names(self.names)

    def _undo(self, path: Path) -> str:
        """Undo the switch of a name that was written to since its exchange; return that in words."""
        output = self._output_of(path)
        if output is None or not one_file(path, output):
            forget_switch(path)
            return f"{path} was written to during the switch, which is undone for it"
        aside = keep_since(path)
        output.unlink()
        rollback_file(path)
        return (
            f"{path} was written to in place during the switch, which is undone for it; what stood there "
            f"is kept as {aside}"
        )

    def _note_names(self, paths: list[Path], *, switching: bool = False) -> None:
        """Note which names a switch is about, and whether it goes on."""
        self.names, self.switching = paths, switching
        self.note()

    def note(self) -> None:
        """Write the note beside the place."""
        raise NotImplementedError

    def require_made(self) -> list[FileState]:
        """Raise unless all files are made of the source as it is; return what each holds."""
        raise NotImplementedError

    def described(self, path: Path) -> str:
        """Return in words how many rows a file holds."""
        raise NotImplementedError

    def rollback(self, *, force: bool = False) -> list[str]:
        """Make the source's names stand for their old content again.

        Where something was written under the names since, an error is raised, unless forced: then
        that is kept beside as `.NAME.since-switch`.
        """
        asked = self.names or self.source.paths
        names = [path for path in asked if self._is_ours(path)]
        gone = [reason for path in asked if (reason := self._gone(path))]
        if gone:
            raise InputError(f"{_few(gone)}; nothing was rolled back")
        if not names:
            raise InputError(f"{self.source.name} is not switched over; nothing to roll back")
        with one_run(self.source.paths[0]):
            return self._roll_back_all(names, force=force)

    def _roll_back_all(self, names: list[Path], *, force: bool) -> list[str]:
        facts = {path: facts_of(path) for path in names if path.exists()}
        changed = {path: change for path in names if (change := self._since(path))}
        known = {path.absolute() for path in self.names}
        added = [path for path in self.source.found if known and path.absolute() not in known]
        if self.switching:
            # Of the old content, as no switch has come to its end.
            added = []
        if (changed or added) and not force:
            raise InputError(self._refusal(changed, added))
        notes = [self._put_aside(path) for path in added]
        for path in names:
            notes += self._roll_back(path, changed.get(path), facts.get(path))
        self._note_names([])
        return notes

    def _is_ours(self, path: Path) -> bool:
        """Whether our switch keeps the old content of a name, or was cut off there."""
        if not before_switch(path).exists():
            return False
        record = read_mark(path)
        cut_off = one_file(path, before_switch(path))
        return cut_off or (record is not None and record.kept == self.kept)

    def _gone(self, path: Path) -> str:
        """Return in words what a way back needs and a name that was switched lacks; nothing otherwise."""
        before, record = before_switch(path), read_mark(path)
        if record is not None and record.kept == self.kept and not before.exists():
            return f"{path} stands for new vectors, and {before}, which kept the old ones, is gone"
        return note_is_gone(path)

    def _since(self, path: Path) -> str:
        """Return in words what came under a name since the switch; nothing where nothing did."""
        if one_file(path, before_switch(path)):
            return ""
        if not path.exists():
            return f"{path} was removed since the switch"
        state = switched_state(path)
        if state is None:
            return f"{path} was switched by an older version, which did not note its content"
        if state.is_of(path):
            return ""
        return f"{path} was written since the switch: {self._compared(path, state)}"

    def _compared(self, path: Path, state: FileState) -> str:
        try:
            found = self.described(path)
        except IntertwineError as error:
            return f"it held {counted(state.rows, 'row')} and cannot be read now ({error})"
        if f" {counted(state.rows, 'row')} " in found:
            return f"{found}, as many as were switched in, but with other content"
        return f"{found}, where {counted(state.rows, 'row was', 'rows were')} switched in"

    def _refusal(self, changed: dict[Path, str], added: list[Path]) -> str:
        reasons = [*changed.values(), *(f"{path} was added since the switch" for path in added)]
        return (
            f"{_few(reasons)}; nothing was rolled back: copy what is new elsewhere, or add "
            "--force to go back and keep it beside, hidden"
        )

    def _put_aside(self, path: Path) -> str:
        aside = keep_since(path)
        path.unlink()
        return f"{path} was added since the switch; it is kept as {aside}"

    def _roll_back(self, path: Path, change: str | None, facts: Facts | None) -> list[str]:
        """Roll a name back; return a note of what is kept beside."""
        if one_file(path, before_switch(path)):
            settle(path)
            return []
        notes = []
        if change and path.exists():
            aside = keep_since(path)
            notes.append(f"{change}; that is kept as {aside}")
            notes += self._part_from(aside)
        elif change:
            notes.append(f"{change}; the old content stands there again")
        else:
            self._keep_output(path)
        rollback_file(path, instead_of=facts)
        return notes

    def _output_of(self, path: Path) -> Path | None:
        where = dict(zip(self.source.paths, self.outputs, strict=True))
        return where.get(path)

    def _part_from(self, aside: Path) -> list[str]:
        """Remove the name of a converted file through which somebody else's content shows."""
        for output in self.outputs:
            if one_file(output, aside):
                output.unlink()
                return [f"{output} was one file with it and is to be made again"]
        return []

    def _keep_output(self, path: Path) -> None:
        """Keep converted vectors under their own name too, where only the source's name has them."""
        output = self._output_of(path)
        if output is not None and not output.exists():
            with suppress(OSError):
                output.parent.mkdir(parents=True, exist_ok=True)
                give_name(path, output)

    def drop(self) -> None:
        """Remove these files, rows so far, and the note, unless a name stands for them."""
        if any(is_switched(path, self.kept) for path in self.source.paths):
            raise InputError(f"{self.source.name} stands for these vectors; roll back first")
        if self.exists():
            require_ours(self.mark(), self.record, str(self.place))
        for path in self.source.paths:
            settle(path)
        try:
            for output in self.outputs:
                for path in (*partial_files(output), output):
                    remove_temporaries(path)
                    path.unlink(missing_ok=True)
            note_of(self.place).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.place, error) from error
        for folder in sorted({path.parent for path in self.outputs}, key=str, reverse=True):
            if folder.is_relative_to(self.place):
                with suppress(OSError):  # it holds something else
                    folder.rmdir()


def _few(reasons: list[str]) -> str:
    """Return clauses about files as one line, the first of them."""
    more = f" (and {counted(len(reasons) - NAMED, 'more file')})" if len(reasons) > NAMED else ""
    return f"{'; '.join(reasons[:NAMED])}{more}"


def _listed(paths: list[Path]) -> str:
    """Return the names of files as a line lists them, the first of them."""
    more = f" (and {counted(len(paths) - NAMED, 'more file')})" if len(paths) > NAMED else ""
    return f"{', '.join(map(str, paths[:NAMED]))}{more}"


def _one(came: list[Path], reasons: list[str]) -> bool:
    """Return whether one file alone is spoken of."""
    return len(reasons) == 1 and len(came) <= 1
