"""Indexes of a new column, as those of the old one: whole, partial, over expressions, of partitions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.extras import import_extra
from intertwine.stores.pgvector.catalog import TREE, fitting
from intertwine.stores.pgvector.locks import patiently
from intertwine.stores.pgvector.wire import EXTRA, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intertwine.stores.pgvector.store import PgvectorStore

# Most dimensions that pgvector's two methods take, by the type that an index is over.
LIMITS = {"vector": 2000, "halfvec": 4000, "bit": 64_000}
METHODS = ("hnsw", "ivfflat")
# A schema before a name, quoted or not, where there is one.
PLACE = r"""(?:(?:[\w$]+|"(?:[^"]|"")+")\.)?"""
# A definition in PostgreSQL's words, cut into strings, quoted names, words and all else.
WORDS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[^\W\d][\w$]*|\s+|.""", re.DOTALL)
_OF_COLUMN = (
    "WITH RECURSIVE "  # noqa: S608 - ours
    + TREE
    + """
SELECT i.oid::int8, n.nspname, i.relname, i.relkind::text, c.oid::int8, c.relname,
       pg_get_indexdef(i.oid), x.indisunique, x.indisvalid, h.inhparent::int8, s.spcname,
       EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.oid)
FROM tree JOIN pg_index x ON x.indrelid = tree.oid
JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits h ON h.inhrelid = i.oid
LEFT JOIN pg_tablespace s ON s.oid = i.reltablespace
WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.oid AND k.contype <> 'f')
AND EXISTS (
    SELECT FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid
    AND a.attnum = d.refobjsubid WHERE d.classid = 'pg_class'::regclass AND d.objid = i.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = x.indrelid AND a.attname = %s)
ORDER BY i.relname
"""
)


@dataclass(frozen=True)
class TableIndex:
    """An index over a column, of a table or one of its parts.

    Its kind is `i`, or `I` where its table has partitions; `text` is its definition; the parent is
    the number of the index that it is a part of; the tablespace is None for the default;
    `in_progress` is whether a process builds it now.
    """

    oid: int
    schema: str
    name: str
    kind: str
    table_oid: int
    table: str
    text: str
    unique: bool
    valid: bool
    parent: int | None
    tablespace: str | None
    in_progress: bool

    @property
    def body(self) -> str:
        """The part of the definition behind the word USING."""
        words = WORDS.findall(self.text)
        return "".join(words[words.index("USING") + 1 :]).strip()

    @property
    def method(self) -> str:
        """The access method, such as `hnsw`."""
        return self.body.partition(" ")[0]


def indexes_of(store: PgvectorStore, column: str) -> list[TableIndex]:
    """Return indexes over a column, over expressions of it, and with conditions on it."""
    return [TableIndex(*row) for row in store.query(_OF_COLUMN, store.column.oid, column)]


@dataclass(frozen=True)
class Carrying:
    """How definitions over an old column become those over a new one.

    Names are quoted where PostgreSQL quotes them; dimensions and types are (old, new).
    """

    old: str
    new: str
    dims: tuple[int, int]
    kinds: tuple[str, str]

    def body(self, index: TableIndex) -> str:
        """Return the definition behind the word USING of an index as the new column's."""
        words = WORDS.findall(index.body)
        text = "".join(
            self.new if word == self.old and self._is_column(words, place) else word
            for place, word in enumerate(words)
        )
        text = re.sub(
            rf"\b(vector|halfvec|sparsevec|bit)\({self.dims[0]}\)", rf"\1({self.dims[1]})", text
        )
        # PostgreSQL leaves out a cast to what the column is already.
        kind = rf"{PLACE}{re.escape(self.kinds[1])}\({self.dims[1]}\)"
        text = re.sub(rf"\(\({re.escape(self.new)}\)::{kind}\)", self.new, text)
        return self._operators(text, index.method)

    @staticmethod
    def _is_column(words: list[str], place: int) -> bool:
        """Whether a word is a column: no type, function, option, or what belongs to another name."""
        before = next((word for word in reversed(words[:place]) if not word.isspace()), "")
        behind = words[place + 1] if place + 1 < len(words) else ""
        return before not in {".", ":"} and behind not in {"(", ".", "="} and place > 0

    def _operators(self, text: str, method: str) -> str:
        """Return a definition with operators of the new column's type."""
        old, new = self.kinds
        if old == new or method not in METHODS or {old, new} - set(LIMITS):
            return text
        column = re.escape(self.new)
        text = re.sub(rf"(\({column} {PLACE}){old}_(\w+_ops)", rf"\1{new}_\2", text)
        return re.sub(rf"\({column}\)", rf"({self.new} {new}_l2_ops)", text, count=1)

    def over_limit(self, index: TableIndex) -> int | None:
        """Return the most dimensions that an index takes where the new vectors have more."""
        if index.method not in METHODS:
            return None
        body = self.body(index)
        if self.kinds[1] not in LIMITS and re.match(rf"\w+ \({re.escape(self.new)}[ )]", body):
            # An array is indexed only as what an expression makes of it.
            return 0
        found = re.search(r"\b(vector|halfvec|bit)_\w+_ops|::\S*?\b(vector|halfvec)\(", body)
        limit = LIMITS[(found[1] or found[2]) if found else self.kinds[1]]
        return limit if self.dims[1] > limit else None


@dataclass
class IndexBuilder:
    """Builds what a new column lacks of the old one's indexes, beside readers and writers."""

    store: PgvectorStore
    carrying: Carrying
    sources: list[TableIndex]

    def build(self) -> list[str]:
        """Build, and return notes of what was built."""
        self.clear()
        known = {index.oid for index in self.sources}
        whole = [index for index in self.sources if index.parent not in known]
        return [
            f"built an index as the source's: {self._shown(index)}"
            for index in whole
            if self.carrying.over_limit(index) is None and self._build(index)
        ]

    def clear(self) -> None:
        """Remove what a run that was killed while it built an index has left: it is never used."""
        ours = {self.name(index) for index in self.sources}
        for index in indexes_of(self.store, self.store.column.name):
            left = not index.valid and index.kind == "i"
            if left and (index.name in ours or not index.in_progress):
                self.store.query(
                    "DROP INDEX CONCURRENTLY IF EXISTS {index}", index=(index.schema, index.name)
                )

    def name(self, index: TableIndex) -> str:
        """Return what the new column's index is called until the switch."""
        return fitting(f"{index.name}_{self.store.column.name}", "")

    def pairs(self) -> Iterator[tuple[TableIndex, TableIndex | None]]:
        """Yield the old column's indexes, each with the new column's that does the same."""
        there = indexes_of(self.store, self.store.column.name)
        for index in self.sources:
            body = self.carrying.body(index)
            alike = [
                own
                for own in there
                if own.table_oid == index.table_oid and own.valid and own.body == body
            ]
            alike.sort(key=lambda own: own.name != self.name(index))
            yield index, alike[0] if alike else None

    def _build(self, index: TableIndex) -> bool:
        """Build an index and its parts; return whether there was anything to build."""
        found = {source.oid: own for source, own in self.pairs()}
        if found.get(index.oid) is not None:
            return False
        if index.kind == "i":
            self._create(index)
            return True
        name = self.name(index)
        exists = any(own.name == name for own in indexes_of(self.store, self.store.column.name))
        if not exists:
            patiently(self.store, lambda: self._run(index, name, "ON ONLY"))
        for part in [each for each in self.sources if each.parent == index.oid]:
            self._build(part)
            own = {source.oid: own for source, own in self.pairs()}.get(part.oid)
            if own is not None:
                self._attach(index, name, own)
        return True

    def _attach(self, index: TableIndex, name: str, own: TableIndex) -> None:
        patiently(
            self.store,
            lambda: self.store.query(
                "ALTER INDEX {whole} ATTACH PARTITION {part}",
                whole=(index.schema, name),
                part=(own.schema, own.name),
            ),
        )

    def _create(self, index: TableIndex) -> None:
        """Build an index of one table beside its readers and writers."""
        settings = {"client_connection_check_interval": "1s"}
        if index.tablespace is not None:
            settings["default_tablespace"] = index.tablespace
        names = [name for name in settings if self._known(name)]
        try:
            for name in names:
                self._set(name, settings[name])
            self._run(index, self.name(index), "ON", "CONCURRENTLY")
        finally:
            for name in names:
                self._set(name, None)

    def _known(self, name: str) -> bool:
        """Whether the server knows a setting."""
        return bool(self.store.query("SELECT 1 FROM pg_settings WHERE name = %s", name))

    def _set(self, name: str, value: str | None) -> None:
        """Set what holds for statements outside transactions, or leave it as the session began."""
        text = f"RESET {name}" if value is None else "SELECT set_config(%s, %s, false)"
        self.store.query(text, *([] if value is None else [name, value]))

    def _run(self, index: TableIndex, name: str, where: str, how: str = "") -> None:
        """Create an index; its definition is PostgreSQL's own text, into which nothing is put."""
        sql = import_extra("psycopg.sql", EXTRA)
        text = sql.SQL("CREATE {} INDEX {} {} {} {} USING ").format(
            sql.SQL("UNIQUE" if index.unique else ""),
            sql.SQL(how),
            sql.Identifier(name),
            sql.SQL(where),
            sql.Identifier(index.schema, index.table),
        )
        connection = self.store.connection
        with one_line(self.store.address.secrets):
            connection.execute(text.as_string(connection) + self.carrying.body(index))

    def _shown(self, index: TableIndex) -> str:
        """Return an index in few words."""
        body = self.carrying.body(index)
        plain = re.fullmatch(
            rf"\w+ \({re.escape(self.carrying.new)} ({PLACE}\w+)\)(?: WITH \(.*\))?", body
        )
        return f"{index.method}, {plain[1]}" if plain else body.replace(" ", ", ", 1)
