"""Pairs that belong together: near copies of one item, pieces of one document.

A map that has seen one of them maps the others better than it will ever map a fresh item. Such pairs
share a fold, and leave together where intervals are estimated.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from intertwine.errors import InputError
from intertwine.numerics.linalg import unit
from intertwine.storage.untrusted import read_text
from intertwine.studies.plan.pairs import MIN_PAIRS
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array
    from intertwine.studies.plan.pairs import Pairs

# Squared distance over that of two random items, in the space where it is larger, up to which items
# are near copies. Of 2,500 ImageNet images no two of different pictures come nearer than 0.25, of
# 2,500 photographs of faces one pair of the same photograph twice; sentences are so near where they
# differ in a word or two.
COPY = 0.05
# Items in tight groups with nothing between: distances at which groups are joined leave out a
# stretch of this ratio, but for a tenth of the fewer on either side, and most items are in a group.
GAP, IN_GAP, GROUPED = 1.15, 0.1, 0.5
# A group of a larger share is what is left of loose items when the farthest are taken off.
LARGEST = 0.4
BLOCK = 512


FILE, COPIES, TIGHT, FEW = "file", "copies", "tight", "few"


@dataclass(frozen=True)
class Grouping:
    """Pairs in groups: (n,) numbers from 0 in order of appearance, and how the groups are known.

    `how` is `file` (then with its name), `copies`, or `tight`; `few` where tight ones are fewer
    than folds.
    """

    groups: Array
    how: str
    name: str = ""

    @property
    def n(self) -> int:
        """Number of groups."""
        return int(self.groups.max()) + 1

    @property
    def grouped(self) -> int:
        """Number of items that are not alone in their group."""
        sizes = np.bincount(self.groups)
        return int(sizes[sizes > 1].sum())


def grouped(
    pairs: Pairs, feature_set: FeatureSet, file: Path | None, metric: str, n_folds: int
) -> tuple[Pairs, Grouping | None]:
    """Return the pairs with what belongs together, by a file or by their vectors.

    Without a file near copies are looked for. A file that does not name each item of the set once,
    and fewer groups than folds, raise an `InputError`.
    """
    if file is None:
        grouping, copies = found_groups(pairs, metric)
        if grouping.how == TIGHT and grouping.n < n_folds:
            few = replace(grouping, how=FEW)
            _require(copies, n_folds, str(feature_set))
            return _with(pairs, copies), few
    else:
        grouping = Grouping(in_order(read_groups(file, feature_set)[pairs.rows]), FILE, file.name)
    _require(grouping, n_folds, str(file or feature_set))
    return _with(pairs, grouping), grouping if grouping.grouped else None


def _with(pairs: Pairs, grouping: Grouping) -> Pairs:
    return replace(pairs, groups=grouping.groups) if grouping.grouped else pairs


def _require(grouping: Grouping, n_folds: int, where: str) -> None:
    if grouping.n >= n_folds:
        return
    of = (
        "groups"
        if grouping.how == FILE
        else "different items, all others being near copies of these"
    )
    raise InputError(
        f"{where}: got {grouping.n} {of}, expected at least {n_folds}, one a fold: what is found "
        "among other items cannot be forecast from so few"
    )


def read_groups(file: Path, feature_set: FeatureSet) -> Array:
    """Read which items of a set belong together, (n,) numbers.

    A group a line: the ids of its items, separated by tabs, or by spaces where no id and no line
    has a tab or space of its own. A file whose first line is `id,group` or `group,id` is a table,
    an item a line.

    An id that the set lacks or that stands twice, and an item of the set that stands in no group,
    raise an `InputError`.
    """
    ids = feature_set.ids()
    row_of = {name: row for row, name in enumerate(ids)}
    groups, line_of = np.full(len(ids), -1), np.zeros(len(ids), np.int64)
    for line, group, name in _members(file, spaced=any(" " in name for name in ids)):
        row = row_of.get(name)
        if row is None:
            raise InputError(f"{file}: line {line}: no item {name!r} in {feature_set}")
        if groups[row] >= 0:
            raise InputError(
                f"{file}: item {name!r} stands in line {line_of[row]} and in line {line}, expected "
                "each item once"
            )
        groups[row], line_of[row] = group, line
    absent = np.flatnonzero(groups < 0)
    if absent.size:
        raise InputError(
            f"{file}: lacks {absent.size} of {len(ids)} items of {feature_set}, such as "
            f"{ids[absent[0]]!r}; an item that belongs to no other stands on a line of its own"
        )
    return groups


def _members(file: Path, *, spaced: bool) -> Iterator[tuple[int, int, str]]:
    """Yield the number of a line, the number of its group, and an id in it."""
    text = read_text(file)
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    title = lines[0][1].replace(" ", "").lower() if lines else ""
    if title in {"id,group", "group,id"}:
        yield from _table(file, lines[1:], id_first=title.startswith("id"))
        return
    tab = "\t" if spaced or "\t" in text else None
    for number, line in lines:
        for name in line.split(tab):
            yield number, number, name.strip()


def _table(
    file: Path, lines: Sequence[tuple[int, str]], *, id_first: bool
) -> Iterator[tuple[int, int, str]]:
    number_of: dict[str, int] = {}
    for number, line in lines:
        cells = next(csv.reader([line]))
        if len(cells) != 2:
            raise InputError(
                f"{file}: line {number}: got {counted(len(cells), 'cell')}, expected id and group"
            )
        name, group = cells if id_first else reversed(cells)
        yield number, number_of.setdefault(group.strip(), len(number_of)), name.strip()


def in_order(labels: Array) -> Array:
    """Return groups as numbers from 0 in the order in which they appear, (n,)."""
    _, first, number = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[number])


def found_groups(pairs: Pairs, metric: str) -> tuple[Grouping, Grouping]:
    """Return pairs grouped by their vectors in both spaces: as tight groups are, and as copies are.

    Both are the same where no gap stands about groups.
    """
    tree = linkage(apart(pairs, metric), "single")
    copies = Grouping(in_order(fcluster(tree, COPY, "distance")), COPIES)
    gap = tight_below(tree)
    if gap is None or gap <= GAP * COPY:
        return copies, copies
    return Grouping(in_order(fcluster(tree, gap, "distance")), TIGHT), copies


def without_copies(proxy: Pairs, pairs: Pairs, metric: str) -> Pairs:
    """Return a proxy without items that are near copies of pairs: its maps must not see them."""
    sides = [(proxy.a, pairs.a), (proxy.b, pairs.b)]
    if metric == "cosine":
        sides = [(unit(others), unit(own)) for others, own in sides]
    kept = np.ones(proxy.n, bool)
    for start in range(0, proxy.n, BLOCK):
        rows = slice(start, start + BLOCK)
        kept[rows] = _farthest([(others[rows], own) for others, own in sides]).min(axis=1) > COPY
    if kept.all():
        return proxy
    if kept.sum() < MIN_PAIRS:
        raise InputError(
            f"the proxy: {proxy.n - kept.sum()} of {proxy.n} items are near copies of pairs, expected "
            f"at least {MIN_PAIRS} others"
        )
    left = proxy.n - int(kept.sum())
    they = "it is a near copy of a pair" if left == 1 else "they are near copies of pairs"
    note = f"{counted(left, 'item')} of the proxy left out: {they}"
    return replace(
        proxy,
        a=proxy.a[kept],
        b=proxy.b[kept],
        labels=None if proxy.labels is None else proxy.labels[kept],
        ids=None if proxy.ids is None else proxy.ids[kept],
        rows=None if proxy.rows is None else proxy.rows[kept],
        notes=[*proxy.notes, note],
    )


def _farthest(sides: Sequence[tuple[Array, Array]]) -> Array:
    """Return how far rows of others are from own ones, in the space where it is more."""
    distances = []
    for others, own in sides:
        mean = own.mean(axis=0)
        x, y = others - mean, own - mean
        squares = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * (x @ y.T)
        distances.append(squares / (2 * (y**2).sum() / len(y)))
    return np.asarray(np.maximum(*distances))


def apart(pairs: Pairs, metric: str) -> Array:
    """Return how far any two pairs are apart, in the space where it is more, n(n − 1)/2 of them.

    Squared distances over their mean: of random items about 1, whatever the scale.
    """
    within = pairs.compact
    both = [_relative(unit(x) if metric == "cosine" else x) for x in (within.a, within.b)]
    n = pairs.n
    squares = np.zeros((n, n), np.float32)
    for start in range(0, n, BLOCK):
        rows = slice(start, start + BLOCK)
        for x in both:
            length = (x**2).sum(axis=1)
            products = length[rows, None] + length - 2 * (x[rows] @ x.T)
            np.maximum(squares[rows], products, out=squares[rows])
    return np.asarray(squareform(squares, checks=False))


def _relative(x: Array) -> Array:
    """Return rows about their mean, scaled so that two random ones are 1 apart."""
    centred = x - x.mean(axis=0)
    scale = np.sqrt(2 * (centred**2).sum() / len(x))
    return np.asarray(centred / scale)


def tight_below(tree: Array) -> float | None:
    """Return the distance up to which items are joined to tight groups; None where there is no gap.

    `tree` is what `scipy.cluster.hierarchy.linkage` returns for single linkage.
    """
    heights = np.maximum(tree[:, 2], COPY)
    n = len(heights) + 1
    below = np.searchsorted(heights, heights, side="right")
    within = np.searchsorted(heights, GAP * heights, side="right") - below
    above = len(heights) - below - within
    fewer = np.minimum(below, above)
    gaps = np.flatnonzero((within <= IN_GAP * fewer) & (above > 0) & (2 * below >= GROUPED * n))
    # The least crowded gap first, of these the widest; what lies in it is taken to the groups.
    width = heights[below[gaps]] / heights[gaps]
    for place in gaps[np.lexsort((-width, within[gaps] / fewer[gaps]))]:
        beyond = GAP * float(heights[place])
        sizes = np.bincount(fcluster(tree, beyond, "distance"))[1:]
        if sizes.max() <= LARGEST * n and sizes[sizes > 1].sum() >= GROUPED * n:
            return beyond
    return None
