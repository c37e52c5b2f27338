"""The facts of a Qdrant collection, and Qdrant's errors as one line without secrets."""

from __future__ import annotations

import os
import sqlite3
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from intertwine.errors import InputError, IntertwineError
from intertwine.extras import import_extra
from intertwine.stores.masking import hidden, one_clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from intertwine.stores.address import Address
    from intertwine.stores.store import Metric

EXTRA = "qdrant"
# What Qdrant calls the metrics.
METRIC_OF: dict[str, Metric] = {"Cosine": "cosine", "Dot": "ip", "Euclid": "l2"}
# Of a collection's metadata: the note of a migration.
NOTE = "intertwine"
# Settings of a collection that are carried over by name.
KEPT = (
    "shard_number",
    "replication_factor",
    "write_consistency_factor",
    "on_disk_payload",
    "payload",
    "id_tracker",
)
REFUSALS = (401, 403)
LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Collection:
    """A collection, the alias it was asked for by, and one of its vectors with its parameters.

    The name of the vector is empty where vectors have none.
    """

    name: str
    alias: str | None
    vector: str
    params: Any

    @property
    def metric(self) -> Metric:
        """The metric of its searches."""
        return METRIC_OF[self.params.distance.value]


def find_collection(client: Any, asked: str, vector: str | None, name: str) -> Collection:
    """Look a collection up by its name or an alias, and which of its vectors are meant.

    Vectors that a map cannot be applied to raise an error, which calls the place by `name`.
    """
    aliases = aliases_of(client)
    there = sorted(item.name for item in client.get_collections().collections)
    own = aliases.get(asked, asked)
    if own not in there:
        raise InputError(
            f"{name}: there is no collection {asked!r}, only {', '.join([*there, *aliases]) or 'none'}"
        )
    params = client.get_collection(own).config.params
    if getattr(params.sharding_method, "value", None) == "custom":
        raise InputError(f"{name}: has shards by key, which cannot be migrated")
    chosen, found = choose_vector(params.vectors, vector, name)
    if found.multivector_config is not None:
        raise InputError(f"{name}: holds several vectors an item, expected one")
    if found.distance.value not in METRIC_OF:
        raise InputError(f"{name}: goes by {found.distance.value}, expected {', '.join(METRIC_OF)}")
    return Collection(own, asked if asked in aliases else None, chosen, found)


def choose_vector(vectors: Any, asked: str | None, name: str) -> tuple[str, Any]:
    """Return name and parameters of the vectors that are meant."""
    named: Mapping[str, Any] = vectors if isinstance(vectors, dict) else {"": vectors}
    named = {key: value for key, value in named.items() if value is not None}
    if asked is None and len(named) == 1:
        return next(iter(named.items()))
    known = ", ".join(key or "one without a name" for key in named) or "none"
    if asked is None:
        raise InputError(
            f"{name}: got {len(named)} vectors an item ({known}), expected one; say which: vector=NAME"
        )
    if asked not in named:
        raise InputError(f"{name}: there is no vector {asked!r}, only {known}")
    return asked, named[asked]


def aliases_of(client: Any) -> dict[str, str]:
    """Return collections by alias."""
    return {item.alias_name: item.collection_name for item in client.get_aliases().aliases}


@contextmanager
def one_line(secrets: Sequence[str], name: str = "") -> Iterator[None]:
    """Raise Qdrant's errors as an InputError of one line, in which keys are hidden.

    It calls the place by `name`.
    """
    answers = import_extra("qdrant_client.http.exceptions", EXTRA)
    client = import_extra("qdrant_client.common.client_exceptions", EXTRA)
    known = (ValueError, RuntimeError, LookupError, TypeError, OSError, sqlite3.Error)
    try:
        yield
    except IntertwineError:
        raise
    except (*known, answers.ApiException, client.QdrantException) as error:
        status = getattr(error, "status_code", None)
        if status in REFUSALS:
            raise InputError(
                f"Qdrant refuses the API key, or there is none (status {status}); give api_key=… or "
                "set QDRANT_API_KEY"
            ) from None
        text = one_clean_line(hidden(str(error), secrets)) or type(error).__name__
        at = f"{name}: " if name else ""
        raise InputError(f"Qdrant: {at}{text[:LONGEST_MESSAGE]}; what was written stays") from None


# What a collection's parameters hold beside what is carried over by name.
HANDLED = ("vectors", "sparse_vectors", "sharding_method", *KEPT)
# Limits of strict mode that requests of ours would run into, and what they need.
LIMITS = {"max_query_limit": 1000, "upsert_max_batchsize": 1000, "search_max_batchsize": 100}


def hindrances(config: Any, name: str) -> list[str]:
    """Return warnings of settings of a collection that a migration does not carry over.

    Limits of strict mode that a migration would run into raise an error.
    """
    strict = config.strict_mode_config
    for limit, needed in LIMITS.items() if strict is not None and strict.enabled else ():
        found = getattr(strict, limit, None)
        if found is not None and found < needed:
            raise InputError(
                f"{name}: its strict mode has {limit} {found}, and a migration needs {needed}; raise "
                "it, or switch strict mode off meanwhile"
            )
    values = config.params.model_dump(exclude_none=True)
    odd = sorted(key for key in values if key not in HANDLED)
    return [f"{name}: its setting {key} ({values[key]}) is not carried over" for key in odd]


def settings_like(config: Any, collection: Collection, note: str) -> dict[str, Any]:
    """Return the settings of a new collection as another has them, with its own vectors and a note."""
    models, params = import_extra("qdrant_client.models", EXTRA), config.params
    vectors: Any = collection.params
    if isinstance(params.vectors, dict):
        vectors = {**params.vectors, collection.vector: vectors}

    def again(kind: Any, value: Any) -> Any:
        return None if value is None else kind(**value.model_dump(exclude_none=True))

    kept = {name: getattr(params, name, None) for name in KEPT}
    return {
        **{name: value for name, value in kept.items() if value is not None},
        "vectors_config": vectors,
        "sparse_vectors_config": params.sparse_vectors,
        "hnsw_config": again(models.HnswConfigDiff, config.hnsw_config),
        "optimizers_config": again(models.OptimizersConfigDiff, config.optimizer_config),
        "wal_config": again(models.WalConfigDiff, config.wal_config),
        "quantization_config": config.quantization_config,
        "strict_mode_config": again(models.StrictModeConfig, config.strict_mode_config),
        "metadata": {**(config.metadata or {}), NOTE: note},
    }


OPTIONS = ("vector", "https", "api_key")
PORT = 6333
SECONDS_TO_WAIT = 60
# What is sent to these stays on this machine.
LOCAL = ("localhost", "127.0.0.1", "::1")


def collection_name(address: Address) -> str:
    """Return the collection that an address names."""
    remote = address.place.startswith("//")
    name = unquote(address.place.rpartition("/")[2]) if remote else address.part
    if not name or (remote and address.place.count("/") == 2):
        form = "//HOST:PORT/COLLECTION" if remote else "FOLDER#COLLECTION"
        raise InputError(f"{address.shown}: names no collection; write qdrant:{form}")
    return name


def connect(address: Address) -> tuple[Any, tuple[str, ...]]:
    """Return a client, and what no error may show.

    A folder must be there and free; a server is not asked yet.
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
