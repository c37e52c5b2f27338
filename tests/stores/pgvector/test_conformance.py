"""A column of pgvector passes what every store passes."""

from __future__ import annotations

from hashlib import sha256

import pytest
from psycopg import sql
from tests.postgres import address, server

from intertwine.testing import StoreConformance


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return a server's URI and a connection to it."""
    with server(tmp_path_factory) as opened:
        yield opened


def table_of(text):
    """Return the table and the column of an address."""
    options = dict(pair.split("=", 1) for pair in text.partition("?")[2].split("&"))
    return options["table"], options["column"]


class TestColumn(StoreConformance):
    """A column without an index."""

    ids = range(0, 360, 3)
    unknown = 1

    @pytest.fixture(autouse=True)
    def _server(self, database):
        self.uri, self.connection = database

    def addresses(self, folder):
        """Return two columns of a table that is named after the folder."""
        table = f"t{sha256(str(folder).encode()).hexdigest()[:16]}"
        return tuple(address(self.uri, table, name, metric="cosine") for name in ("emb", "new"))

    def make(self, address, ids, vectors, texts):
        """Make a table, or add a column."""
        table, column = map(sql.Identifier, table_of(address))
        names = {"t": table, "c": column, "d": sql.Literal(vectors.shape[1])}
        run = self.connection.execute
        run(
            sql.SQL("CREATE TABLE IF NOT EXISTS {t} (id bigint PRIMARY KEY, body text)").format(
                **names
            )
        )
        run(sql.SQL("ALTER TABLE {t} ADD COLUMN {c} vector({d})").format(**names))
        insert = sql.SQL(
            "INSERT INTO {t} (id, body, {c}) VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE SET {c} = EXCLUDED.{c}"
        ).format(**names)
        for item, text, vector in zip(ids, texts, vectors, strict=True):
            run(insert, (item, text, str(vector.tolist())))

    def texts(self, address):
        """Return the texts of the table."""
        text = sql.SQL("SELECT body FROM {} ORDER BY id").format(
            sql.Identifier(table_of(address)[0])
        )
        return [body for (body,) in self.connection.execute(text)]
