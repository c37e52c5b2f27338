"""Locks in PostgreSQL: one migration of a column at a time, and no reader stalled by one that waits."""

from __future__ import annotations

import hashlib
import os
import platform
import random
import time
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.pgvector.catalog import TREE
from intertwine.stores.pgvector.wire import EXTRA, connect, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from intertwine.stores.pgvector.store import PgvectorStore

    Result = TypeVar("Result")

# A statement that waits for a lock makes all that come after it wait too: no longer than this, and
# less than the second after which the server ends transactions that wait for each other.
LOCK_TIMEOUT = "500ms"
# Tries of a step, with pauses in which others go on, in seconds.
TRIES, PAUSE = 30, 1.0
# The server notices a run that was killed some time later; a run that follows waits so long.
SECONDS_TO_LOCK = 8.0
# What another try may mend.
PASSING = ("LockNotAvailable", "DeadlockDetected", "SerializationFailure")


@contextmanager
def one_migration(store: PgvectorStore, columns: Iterable[str]) -> Iterator[None]:
    """Hold columns of a store's table for one run; the server releases them when the run ends.

    A transaction holds them, on a connection of its own, so that this works behind a pooler too.
    Where another run holds one, the error names it.
    """
    secrets = store.address.secrets
    with closing(connect(store.uri, secrets)) as connection, _transaction(connection, secrets):
        with one_line(secrets):
            connection.execute(
                "SELECT set_config('application_name', %s, true)",
                [f"intertwine, process {os.getpid()} on {platform.node()}"[:63]],
            )
            for key in sorted(_key(store, column) for column in set(columns)):
                _hold(connection, key, store.name)
            # Last, as it takes no snapshot: one that were held on to would stop every index.
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
        yield


@contextmanager
def _transaction(connection: Any, secrets: Sequence[str]) -> Iterator[None]:
    """Run statements in one transaction, which ends even where the server is no longer there."""
    with one_line(secrets):
        connection.execute("BEGIN")
    try:
        yield
    finally:
        with suppress(InputError), one_line(secrets):
            connection.execute("ROLLBACK")


def _key(store: PgvectorStore, column: str) -> int:
    """Return the number of a column of a table among the server's advisory locks."""
    text = f"intertwine {store.column.oid} {column}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big", signed=True)


def _hold(connection: Any, key: int, name: str) -> None:
    until = time.monotonic() + SECONDS_TO_LOCK
    while not connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [key]).fetchone()[0]:
        if time.monotonic() > until:
            raise InputError(
                f"{name}: another run migrates it ({_holder(connection, key)}); wait for that one"
            )
        time.sleep(0.2)


def _holder(connection: Any, key: int) -> str:
    found = connection.execute(
        "SELECT a.application_name, a.pid, coalesce(a.xact_start, a.backend_start) "
        "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        "AND (l.classid::int8 << 32) | l.objid::int8 = %s",
        [key],
    ).fetchone()
    if found is None:
        return "it has just ended"
    since = "" if found[2] is None else f", since {found[2]:%Y-%m-%d %H:%M:%S}"
    return f"{found[0] or 'no name'}, process {found[1]} of the server{since}"


def patiently(store: PgvectorStore, work: Callable[[], Result], connection: Any = None) -> Result:
    """Do some work in a transaction that waits for locks only a moment, until it gets them.

    The work runs statements on the connection, from the start each time. Without one the store's
    own is used, and writers wait until the work is done. After many tries the error names who holds
    a lock.
    """
    for left in reversed(range(TRIES)):
        try:
            with one_line(store.address.secrets), _short_waits(connection or store.connection):
                if connection is None:
                    _hold_writers(store)
                return work()
        except InputError as error:
            if not _may_pass(error):
                raise
            if not left:
                raise _blocked(store, error) from None
        time.sleep(PAUSE * random.uniform(0.5, 1))  # noqa: S311 - nothing secret
    raise AssertionError


@contextmanager
def _short_waits(connection: Any) -> Iterator[None]:
    """Run statements in one transaction, in which none waits long for a lock."""
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        connection.execute("SET LOCAL row_security = off")
        yield


def _hold_writers(store: PgvectorStore) -> None:
    """Make writers of a table wait until the transaction ends; readers go on.

    An automatic vacuum, as many changed rows bring about, gives way only to what has waited for as
    long as the server takes to look for a deadlock. Nothing is held yet that could be a part of
    one.
    """
    vacuum = store.query(
        "WITH RECURSIVE " + TREE + " SELECT 1 FROM tree JOIN pg_locks l ON l.relation = tree.oid "  # noqa: S608 - ours
        "WHERE l.mode = 'ShareUpdateExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid() LIMIT 1",
        store.column.oid,
    )
    if vacuum:
        store.query(
            "SELECT set_config('lock_timeout', (extract(epoch FROM "
            "current_setting('deadlock_timeout')::interval) * 1000 + 500)::int::text, true)"
        )
    store.query("LOCK TABLE {t} IN SHARE ROW EXCLUSIVE MODE")
    store.query("SELECT set_config('lock_timeout', %s, true)", LOCK_TIMEOUT)


def _may_pass(error: InputError) -> bool:
    """Whether an error is of a lock that another try may get."""
    errors = import_extra("psycopg.errors", EXTRA)
    # `one_line` raises in place of the server's error, which stays its context.
    return isinstance(error.__context__, tuple(getattr(errors, name) for name in PASSING))


def _blocked(store: PgvectorStore, error: InputError) -> InputError:
    """Return an error that names who holds a lock of the table."""
    found = store.query(
        "SELECT a.pid, coalesce(nullif(a.application_name, ''), a.backend_type), a.state, a.xact_start FROM pg_locks l "
        "JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.relation = %s AND l.granted "
        "AND l.pid <> pg_backend_pid() ORDER BY a.xact_start NULLS LAST LIMIT 1",
        store.column.oid,
    )
    if not found:
        return error
    pid, program, state, since = found[0]
    began = "" if since is None else f", in a transaction since {since:%Y-%m-%d %H:%M:%S}"
    return InputError(
        f"{store.name}: the table is in use by process {pid} of the server ({program or 'no name'}, "
        f"{state or 'state unknown'}{began}); end that transaction (SELECT pg_terminate_backend({pid})) "
        "or wait for it, then run again; what was committed stays"
    )
