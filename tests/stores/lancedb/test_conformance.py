"""A table of LanceDB passes what every store passes."""

from __future__ import annotations

import lancedb
import pyarrow as pa
import pytest

from intertwine.testing import StoreConformance


# Each test opens the store anew.
@pytest.mark.quick(
    "test_facts",
    "test_batches",
    "test_read_back",
    "test_sample",
    "test_search",
    "test_a_dry_run_writes_nothing",
    "test_every_item_is_brought_over",
    "test_switch_and_roll_back",
    "test_refuses_wrong_addresses",
    "test_refuses_wrong_targets",
)
class TestTable(StoreConformance):
    """A table whose ids are texts, with signs that mean something in conditions."""

    ids = tuple(f"it's {7 * i % 120}" for i in range(120))
    unknown = "none"

    def addresses(self, folder):
        """Return two tables of a folder."""
        return tuple(f"lancedb:{folder}?metric=cosine#{name}" for name in ("items", "new"))

    def make(self, address, ids, vectors, texts):
        """Write a table."""
        folder, _, name = address.partition(":")[2].partition("?metric=cosine#")
        lists = pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), vectors.shape[1])
        data = pa.table({"id": ids, "text": texts, "vector": lists})
        lancedb.connect(folder).create_table(name, data)

    def texts(self, address):
        """Return the texts of a table, whose order a migration does not keep."""
        folder, _, name = address.partition(":")[2].partition("?metric=cosine#")
        rows = lancedb.connect(folder).open_table(name).to_arrow().to_pylist()
        found = {row["id"]: row["text"] for row in rows}
        return [found[item] for item in self.ids]
