"""Rows of a table as a data frame of pandas or polars, neither of which this package needs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError, MissingExtraError
from intertwine.report.schema import KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.report.schema import Row, TableSchema

LIBRARIES = ("pandas", "polars")


def data_frame(schema: TableSchema, rows: Sequence[Row], library: str | None = None) -> Any:
    """Return rows as a data frame: the declared columns in order, then others that rows have.

    Undefined numbers are NaN in pandas and null in polars. Without a library named, the first that
    is installed.
    """
    name, module = _import(library)
    numeric = {key for each in schema.fields if KINDS[each.kind].numeric for key in each.keys}
    keys = dict.fromkeys([*schema.columns, *(key for row in rows for key in row)])
    columns = {key: [row.get(key) for row in rows] for key in keys}
    make = _polars_series if name == "polars" else _pandas_series
    return module.DataFrame(
        {key: make(module, values, key in numeric) for key, values in columns.items()}
    )


def _pandas_series(pandas: Any, values: Sequence[Any], numeric: bool) -> Any:
    kind = _kind(values, numeric)
    if kind == "whole":
        # pandas can leave out none of these.
        return pandas.Series(values, dtype="float64" if None in values else "int64")
    return pandas.Series(values, dtype="float64" if kind == "number" else None)


def _polars_series(polars: Any, values: Sequence[Any], numeric: bool) -> Any:
    kinds = {"whole": polars.Int64, "number": polars.Float64, "text": polars.String}
    return polars.Series(values=values, dtype=kinds.get(_kind(values, numeric)), strict=False)


def _kind(values: Sequence[Any], numeric: bool) -> str:
    """Return what a column holds: `whole`, `number`, `text`, or `else`."""
    types = {type(value) for value in values if value is not None}
    if not types:
        return "number" if numeric else "text"
    if types == {int}:
        return "whole"
    if types <= {int, float}:
        return "number"
    return "text" if types == {str} else "else"


def _import(library: str | None) -> tuple[str, Any]:
    """Return a library's name and module."""
    if library not in {None, *LIBRARIES}:
        raise InputError(f"got library {library}, expected {' or '.join(LIBRARIES)}")
    for name in LIBRARIES if library is None else (library,):
        try:
            return str(name), import_module(str(name))
        except ModuleNotFoundError:
            continue
    missing = f"{library} is not" if library else "neither pandas nor polars is"
    raise MissingExtraError(f"{missing} installed; run: pip install {library or 'pandas'}")
