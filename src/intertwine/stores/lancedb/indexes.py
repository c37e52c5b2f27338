"""Indexes of a LanceDB table, built on another one as the first has them."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.extras import import_extra
from intertwine.stores.lancedb.arrow import EXTRA, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

# What LanceDB calls the metrics.
DISTANCES = {"cosine": "cosine", "ip": "dot", "l2": "l2"}
# What LanceDB tells of an index under another name than its settings have.
SETTINGS = {
    "max_connections": "m",
    "construction_ef": "ef_construction",
    "min_ngram_length": "ngram_min_length",
    "max_ngram_length": "ngram_max_length",
}
# Enough rows for every kind of index to be tried on.
TRIAL_ROWS = 300


def require_buildable(table: Any, vector: str, field: Any, metric: str | None, name: str) -> None:
    """Raise when an index of a table cannot be built again, before anything is written.

    An index of vectors is tried on some drawn ones of `field`, the column of new vectors.
    """
    with one_line():
        indexes = table.list_indices()
    for index in indexes:
        if len(index.columns) != 1 or _kind(index) is None:
            raise InputError(
                f"{name}: index {index.name!r} is of kind {index.index_type} over "
                f"{', '.join(index.columns)}, which cannot be built again; drop it, and build it "
                "yourself after the switch"
            )
        if index.columns == [vector]:
            try:
                _try(index, field, metric)
            except InputError as error:
                raise InputError(
                    f"{name}: index {index.name!r} of kind {index.index_type} cannot be built over "
                    f"vectors of dimension {field.type.list_size} ({error}); drop it first"
                ) from None


def _try(index: Any, field: Any, metric: str | None) -> None:
    """Build an index in memory over drawn vectors."""
    arrow, dim = import_extra("pyarrow", EXTRA), field.type.list_size
    drawn = np.random.default_rng(0).standard_normal(TRIAL_ROWS * dim)
    numbers = arrow.array(drawn.astype(field.type.value_type.to_pandas_dtype()))
    column = arrow.FixedSizeListArray.from_arrays(numbers, dim)
    with one_line():
        database = import_extra("lancedb", EXTRA).connect("memory://")
        table = database.create_table("trial", arrow.table({"vector": column}))
        table.create_index("vector", config=_config(index, metric, dim))


def build(table: Any, like: Any, vector: str, metric: str | None, dim: int) -> list[str]:
    """Build indexes on a table as another one has them, unless they are there; return notes.

    LanceDB chooses the numbers of partitions itself, as it does not report how many an index has.
    """
    notes = []
    with one_line():
        have = [index.columns for index in table.list_indices()]
        for index in like.list_indices():
            if index.columns in have or len(index.columns) != 1:
                continue
            of_vectors = index.columns == [vector]
            config = _config(index, metric if of_vectors else None, dim)
            table.create_index(index.columns[0], config=config, name=index.name)
            notes.append(
                f"built an index as the source's: {index.index_type} of {index.columns[0]}"
            )
    return notes


def _kind(index: Any) -> Any:
    """Return LanceDB's class of settings for a kind of index; None where there is none."""
    return getattr(import_extra("lancedb.index", EXTRA), index.index_type, None)


def _config(index: Any, metric: str | None, dim: int) -> Any:
    """Return settings that make an index as another one is."""
    kind = _kind(index)
    known = {field.name for field in fields(kind)}
    told = {SETTINGS.get(name, name): value for name, value in _told(index.index_details or {})}
    settings = {name: value for name, value in told.items() if name in known}
    if dim % (settings.get("num_sub_vectors") or 1):
        del settings["num_sub_vectors"]
    if metric is not None or "distance_type" in known:
        settings["distance_type"] = DISTANCES[metric or "l2"]
    return kind(**settings)


def _told(details: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the details that LanceDB reports of an index, out of the groups that they are in."""
    for name, value in details.items():
        if isinstance(value, dict):
            yield from _told(value)
        else:
            yield name, value
