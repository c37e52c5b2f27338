"""Vectors in a column of a LanceDB table."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.stores.lancedb.arrow import (
    Columns,
    common_dimension,
    find_columns,
    one_line,
    to_array,
)
from intertwine.stores.lancedb.folder import (
    PAGE,
    connect,
    id_numbers,
    id_rounds,
    literal,
    quoted,
    tables_of,
)
from intertwine.stores.lancedb.indexes import DISTANCES
from intertwine.stores.store import Batch, MigrationRecord, check_metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.stores.address import Address
    from intertwine.stores.store import Metric

METRIC_OF: dict[str, Metric] = {"cosine": "cosine", "dot": "ip", "l2": "l2"}
# Ids of one question.
QUESTION = 1000


def open_store(address: Address) -> LanceStore:
    """Open `lancedb:FOLDER[?vector=COLUMN][&id=COLUMN][&metric=…]#TABLE`.

    The folder may be a bucket, such as `s3://…`; rows are told apart by the column `id` unless
    another is named.
    """
    address.only("vector", "id", "metric")
    if address.place.startswith("db://"):
        raise InputError(f"{address.shown}: got a hosted database, expected a folder or a bucket")
    if "://" not in address.place and not Path(address.place).is_dir():
        raise InputError(f"{address.shown}: there is no folder {address.place}")
    database = connect(address.place)
    there = tables_of(database)
    if address.part not in there:
        raise InputError(
            f"{address.shown}: there is no table {address.part!r}, only "
            f"{', '.join(there) or 'none'}; name one behind '#'"
        )
    with one_line():
        schema = database.open_table(address.part).schema
    options = address.options
    columns = find_columns(schema, options.get("vector"), options.get("id", "id"), address.shown)
    return LanceStore(address, database, columns)


class LanceStore:
    """A column of vectors; items are told apart by another column.

    Pages are read from one version of the table each time, so that they fit together while others
    write. Their order is the table's.
    """

    def __init__(self, address: Address, database: Any, columns: Columns) -> None:
        self.address, self.database, self.columns = address, database, columns
        self.name = address.shown
        self._table: Any = None
        if not columns.dim:
            pages = (page[columns.vector] for page in self.pages([columns.vector], PAGE))
            columns = self.columns = replace(columns, dim=common_dimension(pages, self.name))
        self.dim = columns.dim
        asked, indexed = check_metric(address.options.get("metric"), self.name), self._indexed()
        if asked and indexed and asked != indexed:
            raise InputError(f"{self.name}: got metric {asked}, but its index goes by {indexed}")
        self.metric = asked or indexed

    @property
    def table(self) -> Any:
        """The open table, which sees what others write."""
        if self._table is None:
            with one_line():
                self._table = self.database.open_table(self.address.part)
        return self._table

    def _indexed(self) -> Metric | None:
        """Return the metric of the vectors' index."""
        with one_line():
            for index in self.table.list_indices():
                if index.columns == [self.columns.vector]:
                    stats = self.table.index_stats(index.name)
                    return METRIC_OF.get(str(stats.distance_type).lower())
        return None

    def close(self) -> None:
        """Close the table."""
        self._table = None

    def count(self) -> int:
        """Return the number of rows whose vector is not null."""
        with one_line():
            return int(self.table.count_rows(f"{quoted(self.columns.vector)} IS NOT NULL"))

    def pinned(self) -> Any:
        """Return the table as it is now, whatever is written to it later."""
        with one_line():
            return self.at(self.table.version)

    def at(self, version: int) -> Any:
        """Return the table as it was in a version."""
        with one_line():
            return self.database.open_table(self.address.part, version=version)

    def pages(
        self, columns: Sequence[str] | None, size: int, start: int = 0, pinned: Any = None
    ) -> Iterator[Any]:
        """Yield columns of all rows, a page a query, with `_rowid` of that version.

        No reader stays open between pages: LanceDB can lock up when a table is written meanwhile.
        """
        with one_line():
            pinned = pinned or self.pinned()
            total = pinned.count_rows()
        for offset in range(start, total, size):
            with one_line():
                query = pinned.search().with_row_id(True).offset(offset).limit(size)
                page = (query.select(list(columns)) if columns else query).to_arrow()
            yield page

    def batches(self, size: int, after: Any = None) -> Iterator[Batch]:
        """Yield items in the order of the table, without those that have no vector."""
        pinned = self.pinned()
        start = 0 if after is None else self._place(after, pinned) + 1
        for page in self.pages([self.columns.id, self.columns.vector], size, start, pinned):
            there = page.filter(page[self.columns.vector].is_valid())
            if len(there):
                yield self.batch(there)

    def _place(self, item: Any, pinned: Any) -> int:
        """Return the place of an item in the order of the table."""
        place = 0
        for page in self.pages([self.columns.id], PAGE, 0, pinned):
            ids: list[Any] = page[self.columns.id].to_pylist()
            if item in ids:
                return place + ids.index(item)
            place += len(ids)
        raise InputError(f"{self.name}: there is no item {item!r} to go on behind")

    def batch(self, page: Any) -> Batch:
        """Return a page as a batch; its payload is the page itself."""
        ids = page[self.columns.id].to_pylist()
        return Batch(ids, to_array(page[self.columns.vector], self.dim), page)

    def sample(self, size: int) -> Batch:
        """Return rows at random places, the same ones for the same number of rows."""
        names = [self.columns.id, self.columns.vector]
        pinned = self.pinned()
        with one_line():
            total, drawn = int(pinned.count_rows()), size
            while True:
                drawn = min(drawn, total)
                places = np.random.default_rng(0).choice(total, drawn, replace=False, shuffle=False)
                page = pinned.take_offsets(np.sort(places).tolist()).select(names).to_arrow()
                page = page.filter(page[self.columns.vector].is_valid())
                if len(page) >= size or drawn == total:
                    break
                drawn *= 4
        keep = np.linspace(0, len(page) - 1, min(size, len(page))).round().astype(int)
        return self.batch(page.take(keep))

    def find(self, ids: Sequence[Any], names: Sequence[str], pinned: Any = None) -> Iterator[Any]:
        """Yield columns of the rows that have some ids, now or in a version."""
        for first in range(0, len(ids), QUESTION):
            with one_line():
                table = pinned or self.table
                query = table.search().where(self.where_ids(ids[first : first + QUESTION]))
                page = query.select(list(names)).limit(table.count_rows()).to_arrow()
            yield page

    def read(self, ids: Sequence[Any]) -> Array:
        """Return the vectors of items, a row of NaN where there is none."""
        vectors = np.full((len(ids), self.dim), np.nan, self.columns.number.to_pandas_dtype())
        places: dict[Any, list[int]] = {}
        for place, item in enumerate(ids):
            places.setdefault(item, []).append(place)
        for page in self.find(list(places), [self.columns.id, self.columns.vector]):
            found = self.batch(page)
            for item, vector in zip(found.ids, found.vectors, strict=True):
                vectors[places[item]] = vector
        return vectors

    def search(self, queries: Array, k: int) -> list[list[Any]]:
        """Return the nearest items of each query, by the column's index where it has one."""
        found = []
        for query in queries:
            with one_line():
                asked = self.table.search(query, vector_column_name=self.columns.vector)
                if self.metric:
                    asked = asked.distance_type(DISTANCES[self.metric])
                page = asked.select([self.columns.id, "_distance"]).limit(k).to_arrow()
            found.append(page[self.columns.id].to_pylist())
        return found

    def mark(self) -> MigrationRecord | None:
        """Return the record in the metadata of the vectors' field."""
        with one_line():
            return MigrationRecord.from_text(replace(self.columns, schema=self.table.schema).note)

    def where_ids(self, ids: Sequence[Any]) -> str:
        """Return the condition that a row has one of some ids."""
        kind = int if self.columns.ids_are_numbers else str
        return f"{quoted(self.columns.id)} IN ({', '.join(literal(kind(item)) for item in ids)})"

    def sorted_ids(self, pinned: Any, turn: int, rounds: int) -> Array:
        """Return the numbers of a table's ids, sorted, those of one round; no id may be null."""
        name, kept = self.columns.id, [np.empty(0, np.int64)]
        for page in self.pages([name], PAGE, 0, pinned):
            if page[name].null_count:
                raise InputError(f"{self.name}: id {name!r} is null in some rows, expected none")
            numbers = id_numbers(page[name].to_pylist())
            kept.append(numbers[numbers % rounds == turn])
        return np.sort(np.concatenate(kept))

    def absent(self, ids_of: Callable[[], Iterator[list[Any]]], pinned: Any) -> Iterator[list[Any]]:
        """Yield those of some ids that a version of the table does not have."""
        rounds = id_rounds(pinned)
        for turn in range(rounds):
            there = self.sorted_ids(pinned, turn, rounds)
            for ids in ids_of():
                numbers = id_numbers(ids)
                lost = (numbers % rounds == turn) & ~np.isin(numbers, there)
                if lost.any():
                    yield [item for item, is_lost in zip(ids, lost, strict=True) if is_lost]

    def pages_of_ids(self, pinned: Any) -> Iterator[list[Any]]:
        """Yield the ids of a version of the table."""
        for page in self.pages([self.columns.id], PAGE, 0, pinned):
            yield page[self.columns.id].to_pylist()

    def require_distinct(self, pinned: Any = None) -> None:
        """Raise when an id occurs twice, or is missing, in the table."""
        name, pinned = self.columns.id, pinned or self.pinned()
        rounds = id_rounds(pinned)
        for turn in range(rounds):
            numbers = self.sorted_ids(pinned, turn, rounds)
            suspects = np.unique(numbers[1:][numbers[1:] == numbers[:-1]])[:100]
            if len(suspects):
                found: Counter[Any] = Counter()
                for page in self.pages([name], PAGE, 0, pinned):
                    ids = page[name].to_pylist()
                    there = np.isin(id_numbers(ids), suspects)
                    found.update(item for item, twin in zip(ids, there, strict=True) if twin)
                item, times = found.most_common(1)[0]
                if times > 1:
                    raise InputError(
                        f"{self.name}: id {item!r} stands in {times} rows, expected a column that tells "
                        "rows apart; name it: id=COLUMN"
                    )
