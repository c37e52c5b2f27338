"""A new table beside a LanceDB table: filled, indexed, and put under the old one's name when told."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.lancedb import DISTANCES, LanceStore
from intertwine.stores.lancedb_arrow import EMBEDDING, EXTRA, one_line, to_column
from intertwine.stores.lancedb_folder import PAGE, require_distinct, tables_of, target_address
from intertwine.stores.store import HALF, SINGLE, require_ours

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from intertwine.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Batch, Convert, Mark

# Writes after which the index of ids is built again, and small files are joined.
INDEX_EVERY = 50
TIDY_EVERY = 500
# What a tidying may throw away of the target's own history.
KEEP_HISTORY = timedelta(minutes=10)


def target_of(source: LanceStore, text: str, mark: Mark) -> LanceTarget:
    """Return the table that an address names, beside a source whose ids are all different."""
    address = target_address(source, text)
    require_distinct(source)
    return LanceTarget(source, address, mark)


class LanceTarget(LanceStore):
    """A table that a migration makes in the source's folder.

    Rows are only ever added, by an insertion that leaves ids alone that are there already, so what
    somebody else puts in stays. A switch writes these rows as the next version of the source's
    table, in one commit: readers that opened it before go on with the old version. These rows then
    stand in the folder twice. A tag, `intertwine-VERSION`, keeps the old version: LanceDB's
    `optimize` stops with an error that names the tag, a week later, rather than throw the old
    vectors away. Delete the tag when they are not needed any more.

    Parameters
    ----------
    source
        The table that rows come from.
    address
        Of this one.
    made
        The mark that it bears.
    """

    reads_beside_writes = False
    writers = 1

    def __init__(self, source: LanceStore, address: Address, made: Mark) -> None:
        self.source, self.made, self.writes = source, made, 0
        schema = source.columns.noted(made.target.dim, made.to_text())
        columns = replace(source.columns, dim=made.target.dim, schema=schema)
        super().__init__(address, source.database, columns)
        self.metric = self.metric or source.metric
        self.tolerance = HALF if self.columns.number.bit_width < 32 else SINGLE

    def _indexed(self) -> Any:
        return super()._indexed() if self.exists() else None

    def lock(self) -> AbstractContextManager[None]:
        """Hold nothing yet."""
        return nullcontext()

    def require_ready(self, *, force: bool = False) -> list[str]:
        """Raise nothing yet."""
        del force
        return []

    def require_fits(self, batch: Batch, vectors: Array) -> None:
        """Raise nothing yet."""

    def written_here(self, ids: Sequence[Any]) -> Array:
        """Return that none is known to be a migration's."""
        return np.zeros(len(ids), bool)

    def missing(self) -> int:
        """Return how many rows of the source's table have no vector."""
        with one_line():
            return int(self.source.table.count_rows()) - self.source.count()

    def exists(self) -> bool:
        """Whether the folder has a table of that name."""
        return self.address.part in tables_of(self.database)

    def create(self) -> None:
        """Make the table, empty, of the source's schema, with its mark and an index of the ids."""
        with one_line():
            self._table = self.database.create_table(self.address.part, schema=self.columns.schema)
        self._index_ids()

    def _index_ids(self, *, again: bool = False) -> None:
        """Make the index by which ids are found, unless there is one, or again over all rows."""
        with one_line():
            if again or all(
                index.columns != [self.columns.id] for index in self.table.list_indices()
            ):
                tree = import_extra("lancedb.index", EXTRA).BTree()
                self.table.create_index(self.columns.id, config=tree)

    def pending(self, size: int) -> Iterator[Batch]:
        """Give rows that are not here, those without a vector too.

        Ids are read in the order of the table, and asked for here a page at a time.
        """
        if self.switched():
            return
        self._index_ids()
        pinned, missing = self.source.pinned(), list[int]()
        name = self.columns.id
        for page in self.source.pages([name], size, 0, pinned):
            ids = page[name].to_pylist()
            have = {item for found in self.find(ids, [name]) for item in found[name].to_pylist()}
            rows = page["_rowid"].to_pylist()
            missing += [row for row, item in zip(rows, ids, strict=True) if item not in have]
            while len(missing) >= size:
                yield self._rows(pinned, missing[:size])
                del missing[:size]
        if missing:
            yield self._rows(pinned, missing)

    def _rows(self, pinned: Any, rows: list[int]) -> Batch:
        with one_line():
            page = pinned.take_row_ids(rows).to_arrow()
        return self.source.batch(page.select(self.columns.schema.names))

    def write(self, batch: Batch, vectors: Array) -> int:
        """Add rows in one commit, leaving out ids that are there already."""
        column = to_column(vectors, self.columns.number)
        place = self.columns.schema.get_field_index(self.columns.vector)
        data = batch.payload.set_column(place, self.columns.schema.field(place), column)
        with one_line():
            merge = self.table.merge_insert(self.columns.id).when_not_matched_insert_all()
            result = merge.execute(data.cast(self.columns.schema), on_bad_vectors="null")
        self.writes += 1
        if self.writes % TIDY_EVERY == 0:
            self._tidy()
        elif self.writes % INDEX_EVERY == 0:
            self._index_ids(again=True)
        return int(result.num_inserted_rows)

    def _tidy(self) -> None:
        with one_line():
            self.table.optimize(cleanup_older_than=KEEP_HISTORY)

    def finish(self) -> list[str]:
        """Build the indexes that the source has, with LanceDB's own numbers of partitions."""
        if self.switched():
            return []
        notes = self._build(self.table, self.source.table)
        self._tidy()
        if EMBEDDING in (self.source.columns.schema.metadata or {}):
            notes.append(
                "left out which model LanceDB embeds texts with, as it is the source's; queries have "
                "to be embedded before"
            )
        return notes

    def _build(self, table: Any, like: Any) -> list[str]:
        """Build indexes on a table as another one has them, those left out that are there."""
        kinds, notes = import_extra("lancedb.index", EXTRA), []
        with one_line():
            have = [index.columns for index in table.list_indices()]
            for index in like.list_indices():
                if index.columns in have or len(index.columns) != 1:
                    continue
                kind = getattr(kinds, index.index_type, None)
                if kind is None:
                    notes.append(f"did not build an index of kind {index.index_type}")
                    continue
                of_vectors = index.columns == [self.columns.vector]
                metric = {"distance_type": DISTANCES[self.metric or "l2"]} if of_vectors else {}
                table.create_index(index.columns[0], config=kind(**metric))
                words = f"{index.index_type} of {index.columns[0]}"
                notes.append(f"built an index as the source's: {words}")
        return notes

    def mark(self) -> Mark | None:
        """Return the mark of these rows: after the switch the one that stands in the source's table."""
        return self.source.mark() if self.switched() else super().mark()

    def switched(self) -> bool:
        """Whether the source's table bears our mark and what is kept."""
        found = self.source.mark()
        return found is not None and found.after_switch_of(self.made)

    def switch(self, convert: Convert) -> list[str]:
        """Write these rows as the next version of the source's table, in one commit.

        Its indexes are rebuilt after that; until then searches look at all rows.

        Raises
        ------
        InputError
            Where rows are missing here, or somebody wrote to the source meanwhile.
        """
        del convert
        if self.switched():
            return []
        pinned, table = self.pinned(), self.source.table
        with one_line():
            version = int(table.version)
            if pinned.count_rows() < table.count_rows():
                raise InputError(
                    f"{self.name} lacks rows of {self.source.name}; migrate them first"
                )
            old = self.source.pinned()
            if tag_of(version) not in table.tags.list():
                table.tags.create(tag_of(version), version)
            new = self._overwrite(pinned, self.made.switched(str(version)))
            if new.version != version + 1:
                new.restore(new.version - 1)
                raise InputError(
                    f"{self.source.name} was written to during the switch, which is undone; migrate "
                    "what is new, and switch again"
                )
        return self._build(new, old)

    def _overwrite(self, pinned: Any, mark: Mark) -> Any:
        """Write rows over the source's table, a page in memory at a time."""
        arrow = import_extra("pyarrow", EXTRA)
        schema = self.columns.noted(self.dim, mark.to_text())

        def pages() -> Iterator[Any]:
            for page in self.pages(None, PAGE, 0, pinned):
                yield from page.select(schema.names).cast(schema).to_batches()

        # A reader that knows its schema: LanceDB would look into a bare generator and lock up.
        return self.database.create_table(
            self.source.address.part,
            arrow.RecordBatchReader.from_batches(schema, pages()),
            schema=schema,
            mode="overwrite",
            on_bad_vectors="null",
        )

    def rollback(self, *, force: bool = False) -> list[str]:
        """Make the old version the source's latest one again.

        What was written under the source's name after the switch is left behind with the new one.
        Open the source anew to read it.
        """
        del force
        found = self.source.mark()
        if not self.switched() or found is None or found.kept is None:
            raise InputError(f"{self.source.name} is not switched over; nothing to roll back")
        table = self.source.table
        with one_line():
            table.restore(int(found.kept))
            if tag_of(int(found.kept)) in table.tags.list():
                table.tags.delete(tag_of(int(found.kept)))
        return []

    def drop(self) -> None:
        """Remove the table."""
        if self.switched():
            raise InputError(f"{self.source.name} stands for these vectors; roll back first")
        if self.exists():
            require_ours(self.mark(), self.made, self.name)
            with one_line():
                self.database.drop_table(self.address.part)
        self._table = None


def tag_of(version: int) -> str:
    """Return the tag that keeps a version from being tidied away."""
    return f"intertwine-{version}"
