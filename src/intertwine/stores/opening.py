"""Opening a store, and the place beside it that a migration writes to, by their addresses."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.stores.address import Address

if TYPE_CHECKING:
    from intertwine.stores.store import MigrationRecord, Store, Target

# The folder here of each scheme: its module `store` offers `open_store`, its module `target` `target_of`.
FOLDERS = {
    "pgvector": "pgvector",
    "qdrant": "qdrant",
    "lancedb": "lancedb",
    "faiss": "faiss",
    "parquet": "files",
    "arrow": "files",
    "npy": "files",
}
# Names of the modules that offer `open_store` and `target_of` for each scheme.
MODULES = {
    scheme: (f"intertwine.stores.{folder}.store", f"intertwine.stores.{folder}.target")
    for scheme, folder in FOLDERS.items()
}


def register_scheme(scheme: str, store: str, target: str | None = None) -> None:
    """Open addresses of a new scheme with a store of your own.

    Nothing is imported before a store of that scheme is opened.

    Parameters
    ----------
    scheme
        What an address begins with, such as `memory` in `memory:items`.
    store
        Name of a module with `open_store(address)`, which returns a `Store`.
    target
        Name of a module with `target_of(source, text, record)`, which returns a `Target`; when None,
        that of `store`.

    Raises
    ------
    InputError
        When other modules have that scheme.
    """
    modules = (store, target or store)
    if MODULES.setdefault(scheme, modules) != modules:
        raise InputError(
            f"got scheme {scheme!r} for a store of {store}, but {MODULES[scheme][0]} opens it already; "
            "choose another name"
        )


def open_store(text: str, *, before_switch: bool = False) -> Store:
    """Open a vector store.

    Parameters
    ----------
    text
        Its address: `pgvector://host/database?table=…&column=…`, `qdrant://host:6333/collection`,
        `qdrant:folder#collection`, `lancedb:folder#table`, `faiss:file`, `parquet:files#column`,
        `npy:file`.
    before_switch
        Whether to open files with the content that they had before a switch, as a rollback needs it.

    Raises
    ------
    InputError
        For an address that cannot be read, and where there is no such store.
    MissingExtraError
        Where the store's library is not installed.
    """
    address = replace(Address.parse(text), before=before_switch)
    store: Store = import_module(_modules(address.scheme)[0]).open_store(address)
    return store


def open_target(source: Store, text: str, record: MigrationRecord) -> Target:
    """Open the place beside a store that a migration writes to; it need not exist yet.

    Parameters
    ----------
    source
        An open store, which the target uses; close it after the target.
    text
        Address of the target, of the source's scheme.
    record
        What the target notes of the migration.

    Raises
    ------
    InputError
        For another kind of store, a place that is not beside the source, and the source itself.
    """
    module = import_module(_modules(source.address.scheme)[1])
    target: Target = module.target_of(source, text, record)
    return target


def _modules(scheme: str) -> tuple[str, str]:
    """Return the modules of a scheme; the text of one that is unknown, maybe a secret, is not shown."""
    if scheme not in MODULES:
        shown = f"of kind {scheme!r}" if scheme.isidentifier() else "of unknown kind"
        raise InputError(f"got a store {shown}, expected one of {', '.join(MODULES)}")
    return MODULES[scheme]
