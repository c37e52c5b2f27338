"""The pass that turns a feature set into moments of random row groups, which add up to the whole.

One group after another, so that memory holds three joint moments whatever the number of groups: the
whole, the group being added, and their difference. Groups that are too large to keep wait in files,
where the run after a kill finds them; small ones are computed again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.features.feature_set import file_stamps
from intertwine.features.rows import nested_subsets
from intertwine.moments.accumulators import AUTO
from intertwine.moments.moments import Moments
from intertwine.passes.moments.joint import add_rows, empty_moments
from intertwine.storage.shelf import Checkpoints, run_key
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from intertwine.features.feature_set import FeatureSet
    from intertwine.moments.accumulators import Products
    from intertwine.numerics.arrays import Array
    from intertwine.parallel.progress import RowProgress
    from intertwine.parallel.workers import Workers

GROUPS = 20
# Groups stay in memory up to this many bytes together. Above it they are written to files, or, where
# a group has no more rows than this, computed again when wanted, which is quicker than a file.
IN_MEMORY_BYTES = 1 << 30
REMADE_ROWS = 1024


def grouped_moments(
    feature_set: FeatureSet,
    names: Sequence[str],
    *,
    n_groups: int = GROUPS,
    products: Products = AUTO,
    workers: Workers | None = None,
    scratch: Path,
    progress: RowProgress | None = None,
) -> MomentGroups:
    """Return the joint moments of random row groups, at least two.

    Every row is read once, or twice where groups are computed again. Groups that are too large to
    keep in memory go into the folder `scratch`, where the run after a kill finds its finished
    groups; remove it when the work is done. `workers` share the parts of a group.
    """
    if n_groups < 2:
        raise InputError(f"got {counted(n_groups, 'row group')}, expected at least 2")
    empty = empty_moments(feature_set, names, products)
    subsets = row_groups(feature_set.id_hashes, n_groups)
    saved = Checkpoints(scratch, _key(feature_set, empty, len(subsets)), "group")
    groups = MomentGroups(empty.copy(), key=saved.key)
    large = 4 * empty.dim * (empty.dim + 1) * len(subsets) > IN_MEMORY_BYTES
    saved.clear()
    done = 0

    def make(subset: Array, report: RowProgress | None = None) -> Moments:
        part = empty.copy()
        add_rows(part, feature_set, subset, workers=workers, progress=report)
        return part

    def report(rows: int, _: int) -> None:
        if progress:
            progress(done + rows, feature_set.n)

    for number, subset in enumerate(subsets):
        if not large:
            groups.add(make(subset, report))
        elif len(subset) <= REMADE_ROWS:
            groups.add_made(make(subset, report), partial(make, subset))
        else:
            path = saved.path(f"{number:03d}")
            part = saved.load(f"{number:03d}", Moments.load)
            if part is None:
                part = make(subset, report)
                part.save(path)
            groups.add(part, path=path)
        done += len(subset)
        report(0, 0)
    return groups


def row_groups(hashes: Array, n_groups: int) -> list[Array]:
    """Return ascending row numbers of disjoint random groups, as the hashes (n,) of the ids decide.

    Sizes differ by at most one; there are at most as many groups as rows.
    """
    n_rows = len(hashes)
    n_groups = min(n_groups, n_rows)
    edges = [n_rows * (k + 1) // n_groups for k in range(n_groups)]
    return nested_subsets(hashes, edges)


def load_groups(paths: Sequence[Path]) -> MomentGroups:
    """Return moments from files: of all rows from one file, of row groups from several.

    Several files are taken as random groups of disjoint rows, which nothing in them can show.
    """
    first = Moments.load(paths[0])
    if len(paths) == 1:
        return MomentGroups(first)
    groups = MomentGroups(Moments(first.spaces.values(), precision=first.precision))
    groups.add(first, path=paths[0])
    for path in paths[1:]:
        groups.add(Moments.load(path), path=path)
    return groups


@dataclass
class MomentGroups:
    """Joint moments of disjoint row groups, and of all rows (`total`).

    `key` distinguishes these rows, spaces, groups and this precision from others; it is empty where
    unknown.
    """

    total: Moments
    sizes: list[int] = field(default_factory=list)
    key: str = ""
    _parts: list[Callable[[], Moments]] = field(default_factory=list, repr=False)

    def add(self, part: Moments, *, path: Path | None = None) -> None:
        """Add one group, which is read again from a file where its path is given."""
        self.add_made(part, (lambda: part) if path is None else (lambda: Moments.load(path)))

    def add_made(self, part: Moments, again: Callable[[], Moments]) -> None:
        """Add one group that is not kept, with a function that computes it again."""
        self.total += part
        self.sizes.append(part.n)
        self._parts.append(again)

    def part(self, group: int) -> Moments:
        """Return the moments of one group."""
        return self._parts[group]()

    def __len__(self) -> int:
        return len(self.sizes)


def _key(feature_set: FeatureSet, empty: Moments, n_groups: int) -> str:
    """Return what distinguishes a set, its rows, spaces, precision and groups from others."""
    spaces = [space.to_json() for space in empty.spaces.values()]
    facts = [file_stamps(feature_set), spaces, empty.precision, feature_set.n, n_groups]
    return run_key(facts, feature_set.id_hashes)
