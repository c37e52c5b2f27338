"""Lists of verification pairs: which two images, same person or not, in which fold.

Two forms are read. The official one of Labeled Faces in the Wild (Huang, Ramesh, Berg &
Learned-Miller, University of Massachusetts technical report 07-49, 2007): a line `folds pairs`, then
for each fold that many matched lines `Name i j` and as many mismatched ones `Name i Other j`, where
`Name i` is the image `Name_%04d`. And a CSV of id, id, same (0 or 1), fold.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    import os

    from intertwine.arrays import Array

_SAME = {"1": True, "true": True, "0": False, "false": False}
# Extensions begin with a letter, so that `Name_Jr._0001` keeps its number.
_EXTENSION = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,4}$")
_CSV_LINE = "id,id,same,fold"


@dataclass(frozen=True)
class PairList:
    """Verification pairs in the file's order.

    Parameters
    ----------
    path
        The file.
    first, second
        Ids of the two images of each pair.
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

    def __len__(self) -> int:
        return len(self.first)

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1


def image_key(name: str) -> str:
    """Return an id without folder and extension, by which pairs and rows are matched."""
    return _EXTENSION.sub("", name.replace("\\", "/").rsplit("/", 1)[-1])


def read_pairs(path: str | os.PathLike[str]) -> PairList:
    """Read a list of verification pairs of either form.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    pairs
        Ids without folder and extension; folds numbered from 0 in the order of their names.

    Raises
    ------
    InputError
        When the file cannot be read, a line is not of the file's form, there are fewer than two
        folds, or a fold has no matched or no mismatched pairs.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as a list of pairs ({error})") from error
    numbered = [(i, line) for i, line in enumerate(lines, start=1) if line.strip()]
    if not numbered:
        raise InputError(f"{path}: holds no pair, expected the official list or lines {_CSV_LINE}")
    is_csv = "," in numbered[0][1]
    pairs = _read_csv(path, numbered) if is_csv else _read_official(path, numbered)
    _check_folds(pairs)
    return pairs


def _read_official(path: Path, lines: list[tuple[int, str]]) -> PairList:
    header = lines[0][1].split()
    if len(header) != 2 or not all(word.isdecimal() and int(word) > 0 for word in header):
        raise InputError(
            f"{path}: line {lines[0][0]}: got {lines[0][1].strip()!r}, expected `folds pairs`, such "
            f"as `10 300`, or the CSV form {_CSV_LINE}"
        )
    n_folds, per_kind = map(int, header)
    if len(lines) - 1 != 2 * n_folds * per_kind:
        raise InputError(
            f"{path}: got {len(lines) - 1} pairs, expected {n_folds} folds of {per_kind} matched and "
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
    matched = len(words) == 4 and all(words) and words[1].isdecimal() and words[3].isdecimal()
    if not matched or "," in line:
        raise InputError(
            f"{where}: got {line.strip()!r}, expected `Name i j` or `Name i Other j` as in the lines "
            "before; one file holds one form"
        )
    return (words[0], int(words[1])), (words[2], int(words[3]))


def _read_csv(path: Path, lines: list[tuple[int, str]]) -> PairList:
    rows = [(number, [cell.strip() for cell in next(csv.reader([line]))]) for number, line in lines]
    if len(rows[0][1]) == 4 and rows[0][1][2].lower() not in _SAME:
        rows = rows[1:]  # a line of titles
    for number, row in rows:
        if len(row) != 4 or not all(row) or row[2].lower() not in _SAME:
            raise InputError(
                f"{path}: line {number}: got {','.join(row)!r}, expected {_CSV_LINE} with same 0 or 1; "
                "one file holds one form"
            )
    if not rows:
        raise InputError(f"{path}: holds no pair, expected lines {_CSV_LINE}")
    names = {row[3] for _, row in rows}
    number_of = {name: i for i, name in enumerate(sorted(names, key=_fold_order))}
    return PairList(
        path,
        [image_key(row[0]) for _, row in rows],
        [image_key(row[1]) for _, row in rows],
        np.array([_SAME[row[2].lower()] for _, row in rows], bool),
        np.array([number_of[row[3]] for _, row in rows], np.int64),
    )


def _fold_order(name: str) -> tuple[int, int, str]:
    """Numbers come in their order, before names."""
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)


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
