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
        raise InputError(_unknown(address.scheme))
    module = import_module(f"intertwine.stores.{MODULES[address.scheme]}.store")
    store: Store = module.open_store(address)
    return store


def _unknown(scheme: str) -> str:
    """Return what to say of a scheme that is none; other text, which may be a secret, is not shown."""
    shown = f"of kind {scheme!r}" if scheme.isidentifier() else "of unknown kind"
    return f"got a store {shown}, expected one of {', '.join(MODULES)}"
