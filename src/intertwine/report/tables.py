"""Declared tables as the page shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import interval, scored, text_or_reason
from intertwine.report.schema import KINDS
from intertwine.report.shapes import DASH, Column, Table, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from intertwine.report.schema import Field, Row, TableSchema

    Show = Callable[[Row, int], str | Text]


def page_table(
    schema: TableSchema,
    rows: Sequence[Row],
    places: int,
    *,
    name: Callable[[str], Text] = Text,
    show: Mapping[str, Show] | None = None,
    without: Collection[str] = (),
    why: bool = False,
    **words: str,
) -> Table:
    """Return a table as the page shows it, with `places` decimals of percentages.

    `name` returns a name as tables show it, such as that of a control. `show` replaces, by key,
    what is declared for a field; `without` are keys of fields that are left out; with `why` reasons
    have a column of their own where there are any. `words` fill the names in braces of titles,
    notes and the caption.
    """
    show = show or {}
    fields = [each for each in schema.shown if each.key not in without]
    columns = [column for each in fields for column in _columns(each, words)]
    texts = [
        [text for each in fields for text in _cells(each, row, places, name, show.get(each.key))]
        for row in rows
    ]
    if why and any(row.get("reason") for row in rows):
        columns.append(Column("Why undefined", numeric=False))
        for shown, row in zip(texts, rows, strict=True):
            shown.append(Text(str(row.get("reason") or "")))
    return Table(schema.caption.format_map(words), columns, texts)


def _columns(field: Field, words: Mapping[str, str]) -> list[Column]:
    numeric = KINDS[field.kind].numeric
    headings = [(field.title, field.note)]
    if field.interval_title:
        headings.append((field.interval_title, field.interval_note))
    return [
        Column(title.format_map(words), numeric, note.format_map(words)) for title, note in headings
    ]


def _cells(
    field: Field, row: Row, places: int, name: Callable[[str], Text], show: Show | None
) -> list[Text]:
    """Return what the page shows of a field: one text, or two with an interval of its own."""
    kind = KINDS[field.kind]
    places = _places(field, places)
    show = show or field.show
    shown = show(row, places) if show else _written(field, row, places)
    if isinstance(shown, str):
        if kind.numeric:
            shown = text_or_reason(shown, field.missing or row.get("reason"))
        else:
            shown = name(shown) if field.kind == "name" else Text(shown)
    if not field.interval_title:
        return [shown]
    between = _interval(field, row, places) or DASH
    return [shown, text_or_reason(between, field.missing or row.get("reason"))]


def _places(field: Field, places: int) -> int:
    """Return the decimals of a field: its own, its kind's, or those of percentages."""
    choices = (field.places, KINDS[field.kind].places, places)
    return next(number for number in choices if number is not None)


def _written(field: Field, row: Row, places: int) -> str:
    text = KINDS[field.kind].write(row.get(field.key), places)
    bare = field.interval_title or text == DASH
    return text if bare else scored(text, _interval(field, row, places))


def _interval(field: Field, row: Row, places: int) -> str:
    """Return the interval of a field, or nothing where it has none or an end is undefined."""
    if not field.ends:
        return ""
    factor = KINDS[field.kind].factor
    low, high = (None if row.get(key) is None else factor * row[key] for key in field.ends)
    return interval(low, high, places)
