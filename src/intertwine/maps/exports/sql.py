"""A map as SQL for PostgreSQL with pgvector: a table of weights and a function over it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.maps.exports.bridge import float32_weights

if TYPE_CHECKING:
    from collections.abc import Iterator

    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array

# pgvector's longest vector, and PostgreSQL's longest name.
MOST_DIMENSIONS, LONGEST_NAME = 16_000, 63
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def pgvector_sql(linear_map: LinearMap, name: str, *, unit: bool = False) -> Iterator[str]:
    """Yield the statements that create a function of a map, `name(vector) → vector`.

    The function reads the table `name_weights`, one row of weights for each target dimension, and is as exact
    as pgvector's inner products, float32. Run in one transaction, the statements replace what an
    earlier map of that name left.

    Parameters
    ----------
    linear_map
        The map.
    name
        Of the function: lower-case letters, digits and underscores. Names are written in quotes, so
        that a keyword of SQL, such as `select`, works too; call it in quotes then.
    unit
        Whether results are scaled to length 1 (pgvector 0.7 and later).

    Yields
    ------
    statement
        One after the other.

    Raises
    ------
    InputError
        For a name that PostgreSQL would have to quote, dimensions beyond pgvector's, and weights
        beyond float32.
    """
    table = f"{name}_weights"
    if not _NAME.fullmatch(name) or len(table) > LONGEST_NAME:
        raise InputError(
            f"got name {name!r}, expected at most {LONGEST_NAME - len('_weights')} lower-case "
            "letters, digits and underscores, no digit first"
        )
    d_source, d_target = linear_map.source.dim, linear_map.target.dim
    if max(d_source, d_target) > MOST_DIMENSIONS:
        raise InputError(
            f"map {linear_map.name}: got {d_source} and {d_target} dimensions, expected at most "
            f"{MOST_DIMENSIONS}, as many as pgvector's vectors have"
        )
    weight, bias = float32_weights(linear_map)
    argument = "l2_normalize($1)" if linear_map.unit_source else "$1"
    return _statements(name, table, weight, bias, argument=argument, unit=unit)


def _statements(
    name: str, table: str, weight: Array, bias: Array, *, argument: str, unit: bool
) -> Iterator[str]:
    d_target, d_source = weight.shape
    name, table = f'"{name}"', f'"{table}"'
    yield f"DROP FUNCTION IF EXISTS {name}(vector)"
    yield f"DROP TABLE IF EXISTS {table}"
    yield (
        f"CREATE TABLE {table} "
        f"(i integer PRIMARY KEY, weight vector({d_source}) NOT NULL, bias real NOT NULL)"
    )
    for i, (row, offset) in enumerate(zip(weight, bias, strict=True)):
        numbers = ",".join(map(str, row))
        yield f"INSERT INTO {table} VALUES ({i}, '[{numbers}]', {offset})"  # noqa: S608 - checked
    # pgvector's <#> is the negative inner product: its indexes look for the smallest.
    mapped = f"(SELECT array_agg(bias - (weight <#> {argument}) ORDER BY i) FROM {table})::vector({d_target})"  # noqa: S608 - checked
    body = f"l2_normalize({mapped})" if unit else mapped
    yield (
        f"CREATE FUNCTION {name}(vector) RETURNS vector LANGUAGE sql STABLE STRICT PARALLEL SAFE "
        f"AS $$ SELECT {body} $$"
    )
