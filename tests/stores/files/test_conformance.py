"""Parquet, Arrow and NumPy files pass what every store passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import feather, parquet

from intertwine.testing import StoreConformance

# Rows of the first of two files.
CUT = 50


def table(ids, vectors, texts):
    """Return items as an Arrow table."""
    lists = pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), vectors.shape[1])
    return pa.table({"id": list(ids), "text": texts, "emb": lists})


def place_of(address):
    """Return the path of an address."""
    return Path(address.partition(":")[2].partition("#")[0].partition("?")[0])


class TestParquet(StoreConformance):
    """A folder of two files."""

    def addresses(self, folder):
        """Return two folders."""
        return f"parquet:{folder}/items?metric=cosine#emb", f"parquet:{folder}/new#emb"

    def make(self, address, ids, vectors, texts):
        """Write two files."""
        folder, items = place_of(address), table(ids, vectors, texts)
        folder.mkdir(parents=True)
        parquet.write_table(items.slice(0, CUT), folder / "a.parquet")
        parquet.write_table(items.slice(CUT), folder / "b.parquet")

    def texts(self, address):
        """Return the texts of both files."""
        paths = [place_of(address) / name for name in ("a.parquet", "b.parquet")]
        return [text for path in paths for text in parquet.read_table(path)["text"].to_pylist()]


class TestArrow(StoreConformance):
    """One file, searched by inner products."""

    metric = "ip"

    def addresses(self, folder):
        """Return two files."""
        return f"arrow:{folder}/items.arrow?metric=ip#emb", f"arrow:{folder}/new.arrow#emb"

    def make(self, address, ids, vectors, texts):
        """Write a file."""
        path = place_of(address)
        path.parent.mkdir(exist_ok=True)
        with pa.ipc.new_file(path, (items := table(ids, vectors, texts)).schema) as writer:
            writer.write_table(items)

    def texts(self, address):
        """Return the texts of the file."""
        return feather.read_table(place_of(address))["text"].to_pylist()


class TestNpy(StoreConformance):
    """One array, searched by distances, which has no payload."""

    metric = "l2"

    def addresses(self, folder):
        """Return two files."""
        return f"npy:{folder}/items.npy?metric=l2", f"npy:{folder}/new.npy"

    def make(self, address, ids, vectors, texts):
        """Write an array."""
        del ids, texts
        place_of(address).parent.mkdir(exist_ok=True)
        np.save(place_of(address), vectors)

    def texts(self, address):
        """Return that there are none."""
        del address
