"""Lists of verification pairs: which two images, same person or not, in which fold.

Two forms are read. The official one of Labeled Faces in the Wild (Huang, Ramesh, Berg &
Learned-Miller, University of Massachusetts technical report 07-49, 2007): a line `folds pairs`, then
for each fold that many matched lines `Name i j` and as many mismatched ones `Name i Other j`, where
`Name i` is the image `Name_%04d`. And a CSV of id, id, same (0 or 1), fold, in this order or in
that of a line of titles.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.storage.untrusted import is_count, require_ordinary
from intertwine.wording import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from typing import Any

    from intertwine.numerics.arrays import Array

_SAME = {"1": True, "true": True, "0": False, "false": False}
_CSV_LINE = "id,id,same,fold"
# Titles of columns, without case, spaces, `_` and `-`.
_SAME_TITLES = frozenset(
    [
        "same",
        "issame",
        "sameperson",
        "label",
        "match",
        "matched",
        "ismatch",
        "genuine",
        "isgenuine",
        "actualissame",
    ]
)
_FOLD_TITLES = frozenset(["fold", "folds", "foldid", "foldnumber", "split", "cvfold"])
_SECOND_ENDS, _FIRST_ENDS = ("2", "second", "b", "right"), ("1", "first", "a", "left")


@dataclass(frozen=True)
class PairList:
    """Verification pairs in the file's order.

    Parameters
    ----------
    path
        The file.
    first, second
        Ids of the two images of each pair, as the file writes them.
    same
        (n,) bool, whether both show one person.
    fold
        (n,) int64, 0 … n_folds − 1.
    people
        The person of each id where the file names people, as the official form does.
    """

    path: Path
    first: list[str]
    second: list[str]
    same: Array
    fold: Array
    people: dict[str, str] | None = None

    @classmethod
    def of(cls, first: Iterable[Any], second: Iterable[Any], same: Any, *, fold: Any) -> PairList:
        """Return verification pairs that are in memory.

        Parameters
        ----------
        first, second
            (n,) ids of the two images of each pair.
        same
            (n,) booleans, or 0 and 1: whether both show one person.
        fold
            (n,) the fold of each pair, any numbers or names.

        Raises
        ------
        InputError
            When lengths differ, there are fewer than two folds, or a fold has no matched or no
            mismatched pairs.
        """
        ids = [[str(value) for value in side] for side in (first, second)]
        marks, folds = np.asarray(same), np.asarray(fold)
        lengths = [*map(len, ids), *map(np.size, (marks, folds))]
        if len(set(lengths)) > 1:
            got = ", ".join(map(str, lengths))
            raise InputError(
                f"pairs: got {got} of first, second, same and fold, expected one number"
            )
        if not np.isin(marks, (0, 1)).all():
            raise InputError("pairs: same holds other values than 0 and 1, or False and True")
        numbers = np.unique(folds, return_inverse=True)[1].astype(np.int64)
        pairs = cls(Path("pairs"), ids[0], ids[1], marks.astype(bool), numbers)
        if not ids[0]:
            raise InputError("pairs: got no pair, expected at least one")
        _check_folds(pairs)
        return pairs

    def __len__(self) -> int:
        return len(self.first)

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1


def read_pairs(path: str | os.PathLike[str]) -> PairList:
    """Read a list of verification pairs of either form.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    pairs
        Ids as they are written; folds numbered from 0 in the order of their names.

    Raises
    ------
    InputError
        When the file cannot be read, a line is not of the file's form, there are fewer than two
        folds, or a fold has no matched or no mismatched pairs.
    """
    path = Path(path)
    lines = _lines(path)
    numbered = [(i, line) for i, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise InputError(f"{path}: holds no pair, expected the official list or lines {_CSV_LINE}")
    is_csv = "," in numbered[0][1]
    pairs = _read_csv(path, numbered) if is_csv else _read_official(path, numbered)
    _check_folds(pairs)
    return pairs


def _lines(path: Path) -> list[str]:
    require_ordinary(path)
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise InputError(
            f"{path}: cannot be read as a list of pairs: there is no such file"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{path}: cannot be read as a list of pairs: {reason}") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: cannot be read as a list of pairs: byte {error.start} is not UTF-8; save the "
            "file as UTF-8"
        ) from error


def _read_official(path: Path, lines: list[tuple[int, str]]) -> PairList:
    header = lines[0][1].split()
    if len(header) == 1 and is_count(header[0]):
        raise InputError(
            f"{path}: line {lines[0][0]}: got {header[0]}, the one number of a list without folds, such "
            "as pairsDevTrain.txt; expected `folds pairs`, such as `10 300` of pairs.txt, since "
            "thresholds and maps come from the other folds"
        )
    if len(header) != 2 or not all(is_count(word) and int(word) > 0 for word in header):
        raise InputError(
            f"{path}: line {lines[0][0]}: got {lines[0][1].strip()!r}, expected `folds pairs`, such "
            f"as `10 300`, or the CSV form {_CSV_LINE}"
        )
    n_folds, per_kind = map(int, header)
    if len(lines) - 1 != 2 * n_folds * per_kind:
        raise InputError(
            f"{path}: got {counted(len(lines) - 1, 'pair')}, expected {counted(n_folds, 'fold')} of {per_kind} matched and "
            f"{per_kind} mismatched, {2 * n_folds * per_kind}"
        )
    first, second, same = [], [], []
    people: dict[str, str] = {}
    for number, line in lines[1:]:
        a, b = _official_line(line, f"{path}: line {number}")
        for name, image in (a, b):
            people[f"{name}_{image:04d}"] = name
        first.append(f"{a[0]}_{a[1]:04d}")
        second.append(f"{b[0]}_{b[1]:04d}")
        same.append(a[0] == b[0])
    fold = np.arange(len(first)) // (2 * per_kind)
    return PairList(path, first, second, np.array(same, bool), fold, people)


def _official_line(line: str, where: str) -> tuple[tuple[str, int], tuple[str, int]]:
    words = line.split("\t") if "\t" in line else line.split()
    words = [word.strip() for word in words]
    if len(words) == 3:
        words = [words[0], words[1], words[0], words[2]]
    matched = len(words) == 4 and all(words) and is_count(words[1]) and is_count(words[3])
    if not matched or "," in line:
        raise InputError(
            f"{where}: got {line.strip()!r}, expected `Name i j` or `Name i Other j` as in the lines "
            "before; one file holds one form"
        )
    return (words[0], int(words[1])), (words[2], int(words[3]))


def _read_csv(path: Path, lines: list[tuple[int, str]]) -> PairList:
    rows = [(number, [cell.strip() for cell in next(csv.reader([line]))]) for number, line in lines]
    order = _order_by_titles(rows[0][1])
    if order is not None:
        rows = rows[1:]
    for number, row in rows:
        _check_csv_line(row, order, f"{path}: line {number}", first=row is rows[0][1])
    if not rows:
        raise InputError(f"{path}: holds no pair, expected lines {_CSV_LINE}")
    first, second, same, fold = (
        [row[column] for _, row in rows] for column in order or range(len(_CSV_LINE.split(",")))
    )
    number_of = {name: i for i, name in enumerate(sorted(set(fold), key=_fold_order))}
    return PairList(
        path,
        first,
        second,
        np.array([_SAME[label.lower()] for label in same], bool),
        np.array([number_of[name] for name in fold], np.int64),
    )


def _check_csv_line(row: list[str], order: list[int] | None, where: str, *, first: bool) -> None:
    label = 2 if order is None else order[2]
    if len(row) == 4 and all(row) and row[label].lower() in _SAME:
        return
    titles = (
        " (or titles of columns, such as first,second,same,fold)" if first and not order else ""
    )
    expected = _CSV_LINE if order is None else "what the line of titles says,"
    raise InputError(
        f"{where}: got {','.join(row)!r}, expected {expected} with same 0 or 1{titles}; one file holds "
        "one form"
    )


def _order_by_titles(cells: list[str]) -> list[int] | None:
    """Return the columns of id, id, same and fold from a line of titles; None if it is not one."""
    titles = ["".join(filter(str.isalnum, cell.lower())) for cell in cells]
    same = [i for i, title in enumerate(titles) if title in _SAME_TITLES]
    fold = [i for i, title in enumerate(titles) if title in _FOLD_TITLES]
    if len(cells) != 4 or len(same) != 1 or len(fold) != 1:
        return None
    first, second = (i for i in range(4) if i not in {*same, *fold})
    if titles[first].endswith(_SECOND_ENDS) and titles[second].endswith(_FIRST_ENDS):
        first, second = second, first
    return [first, second, *same, *fold]


def _fold_order(name: str) -> tuple[int, int, str]:
    """Numbers come in their order, before names."""
    return (0, int(name), name) if is_count(name) else (1, 0, name)


def _check_folds(pairs: PairList) -> None:
    if pairs.n_folds < 2:
        raise InputError(
            f"{pairs.path}: got one fold, expected at least two: thresholds and maps come from others"
        )
    for fold in range(pairs.n_folds):
        inside = pairs.same[pairs.fold == fold]
        if inside.all() or not inside.any():
            kind = "mismatched" if inside.size and inside.all() else "matched"
            raise InputError(
                f"{pairs.path}: fold {fold + 1} of {pairs.n_folds} has no {kind} pairs among its "
                f"{inside.size}, expected both kinds in each"
            )
