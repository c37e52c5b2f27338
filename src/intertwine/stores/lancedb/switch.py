"""The rows that the name of a LanceDB table stands for: changed in one commit, while others write.

LanceDB has no lock that others heed, and a commit that replaces a table's rows replaces those of commits
that came while it was prepared as well. So both ways, to the new vectors and back, go in three steps. A
tag is put on the version that the target is in step with. The rows are written as the table's next
version. Then the versions that came between the two are looked at, and what they changed is written again
to the new rows, row by row. The tag goes last: a run that finds it completes what a killed one began.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.carried import Carried
from intertwine.stores.lancedb import carry as lancedb_carry
from intertwine.stores.lancedb.arrow import EMBEDDING, EXTRA, NOTE, one_line
from intertwine.stores.lancedb.carry import old_rows, with_old
from intertwine.stores.lancedb.digests import digests, origins_of
from intertwine.stores.lancedb.folder import PAGE
from intertwine.stores.lancedb.indexes import build
from intertwine.stores.lancedb.store import LanceStore
from intertwine.stores.store import MigrationRecord, require_ours
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from intertwine.stores.lancedb.new_table import NewTable
    from intertwine.stores.store import Batch, Convert

# Begin the names of tags: of a version with old vectors, and of one that a change began from.
KEEPS, UNDERWAY = "intertwine-", "intertwine-underway-"
# Looks at the source before a switch, and changes that need no further look.
LOOKS, FEW = 5, 100


@dataclass(frozen=True)
class Flip:
    """A change of what a table's name stands for, once its rows are written.

    The target was in step with version `begun`; `last` is the last one before the change, and
    others wrote those between. `back` goes back to the old vectors.
    """

    begun: int
    last: int
    back: bool


def switch(target: NewTable, convert: Convert) -> list[str]:
    """Make the source's name stand for a target's rows; return notes.

    Indexes are rebuilt after that; until then searches look at all rows.
    """
    for batch in carry_unfinished(target, PAGE):
        target.write(batch, convert(batch))
    if target.switched():
        return []
    written = removed = 0
    for _ in range(LOOKS):
        pinned = target.source.pinned()
        wrote, lost = target.catch_up(pinned, convert)
        written, removed = written + wrote, removed + lost
        if wrote + lost <= FEW:
            break
    target.source.require_distinct(pinned)
    columns = replace(target.source.columns, schema=pinned.schema)
    schema = columns.noted(target.dim, target.record.switched(str(pinned.version)).to_text())
    with one_line():
        here = target.pinned()

    def pages() -> Iterator[Any]:
        yield from target.pages(target.names, PAGE, 0, here)
        for page in _newest(target):
            made = target.with_vectors(page, convert(target.batch_of(page)))
            ids, new = made[target.columns.id].to_pylist(), digests(made[target.columns.vector])
            for item, vector in zip(ids, new, strict=True):
                target.streamed[item] = replace(target.streamed[item], new=vector)
            yield made

    target.carried, target.streamed = Carried("rows", repr), {}
    _flip(target, pinned, schema, pages)
    for batch in carry_unfinished(target, PAGE):
        written += target.write(batch, convert(batch))
    removed += len(target.carried.removed)
    return _late_notes(written, removed)


def _late_notes(written: int, removed: int) -> list[str]:
    if not written + removed:
        return []
    late = counted(
        written, "row that had come or changed was", "rows that had come or changed were"
    )
    gone = counted(removed, "that had gone was", "that had gone were")
    return [f"{late} converted at the switch itself, {gone} removed"]


def _flip(target: NewTable, pinned: Any, schema: Any, pages: Callable[[], Iterator[Any]]) -> None:
    """Write pages as the next version of the source's table, in one commit, a page in memory at a time."""
    arrow = import_extra("pyarrow", EXTRA)

    def batches() -> Iterator[Any]:
        for page in pages():
            yield from page.select(schema.names).cast(schema).to_batches()

    with one_line():
        target.source.table.tags.create(f"{UNDERWAY}{pinned.version}", pinned.version)
        # A reader that knows its schema: LanceDB would look into a bare generator and lock up.
        target.database.create_table(
            target.source.address.part,
            arrow.RecordBatchReader.from_batches(schema, batches()),
            schema=schema,
            mode="overwrite",
            on_bad_vectors="null",
        )


def _newest(target: NewTable) -> Iterator[Any]:
    """Yield rows that came to the end of the source's table while the other rows were written.

    What else changed meanwhile is carried over afterwards. A row that is missing until then cannot be
    edited or deleted by its owner, so that no more of them shall be missing than need be.
    """
    target.streamed = {}
    for _ in range(LOOKS):
        pinned = target.source.pinned()
        for found in target.source.pages(target.names, PAGE, last_page(pinned), pinned):
            page = found.select(target.names)
            ids = page[target.columns.id].to_pylist()
            known = target.noted(ids).keys() | target.streamed.keys()
            fresh = [item not in known for item in ids]
            if not any(fresh):
                return
            rows = page.filter(import_extra("pyarrow", EXTRA).array(fresh))
            origins = origins_of(rows, target.columns.vector, target.others)
            target.streamed |= dict(zip(rows[target.columns.id].to_pylist(), origins, strict=True))
            yield rows


def last_page(pinned: Any) -> int:
    """Return where the last page of a table begins."""
    with one_line():
        return max(0, int(pinned.count_rows()) - PAGE)


def unfinished(target: NewTable) -> Flip | None:
    """Return the change of this target's that was not completed, if there is one."""
    table = target.source.table
    with one_line():
        names = [name for name in table.tags.list() if name.startswith(UNDERWAY)]
    for name in names:
        begun = int(name.removeprefix(UNDERWAY))
        before = _note(target, begun)
        with one_line():
            latest = int(table.version)
        if _note(target, latest) == before:
            # It was killed before its rows were written.
            with one_line():
                table.tags.delete(name)
            continue
        back = _is_ours(before, target)
        if back or _is_ours(_note(target, latest), target):
            return Flip(begun, _last_like(target, begun, latest), back)
    return None


def _is_ours(note: str | None, target: NewTable) -> bool:
    record = MigrationRecord.from_text(note)
    return record is not None and record.after_switch_of(target.record)


def _note(target: NewTable, version: int) -> str | None:
    """Return the note of a migration in a version of the source."""
    schema = target.source.at(version).schema
    return replace(target.source.columns, schema=schema).note


def _last_like(target: NewTable, begun: int, latest: int) -> int:
    """Return the last version that has the note of the first; they all do up to there."""
    note = _note(target, begun)
    while latest - begun > 1:
        middle = (begun + latest) // 2
        if _note(target, middle) == note:
            begun = middle
        else:
            latest = middle
    return begun


def carry_unfinished(target: NewTable, size: int) -> Iterator[Batch]:
    """Complete a change that was not completed; yield rows that have to be converted and written for it."""
    flip = unfinished(target)
    if flip is None:
        return
    before = target.source.at(flip.last)
    if flip.last > flip.begun:
        with _carrying(target):
            # The newest rows first, which are missing under the name until then.
            old = _kept(target, flip.begun) if flip.back else None
            for start in (last_page(before), 0):
                if flip.back:
                    lancedb_carry.absorb(target, before, old, start)
                else:
                    yield from target.stale(before, size, start)
            lancedb_carry.remove(target, before)
            lancedb_carry.remove_streamed(target, before)
    table = target.source.table
    dim = getattr(table.schema.field(target.columns.vector).type, "list_size", 0)
    build(table, before, target.columns.vector, target.metric, dim)
    _complete(target, flip)


@contextmanager
def _carrying(target: NewTable) -> Iterator[None]:
    """Make the target write under the source's name too."""
    target.carrying = True
    try:
        yield
    finally:
        target.carrying = False


def _complete(target: NewTable, flip: Flip) -> None:
    """Tag the version that keeps the old vectors, or remove that tag, and note that all is done."""
    tags = target.source.table.tags
    with one_line():
        if flip.back:
            for name in _tags_from(target, _kept_text(target, flip.begun))[:1]:
                tags.delete(name)
        elif f"{KEEPS}{flip.last}" not in tags.list():
            tags.create(f"{KEEPS}{flip.last}", flip.last)
        tags.delete(f"{UNDERWAY}{flip.begun}")


def _tags_from(target: NewTable, version: int) -> list[str]:
    """Return the tags of kept versions from one on, the oldest first."""
    names = target.source.table.tags.list()
    numbers = (
        int(name.removeprefix(KEEPS)) for name in names if name.removeprefix(KEEPS).isdigit()
    )
    return [f"{KEEPS}{number}" for number in sorted(numbers) if number >= version]


def _kept_text(target: NewTable, version: int) -> int:
    """Return the version that a switched one says it keeps the old vectors in."""
    record = MigrationRecord.from_text(_note(target, version))
    return int(record.kept) if record and record.kept else version


def _kept(target: NewTable, version: int) -> Any:
    """Return the table as it was before the switch that a version came of."""
    kept = _kept_text(target, version)
    tags = _tags_from(target, kept)
    number = int(tags[0].removeprefix(KEEPS)) if tags else kept
    try:
        return target.source.at(number)
    except InputError as error:
        raise InputError(
            f"{target.source.name}: version {number}, which kept the old vectors, is there no more "
            f"({error}); was its tag {KEEPS}{number} deleted? There is nothing to go back to"
        ) from None


def rollback(target: NewTable) -> list[str]:
    """Make the source's name stand for the old vectors again; return notes.

    Rows are those of now, with all that was added, edited and deleted since the switch; only their
    vectors are the old ones, null where there is none. The target is brought up to date first, so
    that every new vector is kept there. Open the source again to read it.
    """
    flip = unfinished(target)
    if flip is not None and not flip.back:
        raise InputError(
            f"{target.source.name}: its switch was cut short; run it again to complete it (without "
            "--rollback), then roll back"
        )
    target.carried, target.streamed = Carried("rows", repr), {}
    if flip is not None:
        list(carry_unfinished(target, PAGE))
        return [
            *target.carried.notes(target.source.name, target.name),
            "completed a way back that was cut short",
        ]
    if not target.switched():
        raise InputError(f"{target.source.name} is not switched over; nothing to roll back")
    pinned = target.source.pinned()
    old = _kept(target, pinned.version)
    _require_last(target, pinned, old)
    _require_target(target)
    lancedb_carry.absorb(target, pinned, old)
    for ids in target.source.absent(partial(target.source.pages_of_ids, old), pinned):
        target.carried.removed |= dict.fromkeys(ids)
    lancedb_carry.remove(target, pinned)
    if pinned.schema.names == old.schema.names and not target.carried.any:
        with one_line():
            target.source.table.tags.create(f"{UNDERWAY}{pinned.version}", pinned.version)
            target.source.table.restore(old.version)
    else:
        schema = _schema_back(target, pinned, old)
        _flip(target, pinned, schema, lambda: _pages_back(target, pinned, old))
    list(carry_unfinished(target, PAGE))
    return target.carried.notes(target.source.name, target.name)


def _require_last(target: NewTable, pinned: Any, old: Any) -> None:
    """Raise where another column was switched after this one, to vectors that old rows cannot hold."""
    kept = {field.name: field.type for field in old.schema if field.name != target.columns.vector}
    for field in pinned.schema:
        switched = NOTE in (field.metadata or {}) and field.type != kept.get(field.name, field.type)
        if switched:
            raise InputError(
                f"{target.source.name}: column {field.name} was switched over after "
                f"{target.columns.vector}; roll that one back first"
            )


def _require_target(target: NewTable) -> None:
    """Make the target where it is no longer there, or has other columns than the source has now."""
    if target.exists():
        require_ours(LanceStore.mark(target), target.record, target.name)
        if target.table.schema.names == target.columns.schema.names:
            return
        with one_line():
            target.database.drop_table(target.address.part)
    target.create()


def _schema_back(target: NewTable, pinned: Any, old: Any) -> Any:
    """Return the source's schema of now with the old column of vectors."""
    vector, schema = target.columns.vector, pinned.schema
    column = old.schema.field(vector).with_nullable(True)
    metadata = {**(schema.metadata or {})}
    if EMBEDDING in (old.schema.metadata or {}):
        metadata[EMBEDDING] = old.schema.metadata[EMBEDDING]
    return schema.set(schema.get_field_index(vector), column).with_metadata(metadata)


def _pages_back(target: NewTable, pinned: Any, old: Any) -> Iterator[Any]:
    """Yield the source's rows with their old vectors, those too that come meanwhile."""
    pages = target.source.pages(target.names, PAGE, 0, pinned)
    for page in chain(pages, _newest(target)):
        ids = page[target.columns.id].to_pylist()
        yield with_old(target, page.select(target.names), old, *old_rows(target, ids, old))
