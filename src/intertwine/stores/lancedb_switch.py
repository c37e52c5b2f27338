"""What the name of a LanceDB table stands for: changed in one commit, whoever writes to it meanwhile.

LanceDB has no lock that others heed, and a commit that replaces a table's rows replaces those of commits
that came while it was prepared as well. So both ways, to the new vectors and back, go in three steps. A
tag is put on the version that the target is in step with. The rows are written as the table's next
version. Then the versions that came between the two are looked at, and what they changed is written again
to the new rows, row by row. The tag goes last: a run that finds it completes what a killed one began.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.lancedb import LanceStore
from intertwine.stores.lancedb_arrow import EMBEDDING, EXTRA, one_line
from intertwine.stores.lancedb_digests import digests, origins_of
from intertwine.stores.lancedb_folder import PAGE, absent, pages_of_ids, require_distinct, where_ids
from intertwine.stores.lancedb_indexes import build
from intertwine.stores.origins import KEPT, Origin
from intertwine.stores.store import Mark, require_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from intertwine.stores.lancedb_target import LanceTarget
    from intertwine.stores.store import Batch, Convert

# Begin the names of tags: of a version with old vectors, and of one that a change began from.
KEEPS, UNDERWAY = "intertwine-", "intertwine-underway-"
# Looks at the source before a switch, and changes that need no further look.
LOOKS, FEW = 5, 100
# Items that a note names.
NAMED = 3


@dataclass(frozen=True)
class Flip:
    """A change of what a table's name stands for, once its rows are written.

    Parameters
    ----------
    begun
        The version that the target was in step with.
    last
        The last version before the change; others wrote those between.
    back
        Whether it goes back to the old vectors.
    """

    begun: int
    last: int
    back: bool


@dataclass
class Carried:
    """Items that were carried along on the way back.

    Parameters
    ----------
    added, edited, removed
        Since the switch; added ones have no old vector.
    """

    added: dict[Any, None] = field(default_factory=dict)
    edited: dict[Any, None] = field(default_factory=dict)
    removed: dict[Any, None] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether there are some."""
        return bool(self.added or self.edited or self.removed)

    def notes(self, target: LanceTarget) -> list[str]:
        """Return what to say of them."""
        source, found = target.source.name, []
        if self.added:
            found.append(
                f"{len(self.added)} rows that came after the switch, {named(self.added)} among them, "
                f"are in {source} without an old vector, which no search finds; their new vectors "
                f"stay in {target.name}, and come back with the next switch"
            )
        if self.edited:
            found.append(
                f"{len(self.edited)} rows that were edited after the switch, {named(self.edited)} "
                "among them, keep their edits; their old vectors are those of before"
            )
        if self.removed:
            found.append(
                f"{len(self.removed)} rows that were deleted after the switch, {named(self.removed)} "
                "among them, stay deleted"
            )
        return found


def named(items: Iterable[Any]) -> str:
    """Return a few items in words."""
    return ", ".join(repr(item) for item in islice(items, NAMED))


def switch(target: LanceTarget, convert: Convert) -> list[str]:
    """Make the source's name stand for a target's rows; return notes.

    Indexes are rebuilt after that; until then searches look at all rows.

    Raises
    ------
    InputError
        Where rows cannot be written, ids stand twice, or the source's columns have changed.
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
    require_distinct(target.source, pinned)
    columns = replace(target.source.columns, schema=pinned.schema)
    schema = columns.noted(target.dim, target.made.switched(str(pinned.version)).to_text())
    with one_line():
        here = target.pinned()

    def pages() -> Iterator[Any]:
        yield from target.pages(target.names, PAGE, 0, here)
        for page in _newest(target):
            yield target.with_vectors(page, convert(target.batch_of(page)))

    target.carried, target.streamed = Carried(), {}
    _flip(target, pinned, schema, pages)
    for batch in carry_unfinished(target, PAGE):
        written += target.write(batch, convert(batch))
    removed += len(target.carried.removed)
    return _said_late(written, removed)


def _said_late(written: int, removed: int) -> list[str]:
    if not written + removed:
        return []
    late = f"{written} rows that had come or changed were converted at the switch itself"
    return [f"{late}, {removed} that had gone were removed"]


def _flip(
    target: LanceTarget, pinned: Any, schema: Any, pages: Callable[[], Iterator[Any]]
) -> None:
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


def _newest(target: LanceTarget) -> Iterator[Any]:
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


def unfinished(target: LanceTarget) -> Flip | None:
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


def _is_ours(note: str | None, target: LanceTarget) -> bool:
    mark = Mark.from_text(note)
    return mark is not None and mark.after_switch_of(target.made)


def _note(target: LanceTarget, version: int) -> str | None:
    """Return the note that a version of the source bears."""
    schema = _version(target, version).schema
    return replace(target.source.columns, schema=schema).note


def _version(target: LanceTarget, version: int) -> Any:
    with one_line():
        return target.database.open_table(target.source.address.part, version=version)


def _last_like(target: LanceTarget, begun: int, latest: int) -> int:
    """Return the last version that bears the note of the first; they all do up to there."""
    note = _note(target, begun)
    while latest - begun > 1:
        middle = (begun + latest) // 2
        if _note(target, middle) == note:
            begun = middle
        else:
            latest = middle
    return begun


def carry_unfinished(target: LanceTarget, size: int) -> Iterator[Batch]:
    """Complete a change that was not completed; yield rows that have to be converted and written for it."""
    flip = unfinished(target)
    if flip is None:
        return
    before = _version(target, flip.last)
    if flip.last > flip.begun:
        with _carrying(target):
            # The newest rows first, which are missing under the name until then.
            old = _kept(target, flip.begun) if flip.back else None
            for start in (last_page(before), 0):
                if flip.back:
                    _absorb(target, before, old, start)
                else:
                    yield from target.stale(before, size, start)
            _remove(target, before)
            _remove_streamed(target, before)
    table = target.source.table
    dim = getattr(table.schema.field(target.columns.vector).type, "list_size", 0)
    build(table, before, target.columns.vector, target.metric, dim)
    _complete(target, flip)


@contextmanager
def _carrying(target: LanceTarget) -> Iterator[None]:
    """Have what the target writes written under the source's name too."""
    target.carrying = True
    try:
        yield
    finally:
        target.carrying = False


def _complete(target: LanceTarget, flip: Flip) -> None:
    """Tag the version that keeps the old vectors, or let go of it, and note that all is done."""
    tags = target.source.table.tags
    with one_line():
        if flip.back:
            for name in _tags_from(target, _kept_text(target, flip.begun))[:1]:
                tags.delete(name)
        elif f"{KEEPS}{flip.last}" not in tags.list():
            tags.create(f"{KEEPS}{flip.last}", flip.last)
        tags.delete(f"{UNDERWAY}{flip.begun}")


def _tags_from(target: LanceTarget, version: int) -> list[str]:
    """Return the tags of kept versions from one on, the oldest first."""
    names = target.source.table.tags.list()
    numbers = (
        int(name.removeprefix(KEEPS)) for name in names if name.removeprefix(KEEPS).isdigit()
    )
    return [f"{KEEPS}{number}" for number in sorted(numbers) if number >= version]


def _kept_text(target: LanceTarget, version: int) -> int:
    """Return the version that a switched one says it keeps the old vectors in."""
    mark = Mark.from_text(_note(target, version))
    return int(mark.kept) if mark and mark.kept else version


def _kept(target: LanceTarget, version: int) -> Any:
    """Return the table as it was before the switch that a version came of.

    Raises
    ------
    InputError
        Where that is gone.
    """
    kept = _kept_text(target, version)
    tags = _tags_from(target, kept)
    number = int(tags[0].removeprefix(KEEPS)) if tags else kept
    try:
        return _version(target, number)
    except InputError as error:
        raise InputError(
            f"{target.source.name}: version {number}, which kept the old vectors, is there no more "
            f"({error}); was its tag {KEEPS}{number} deleted? There is nothing to go back to"
        ) from None


def put_under_name(
    target: LanceTarget, rows: Any, now: Sequence[Origin], known: dict[Any, Origin | None]
) -> None:
    """Write rows to the source's table, but for those that were changed or removed there once more.

    Parameters
    ----------
    target
        The target that the table stands for, or stood for.
    rows
        With the vectors that they should have there.
    now
        What these rows are made of.
    known
        What the target noted of the rows as they were written there first.
    """
    source = target.source
    ids = rows[target.columns.id].to_pylist()
    there = _rests(target, ids)
    fresh, old = [], []
    for item, origin in zip(ids, now, strict=True):
        before = known.get(item) or target.streamed.get(item)
        fresh.append(before is None and item not in there)
        old.append(before is not None and there.get(item) in {before.rest, origin.rest})
    arrow = import_extra("pyarrow", EXTRA)
    with one_line():
        data = rows.select(source.table.schema.names).cast(source.table.schema)
        for chosen, insert in ((fresh, True), (old, False)):
            some = data.filter(arrow.array(chosen))
            if len(some):
                merge = source.table.merge_insert(target.columns.id)
                merge = (
                    merge.when_not_matched_insert_all()
                    if insert
                    else merge.when_matched_update_all()
                )
                merge.execute(some, on_bad_vectors="null")


def _rests(target: LanceTarget, ids: Sequence[Any]) -> dict[Any, str]:
    """Return digests of what some rows hold under the source's name beside their vectors."""
    names = [*target.others, target.columns.vector]
    return {
        item: origin.rest
        for page in target.source.find(ids, names)
        for item, origin in zip(
            page[target.columns.id].to_pylist(),
            origins_of(page, target.columns.vector, target.others),
            strict=True,
        )
    }


def _remove(target: LanceTarget, pinned: Any) -> None:
    """Remove what a version of the source has not any more from the target, and from under the name."""
    lost = [item for ids in list(target.gone(pinned)) for item in ids]
    for first in range(0, len(lost), PAGE):
        some = lost[first : first + PAGE]
        if target.carrying:
            known, there = target.noted(some), _rests(target, some)
            same = [i for i in some if (o := known.get(i)) and there.get(i) == o.rest]
            if same:
                with one_line():
                    target.source.table.delete(where_ids(target, same))
        target.remove(some)
    target.carried.removed |= dict.fromkeys(lost)


def _remove_streamed(target: LanceTarget, pinned: Any) -> None:
    """Remove rows from under the name that were written there last and had gone by then."""
    ids = list(target.streamed)
    found = target.source.find(ids, [target.columns.id], pinned)
    there = {item for page in found for item in page[target.columns.id].to_pylist()}
    lost = [item for item in ids if item not in there]
    if lost:
        with one_line():
            target.source.table.delete(where_ids(target, lost))


def rollback(target: LanceTarget) -> list[str]:
    """Make the source's name stand for the old vectors again; return notes.

    Rows are those of now, with all that was added, edited and deleted since the switch; only their
    vectors are the old ones, null where there is none. The target is brought up to date first, so that
    every new vector is kept there. Open the source again to read it.

    Raises
    ------
    InputError
        Where nothing is switched over, or the old vectors are there no more.
    """
    flip = unfinished(target)
    if flip is not None and not flip.back:
        raise InputError(
            f"{target.source.name}: its switch was cut short; run it again to complete it (without "
            "--rollback), then roll back"
        )
    target.carried, target.streamed = Carried(), {}
    if flip is not None:
        list(carry_unfinished(target, PAGE))
        return [*target.carried.notes(target), "completed a way back that was cut short"]
    if not target.switched():
        raise InputError(f"{target.source.name} is not switched over; nothing to roll back")
    pinned = target.source.pinned()
    old = _kept(target, pinned.version)
    _require_target(target)
    _absorb(target, pinned, old)
    for ids in absent(target.source, partial(pages_of_ids, target.source, old), pinned):
        target.carried.removed |= dict.fromkeys(ids)
    _remove(target, pinned)
    if pinned.schema.names == old.schema.names and not target.carried.any:
        with one_line():
            target.source.table.tags.create(f"{UNDERWAY}{pinned.version}", pinned.version)
            target.source.table.restore(old.version)
    else:
        schema = _schema_back(target, pinned, old)
        _flip(target, pinned, schema, lambda: _pages_back(target, pinned, old))
    list(carry_unfinished(target, PAGE))
    return target.carried.notes(target)


def _require_target(target: LanceTarget) -> None:
    """Make the target where it is not there any more, or has other columns than the source has now."""
    if target.exists():
        require_ours(LanceStore.mark(target), target.made, target.name)
        if target.table.schema.names == target.columns.schema.names:
            return
        with one_line():
            target.database.drop_table(target.address.part)
    target.create()


def _schema_back(target: LanceTarget, pinned: Any, old: Any) -> Any:
    """Return the source's schema of now with the old column of vectors."""
    vector, schema = target.columns.vector, pinned.schema
    column = old.schema.field(vector).with_nullable(True)
    metadata = {**(schema.metadata or {})}
    if EMBEDDING in (old.schema.metadata or {}):
        metadata[EMBEDDING] = old.schema.metadata[EMBEDDING]
    return schema.set(schema.get_field_index(vector), column).with_metadata(metadata)


def _pages_back(target: LanceTarget, pinned: Any, old: Any) -> Iterator[Any]:
    """Yield the source's rows with their old vectors, those too that come meanwhile."""
    pages = target.source.pages(target.names, PAGE, 0, pinned)
    for page in chain(pages, _newest(target)):
        ids = page[target.columns.id].to_pylist()
        yield _with_old(target, page.select(target.names), old, *_old_rows(target, ids, old))


def _old_rows(target: LanceTarget, ids: Sequence[Any], old: Any) -> tuple[Any, list[int | None]]:
    """Return rows of an old version that have some ids, and where among them each id stands."""
    found = import_extra("pyarrow", EXTRA).concat_tables(
        list(target.source.find(ids, old.schema.names, old))
    )
    places = {item: row for row, item in enumerate(found[target.columns.id].to_pylist())}
    return found, [places.get(item) for item in ids]


def _with_old(
    target: LanceTarget, page: Any, old: Any, found: Any, places: list[int | None]
) -> Any:
    """Return a page with the old vectors of its rows, null where there is none."""
    arrow, vector = import_extra("pyarrow", EXTRA), target.columns.vector
    column = found[vector].combine_chunks().take(arrow.array(places, arrow.int64()))
    where = page.schema.get_field_index(vector)
    return page.set_column(where, old.schema.field(vector).with_nullable(True), column)


def _absorb(target: LanceTarget, pinned: Any, old: Any, start: int = 0) -> None:
    """Bring a target to rows of the source that it stands for, new vectors and all."""
    for found in target.source.pages(target.names, PAGE, start, pinned):
        _absorb_page(target, found.select(target.names), old)


def _absorb_page(target: LanceTarget, page: Any, old: Any) -> None:
    """Bring rows of a target to those of a page, and note which have come or changed since the switch."""
    columns, ids = target.columns, page[target.columns.id].to_pylist()
    found, places = _old_rows(target, ids, old)
    back = _with_old(target, page, old, found, places)
    _count(target, back, found, places)
    now, known = origins_of(back, columns.vector, target.others), target.noted(ids)
    notes, chosen = [], []
    for item, origin, new in zip(ids, now, digests(page[columns.vector]), strict=True):
        before = known.get(item)
        same = before is not None and before.new == new
        chosen.append(not (same and before and before.same_source(origin)))
        how = before.how if same and before else KEPT
        notes.append(replace(origin, new=new, how=how).to_text())
    if any(chosen):
        mask = import_extra("pyarrow", EXTRA).array(chosen)
        if target.carrying:
            some = [origin for origin, kept in zip(now, chosen, strict=True) if kept]
            put_under_name(target, back.filter(mask), some, known)
        _replace_rows(target, target.rows(page, page[columns.vector], notes).filter(mask))


def _count(target: LanceTarget, page: Any, found: Any, places: list[int | None]) -> None:
    """Note which rows of a page are not among old ones, or not as they were, their vectors aside."""
    vector, carried = target.columns.vector, target.carried
    both = [name for name in target.others if name in found.schema.names]
    before = [origin.rest for origin in origins_of(found, vector, both)]
    for item, origin, place in zip(
        page[target.columns.id].to_pylist(), origins_of(page, vector, both), places, strict=True
    ):
        if place is None:
            carried.added[item] = None
        elif before[place] != origin.rest:
            carried.edited[item] = None


def _replace_rows(target: LanceTarget, data: Any) -> None:
    """Write rows to the target, whoever wrote what is there: it stood under the name meanwhile."""
    with one_line():
        merge = target.table.merge_insert(target.columns.id)
        merge.when_matched_update_all().when_not_matched_insert_all().execute(
            data, on_bad_vectors="null"
        )
