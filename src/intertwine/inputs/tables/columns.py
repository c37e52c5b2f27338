"""Which columns of a table are content, labels and ids, and how their cells are read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from intertwine.inputs.tables.table import Table
    from intertwine.numerics.arrays import Array

LABEL, ID = "label", "id"
_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?")
_MAX_DIGITS = 9
# Half a character, as JSON can spell it: text that no file can hold.
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Columns:
    """Names of the columns to read: content (paths, images or texts), labels and ids.

    One that is None is looked for under its usual names.
    """

    content: str | None = None
    label: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Keys:
    """What is read of every row at once; None for what the table lacks.

    Labels are (n,) int64, and `content` holds cells only where they were requested.
    """

    ids: list[str] | None
    labels: Array | None
    classes: list[str] | None
    content: list[Any] | None


def content_column(
    table: Table, named: str | None, *, usual: Sequence[str], types: Collection[str]
) -> str:
    """Return the column that holds the content: the one `named`, else one of the `usual` names.

    InputError when there is no such column, or it holds another type.
    """
    column = _find(table, named, usual)
    if column is None:
        raise InputError(
            f"{table.path}: got columns {', '.join(table.types)}, expected one of "
            f"{', '.join(usual)}; name another with --column"
        )
    if table.types[column] not in types:
        raise InputError(
            f"{table.path}: column {column} holds {table.types[column]}, "
            f"expected {' or '.join(types)}; name another with --column"
        )
    return column


def read_keys(table: Table, columns: Columns, *, content: str | None = None) -> Keys:
    """Read ids and labels of every row, and the cells of the column `content`, in one pass.

    Where the user named no column, labels are in `label`, ids in `id`, if there. InputError when a
    named column is absent, or a cell is no id or no label.
    """
    label, name = _find(table, columns.label, [LABEL]), _find(table, columns.id, [ID])
    wanted = dict.fromkeys(column for column in (label, name, content) if column is not None)
    cells = table.columns(list(wanted))
    labels, classes = None, None
    if label is not None:
        labels, classes = read_labels(cells[label], table.where, table.class_names(label))
    ids = None
    if name is not None:
        ids = [_id(value, row, table) for row, value in enumerate(cells[name])]
    return Keys(ids, labels, classes, None if content is None else cells[content])


def read_labels(
    values: Sequence[Any], where: Callable[[int], str], class_names: list[str] | None = None
) -> tuple[Array | None, list[str] | None]:
    """Return labels, (n,) int64, and the names of their classes, from cells.

    Integers ≥ 0, as numbers or text, stay as they are, with `class_names` where the input has them.
    Of other text the distinct values become classes, numbered in sorted order. No labels where
    every value is −1, as in a split whose labels are secret. InputError, with the name of the row
    from `where`, when a value is empty, of another type, or not an integer ≥ 0 among numbers.
    """
    if all(value == -1 or value == "-1" for value in values):  # noqa: PLR1714 - may be unhashable
        return None, None
    texts = [str(value) if type(value) is int else value for value in values]
    for row, text in enumerate(texts):
        # Classes become lines of classes.txt.
        if not isinstance(text, str) or text.splitlines() != [text] or _HALF.search(text):
            raise InputError(
                f"{where(row)}: got label {text!r}, expected an integer ≥ 0 or text on one line"
            )
    if not all(_NUMBER.fullmatch(text) for text in texts):
        classes = sorted(set(texts))
        number = {name: label for label, name in enumerate(classes)}
        return np.array([number[text] for text in texts], np.int64), classes
    for row, text in enumerate(texts):
        if not text.isdecimal() or len(text) > _MAX_DIGITS:
            raise InputError(
                f"{where(row)}: got label {text}, expected an integer ≥ 0 of at most "
                f"{_MAX_DIGITS} digits, as the others are numbers too"
            )
    return np.array([int(text) for text in texts], np.int64), class_names


def _find(table: Table, named: str | None, usual: Sequence[str]) -> str | None:
    if named is None:
        return next((name for name in usual if name in table.types), None)
    if named not in table.types:
        raise InputError(
            f"{table.path}: no column {named!r}, expected one of {', '.join(table.types)}"
        )
    return named


def _id(value: Any, row: int, table: Table) -> str:
    if type(value) is int or isinstance(value, str):
        return str(value)
    raise InputError(f"{table.where(row)}: got id {value!r}, expected text or an integer")
