"""Qdrant's addresses, the client that one asks for, and what may be a target."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.qdrant_facts import EXTRA, aliases_of, one_line

if TYPE_CHECKING:
    from intertwine.stores.address import Address
    from intertwine.stores.qdrant import QdrantStore
    from intertwine.stores.store import Mark

OPTIONS = ("vector", "https", "api_key")
PORT = 6333
SECONDS_TO_WAIT = 60
# What is sent to these stays on this machine.
LOCAL = ("localhost", "127.0.0.1", "::1")


def collection_name(address: Address) -> str:
    """Return the collection that an address names.

    Raises
    ------
    InputError
        Where there is none.
    """
    remote = address.place.startswith("//")
    name = unquote(address.place.rpartition("/")[2]) if remote else address.part
    if not name or (remote and address.place.count("/") == 2):
        form = "//HOST:PORT/COLLECTION" if remote else "FOLDER#COLLECTION"
        raise InputError(f"{address.shown}: names no collection; write qdrant:{form}")
    return name


def connect(address: Address) -> tuple[Any, tuple[str, ...]]:
    """Return a client, and what no error may show.

    Raises
    ------
    InputError
        Where a folder is not there or in use; a server is not asked yet.
    MissingExtraError
        When qdrant-client is not installed.
    """
    make = import_extra("qdrant_client", EXTRA).QdrantClient
    if not address.place.startswith("//"):
        if not (Path(address.place) / "meta.json").is_file():
            raise InputError(f"{address.shown}: there is no Qdrant folder {address.place}")
        with one_line(()):
            return make(path=address.place), ()
    if address.password is not None:
        raise InputError(f"{address.shown}: got a password, expected an API key: api_key=…")
    parts = urlsplit(address.place)
    key = address.options.get("api_key") or os.environ.get("QDRANT_API_KEY")
    secrets, host = (*address.secrets, *([key] if key else [])), parts.hostname or ""
    with one_line(secrets), warnings.catch_warnings():
        if host in LOCAL:
            warnings.filterwarnings("ignore", "Api key is used with an insecure connection")
        client = make(
            host=f"[{host}]" if ":" in host else host,
            port=parts.port or PORT,
            prefix=parts.path.rpartition("/")[0].strip("/") or None,
            https=address.options.get("https", "0") not in {"0", "false", ""},
            api_key=key,
            timeout=SECONDS_TO_WAIT,
            check_compatibility=False,
        )
    return client, secrets


def server_of(address: Address) -> str:
    """Return an address without its collection."""
    remote = address.place.startswith("//")
    return address.place.rpartition("/")[0] if remote else address.place.rstrip("/")


def target_address(source: QdrantStore, text: str, mark: Mark) -> Address:
    """Return the address of a collection beside a source.

    Raises
    ------
    InputError
        For another kind of store, another server or folder, an alias, and the source itself.
    """
    address = source.address.beside(text)
    address.only(*OPTIONS)
    name, own = collection_name(address), source.collection
    if server_of(address) != server_of(source.address):
        raise InputError(
            f"got target {address.shown}, expected another collection in the same place as "
            f"{source.address.shown}"
        )
    if address.options.get("vector", own.vector) != own.vector:
        raise InputError(f"{address.shown}: got another vector than the source's, {own.vector!r}")
    with one_line(source.secrets, source.address.shown):
        aliases = aliases_of(source.client)
    if name in aliases:
        raise InputError(f"{address.shown} is an alias; name a collection as the target")
    if name == own.name and (own.alias is None or not _is_switched(source, mark)):
        raise InputError(f"{source.name} is the source itself; name another collection")
    return replace(address, options={**source.address.options, **address.options})


def _is_switched(source: QdrantStore, mark: Mark) -> bool:
    """Whether an alias stands for what this very migration made, and what was before is noted."""
    found = source.mark()
    return found is not None and found.after_switch_of(mark)
