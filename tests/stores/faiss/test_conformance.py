"""An index file of FAISS passes what every store passes."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np

from intertwine.testing import StoreConformance


class TestFlat(StoreConformance):
    """A plain index, whose ids are row numbers."""

    metric = "ip"

    def addresses(self, folder):
        """Return two index files of a folder."""
        return f"faiss:{folder}/items.index", f"faiss:{folder}/new.index"

    def make(self, address, ids, vectors, texts):
        """Write an index; it holds no payload."""
        del ids, texts
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        save(address, index)

    def texts(self, address):
        """Return that there are none."""
        del address


class TestIds(TestFlat):
    """An index that keeps ids of its own, which goes by distances."""

    metric = "l2"
    ids = range(1000, 1360, 3)
    unknown = 1001

    def make(self, address, ids, vectors, texts):
        """Write an index with ids."""
        del texts
        index = faiss.IndexIDMap2(faiss.IndexHNSWFlat(vectors.shape[1], 32))
        index.add_with_ids(vectors, np.asarray(ids))
        save(address, index)


def save(address, index):
    """Write an index file."""
    path = Path(address.partition(":")[2])
    path.parent.mkdir(exist_ok=True)
    faiss.write_index(index, str(path))
