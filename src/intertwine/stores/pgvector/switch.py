"""Two columns of a table exchange their names, and back again: each in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.storage.untrusted import printable
from intertwine.stores.pgvector.catalog import free
from intertwine.stores.pgvector.like import (
    grant_alike,
    promise_not_null,
    set_not_null,
    withdraw_not_null,
)
from intertwine.stores.pgvector.locks import patiently
from intertwine.stores.pgvector.new_column import BEFORE, Kept
from intertwine.stores.pgvector.ready import Readiness
from intertwine.stores.pgvector.store import by_block
from intertwine.stores.pgvector.wire import EXTRA
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.stores.pgvector.column import Column
    from intertwine.stores.pgvector.indexes import TableIndex
    from intertwine.stores.pgvector.new_column import NewColumn
    from intertwine.stores.store import Convert

BATCH = 2000
# Looks at the whole table beside writers before they are made to wait for the last one.
LOOKS = 10
# So few rows are left for when writers wait.
FEW = 200


@dataclass
class CaughtUp:
    """What was done before writers are made to wait: rows converted, and the last whole look.

    `since` is the oldest transaction under way when that look began, or None where some row took no
    vector then.
    """

    converted: int = 0
    since: str | None = None


def switch_over(target: NewColumn, convert: Convert) -> list[str]:
    """Convert what is pending, and make the source's name stand for the new vectors; return notes.

    Where rows stay pending, or something of the table has changed, nothing is switched.
    """
    caught_up = _catch_up(target, convert)
    notes = _unmatched(target)
    last = patiently(target, lambda: _switch(target, convert, caught_up))
    target.stand(target.source.column.name, last.old)
    set_not_null(target, target.source.column.name)
    converted = caught_up.converted + last.converted
    if converted:
        came = f"{counted(converted, 'row')} came or changed while the migration ended"
        were = "was" if converted == 1 else "were"
        notes.append(f"{came}, and {were} converted before the switch")
    if last.removed:
        rows = counted(last.removed, "row")
        have = "has" if last.removed == 1 else "have"
        notes.append(f"{rows} whose old vector was removed meanwhile {have} none")
    return notes


def _catch_up(target: NewColumn, convert: Convert) -> CaughtUp:
    """Convert what came during the checks, beside writers, until little is left."""
    done = CaughtUp()
    for _ in range(LOOKS):
        since = target.query("SELECT txid_snapshot_xmin(txid_current_snapshot())::text")[0][0]
        found = wrote = 0
        for batch in target.pending(BATCH):
            found += len(batch.ids)
            wrote += target.write(batch, convert(batch))
        done.converted += wrote
        done.since = since if found == wrote else None
        if found <= FEW:
            break
    return done


@dataclass(frozen=True)
class _Last:
    """What was done while writers waited: rows converted, vectors removed, and the old column."""

    converted: int
    removed: int
    old: Column


def _switch(target: NewColumn, convert: Convert, caught_up: CaughtUp) -> _Last:
    """Do the rest while writers wait, and exchange the names while readers do."""
    _require_unchanged(target)
    condition = _changed_since(target, caught_up.since)
    converted = _convert_rest(target, convert, condition)
    removed = _remove(target)
    _require_nothing_pending(target, condition)
    names = [(index, own) for index, own in target.index_builder().pairs() if own is not None]
    target.query("LOCK TABLE {t} IN ACCESS EXCLUSIVE MODE")
    old = _exchange(target, names)
    return _Last(converted, removed, old)


def _require_unchanged(target: NewColumn) -> None:
    """Raise where a name stands for another column than at first, or harm was done since."""
    now = target.numbers()
    found = target.column_mark(target.column.name)
    if now.get(target.old.name) != target.old_number or found != target.record:
        raise InputError(f"{target.name}: columns of the table were changed meanwhile; run again")
    warnings = Readiness(target.source).harm(target.index_builder())
    if warnings and not target.forced:
        raise InputError(f"{target.source.name}: {warnings[0]}, or pass --force to go on anyway")


def _changed_since(target: NewColumn, since: str | None) -> str:
    """Return which rows are pending, of those that a look before did not see already.

    A row without a vector is always looked at; whether an old vector has changed is asked only of
    rows written since then.
    """
    if since is None or not target.stamped():
        return target.pending_condition()
    recent = f"age({{t}}.xmin) <= age('{int(since) % 2**32}'::xid)"
    return f"{{old}} IS NOT NULL AND ({{new}} IS NULL OR ({recent} AND {{changed}} AND {{known}}))"


def _convert_rest(target: NewColumn, convert: Convert, condition: str) -> int:
    """Convert what is pending on the target's own connection; return how many rows took a vector."""
    old = target.old_store(target.connection)
    # Read to the end first: a connection does one thing at a time.
    batches = list(by_block(old, condition, BATCH, **target.pieces()))
    return sum(target.write_on(target.connection, batch, convert(batch)) for batch in batches)


def _remove(target: NewColumn) -> int:
    """Remove vectors that a migration made of old ones that have been removed since."""
    if not target.stamped():
        return 0
    rows = target.query(
        "UPDATE {t} SET {new_name} = NULL, {stamp_name} = NULL "
        "WHERE {old} IS NULL AND {new} IS NOT NULL AND {known} RETURNING 1",
        **target.pieces(),
    )
    return len(rows)


def _require_nothing_pending(target: NewColumn, condition: str) -> None:
    """Raise where rows have an old vector and no new one still."""
    rows = target.query(
        f"SELECT {{id_text}} FROM {{t}} WHERE {condition} ORDER BY 1 LIMIT 1",  # noqa: S608 - ours
        **target.pieces(),
    )
    if rows:
        count = target.query(
            f"SELECT count(*) FROM {{t}} WHERE {condition}",  # noqa: S608 - ours
            **target.pieces(),
        )[0][0]
        raise InputError(
            f"{target.name}: {count} rows, {printable(rows[0][0])} among them, take no vector, though nothing "
            "reports an error; is there a trigger or a rule? Nothing was switched over"
        )


def _unmatched(target: NewColumn) -> list[str]:
    """Return notes of the old column's indexes that the new one has nothing like."""
    return [
        f"index {printable(index.name)} stays with the old vectors, and the new ones have none like it"
        for index, own in target.index_builder().pairs()
        if own is None
    ]


def _exchange(target: NewColumn, indexes: list[tuple[TableIndex, TableIndex]]) -> Column:
    """Exchange names, and what binds columns by their number; return the old column."""
    name, numbers = target.source.column.name, target.numbers()
    before = free(name, BEFORE, numbers)
    not_null = _is_not_null(target, name)
    if not_null:
        withdraw_not_null(target, name)
    comment = _words(target, name)
    kept = Kept(
        target.column.name,
        before,
        numbers[name],
        not_null,
        _rename_indexes(target, indexes),
        target.stamped(),
    )
    _rename(target, {name: before, target.column.name: name})
    if not_null:
        promise_not_null(target, name)
    grant_alike(target, before, name)
    _comment(target, name, comment + target.record.switched(kept.to_text()).to_text())
    return replace(target.old, name=before)


def _is_not_null(target: NewColumn, column: str) -> bool:
    rows = target.query(
        "SELECT attnotnull FROM pg_attribute WHERE attrelid = %s AND attname = %s",
        target.column.oid,
        column,
    )
    return bool(rows[0][0])


def _words(target: NewColumn, column: str) -> str:
    """Return a person's words in the comment of a column, with the end of their line."""
    rows = target.query(
        "SELECT col_description(attrelid, attnum) FROM pg_attribute "
        "WHERE attrelid = %s AND attname = %s",
        target.column.oid,
        column,
    )
    lines = [line for line in (rows[0][0] or "").split("\n") if not line.startswith("intertwine ")]
    return "\n".join([*lines, ""]) if any(lines) else ""


def _rename(target: NewColumn, names: dict[str, str]) -> None:
    for before, after in names.items():
        target.query("ALTER TABLE {t} RENAME COLUMN {x} TO {y}", x=before, y=after)


def _comment(target: NewColumn, column: str, text: str) -> None:
    sql = import_extra("psycopg.sql", EXTRA)
    target.query("COMMENT ON COLUMN {t}.{n} IS {text}", n=column, text=sql.Literal(text))


def _rename_indexes(
    target: NewColumn, pairs: list[tuple[TableIndex, TableIndex]]
) -> dict[str, str]:
    """Name the new column's indexes as the old one's were; return what those are called now."""
    taken = {name for (name,) in target.query("SELECT relname FROM pg_class")}
    kept = {}
    for index, own in pairs:
        before = free(index.name, BEFORE, taken)
        taken.add(before)
        _rename_index(target, index.schema, index.name, before)
        _rename_index(target, index.schema, own.name, index.name)
        kept[index.name] = before
    return kept


def _rename_index(target: NewColumn, schema: str, before: str, after: str) -> None:
    target.query("ALTER INDEX {x} RENAME TO {y}", x=(schema, before), y=after)


def roll_back(target: NewColumn, kept: Kept) -> list[str]:
    """Make the source's name stand for the old vectors again.

    The notes returned are of rows that have no old vector, first, and of rows with one of before an
    edit.
    """
    old, lost = target.find_before(kept), kept.stamped and not target.stamped()
    if target.stamped():
        patiently(target, lambda: _stamp_others(target), target.connection)
    lacking = patiently(target, lambda: _roll_back(target, kept, old.name))
    target.stand(kept.column, replace(old, name=target.source.column.name))
    set_not_null(target, target.source.column.name)
    return [*lacking, *(_unknown(target) if lost else _edited(target))]


def _unknown(target: NewColumn) -> list[str]:
    """Return notes of what is not known of rows, as the column of stamps is gone, and of what is."""
    note = (
        f"column {printable(target.stamp)}, which said what was converted, is gone: which new vectors "
        "were replaced since is not known, and an old vector that changes is converted again only where "
        f"{printable(target.column.name)} is set to NULL"
    )
    notes = [note]
    lacks, ids = target.count_where("{old} IS NOT NULL AND {new} IS NULL", **target.pieces())
    if lacks:
        notes.append(
            f"{lacks} rows without a new vector have their old one again ({ids}); set it to NULL where "
            "it shall not be found"
        )
    return notes


def _stamp_others(target: NewColumn) -> None:
    """Stamp the vectors that somebody else wrote with the old vectors beside them."""
    target.query(
        "UPDATE {t} SET {stamp_name} = {seen} "
        "WHERE {old} IS NOT NULL AND {new} IS NOT NULL AND ({stamp} IS NULL OR {replaced})",
        **target.pieces(),
    )


def _roll_back(target: NewColumn, kept: Kept, before: str) -> list[str]:
    """Exchange the names back; return notes of rows without an old vector."""
    name = target.source.column.name
    if kept.column in target.numbers():
        raise InputError(
            f"{target.source.name}: the table has a column {kept.column} again, which is what the new "
            "vectors are to be called; rename that one first"
        )
    notes = _lacking(target, name, before, kept)
    nulls = target.query("SELECT 1 FROM {t} WHERE {b} IS NULL LIMIT 1", b=before)
    target.query("LOCK TABLE {t} IN ACCESS EXCLUSIVE MODE")
    if kept.not_null:
        withdraw_not_null(target, name)
    _rename(target, {name: kept.column, before: name})
    if kept.not_null and not nulls:
        promise_not_null(target, name)
    elif kept.not_null:
        notes.append(f"{name} is not NOT NULL any more, as some rows have no old vector")
    _comment(target, kept.column, target.record.switched(None).to_text())
    _restore_indexes(target, kept)
    return notes


def _restore_indexes(target: NewColumn, kept: Kept) -> None:
    """Exchange the names of indexes back, of those that are still there under their names."""
    rows = target.query(
        "SELECT n.nspname, i.relname FROM pg_class i JOIN pg_namespace n ON n.oid = i.relnamespace "
        "WHERE i.relkind IN ('i', 'I')"
    )
    there = {name: schema for schema, name in rows}
    for name, before in kept.indexes.items():
        if name in there and before in there:
            aside = free(name, f"_{kept.column}", there)
            _rename_index(target, there[name], name, aside)
            _rename_index(target, there[before], before, name)


def _lacking(target: NewColumn, name: str, before: str, kept: Kept) -> list[str]:
    """Return a note of rows that have a new vector and no old one, if there are any."""
    condition = "{n} IS NOT NULL AND {b} IS NULL"
    count, ids = target.count_where(condition, n=name, b=before)
    if not count:
        return []
    rows = counted(
        count,
        "row has no old vector, as it came after the switch",
        "rows have no old vector, as they came after the switch",
    )
    note = (
        f"{rows} ({ids}): no search of {name} finds what has none; new vectors are kept in "
        f"{kept.column}, and --switch brings them back"
    )
    return [note]


def _edited(target: NewColumn) -> list[str]:
    """Return notes of rows whose new vector was replaced or removed after it was written."""
    if not target.stamped():
        return []
    replaced, ids = target.count_where("{old} IS NOT NULL AND {replaced}", **target.pieces())
    notes = []
    if replaced:
        notes.append(
            f"{counted(replaced, 'row')} got another new vector since "
            f"{'it was' if replaced == 1 else 'they were'} converted ({ids}): old vectors are those "
            "from before"
        )
    removed, ids = target.count_where(
        "{old} IS NOT NULL AND {new} IS NULL AND {stamp} IS NOT NULL", **target.pieces()
    )
    if removed:
        notes.append(
            f"{counted(removed, 'row')} whose new vector was removed "
            f"{'has its' if removed == 1 else 'have their'} old one again ({ids}); set it to NULL where "
            "it shall not be found"
        )
    return notes
