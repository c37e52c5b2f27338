"""What an Arrow column holds, in the words of `intertwine.tables.table.Table`."""

from __future__ import annotations

from typing import Any

from intertwine.extras import import_extra

_WORDS = {
    "string": "text",
    "large_string": "text",
    "string_view": "text",
    "binary": "bytes",
    "large_binary": "bytes",
    "binary_view": "bytes",
}


def column_types(schema: Any) -> dict[str, str]:
    """Return what each column of an Arrow schema holds.

    Parameters
    ----------
    schema
        A pyarrow schema.

    Returns
    -------
    types
        `text`, `integer`, `bytes`, `image` (a struct with `bytes` and `path`) or Arrow's own word,
        by column.
    """
    return {field.name: _word(field.type) for field in schema}


def _word(kind: Any) -> str:
    types = import_extra("pyarrow.types", "arrow")
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_integer(kind):
        return "integer"
    if types.is_struct(kind):
        names = {kind.field(number).name for number in range(kind.num_fields)}
        return "image" if names >= {"bytes", "path"} else str(kind)
    return _WORDS.get(str(kind), str(kind))
