"""Opening a store by its address."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.stores.address import Address

if TYPE_CHECKING:
    from intertwine.stores.store import Store

# Which module holds a scheme's store; each offers `open_store`.
MODULES = {
    "pgvector": "pgvector",
    "qdrant": "qdrant",
    "lancedb": "lancedb",
    "faiss": "faiss",
    "parquet": "files",
    "arrow": "files",
    "npy": "files",
}


def open_store(text: str, *, before_switch: bool = False) -> Store:
    """Open a vector store.

    Parameters
    ----------
    text
        Its address: `pgvector://host/database?table=…&column=…`, `qdrant://host:6333/collection`,
        `qdrant:folder#collection`, `lancedb:folder#table`, `faiss:file`, `parquet:files#column`,
        `npy:file`.

    Raises
    ------
    InputError
        For an address that cannot be read, and where there is no such store.
    MissingExtraError
        Where the store's library is not installed.
    """
    address = replace(Address.parse(text), before=before_switch)
    if address.scheme not in MODULES:
        raise InputError(
            f"got a store of kind {address.scheme!r}, expected one of {', '.join(MODULES)}"
        )
    module = import_module(f"intertwine.stores.{MODULES[address.scheme]}")
    store: Store = module.open_store(address)
    return store
