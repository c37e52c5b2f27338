"""Rows as CSV for further computing: full precision, nothing for the undefined."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from intertwine.storage.cells import guarded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def csv_text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Return rows as CSV with a heading: the columns in order, then others that rows have.

    Numbers read back exactly; null is an empty field; lists are joined by `x`; text that a
    spreadsheet would take for a formula has `'` before it.
    """
    keys = list(dict.fromkeys([*columns, *(key for row in rows for key in row)]))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(keys)
    writer.writerows([_field(row.get(key)) for key in keys] for row in rows)
    return buffer.getvalue()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "x".join(_field(item) for item in value)
    if isinstance(value, str):
        return guarded(value)
    return repr(value) if isinstance(value, float) else str(value)
