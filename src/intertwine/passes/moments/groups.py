"""The pass that turns a feature set into moments of random row groups, which add up to the whole.

One group after another, so that memory holds three joint moments whatever the number of groups: the
whole, the group in hand, and their difference. Groups that are too large to keep wait in files,
where a killed run finds them again; small ones are made again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from intertwine.errors import FileFormatError, InputError
from intertwine.features.feature_set import file_stamps
from intertwine.features.rows import nested_subsets
from intertwine.moments.moments import Moments
from intertwine.passes.moments.joint import add_rows, empty_moments
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array
    from intertwine.parallel.workers import Workers

GROUPS = 20
# Groups stay in memory up to this many bytes together. Above it they are written to files, or, where
# a group has no more rows than this, made again when wanted, which is quicker than a file.
IN_MEMORY_BYTES = 1 << 30
REMADE_ROWS = 1024


@dataclass
class MomentGroups:
    """Joint moments of disjoint row groups, and of all rows.

    Parameters
    ----------
    total
        Moments of all rows.
    sizes
        Rows of each group.
    key
        Tells these rows, spaces, groups and this precision from others; empty where unknown.
    """

    total: Moments
    sizes: list[int] = field(default_factory=list)
    key: str = ""
    _parts: list[Callable[[], Moments]] = field(default_factory=list, repr=False)

    def add(self, part: Moments, *, path: Path | None = None) -> None:
        """Add one group; where a path is given it is kept there and not in memory."""
        if path is not None and not path.exists():
            part.save(path)
        self.add_made(part, (lambda: part) if path is None else (lambda: Moments.load(path)))

    def add_made(self, part: Moments, again: Callable[[], Moments]) -> None:
        """Add one group that is not kept, with what makes it again."""
        self.total += part
        self.sizes.append(part.n)
        self._parts.append(again)

    def part(self, group: int) -> Moments:
        """Return the moments of one group."""
        return self._parts[group]()

    def __len__(self) -> int:
        return len(self.sizes)


def row_groups(hashes: Array, n_groups: int) -> list[Array]:
    """Return disjoint random groups of nearly equal size, decided by the hashes of the rows' ids.

    Parameters
    ----------
    hashes
        (n,) uint64 of the rows.
    n_groups
        How many; as many as there are rows where these are fewer.

    Returns
    -------
    groups
        Ascending row numbers of each; sizes differ by at most one.
    """
    n_rows = len(hashes)
    n_groups = min(n_groups, n_rows)
    edges = [n_rows * (k + 1) // n_groups for k in range(n_groups)]
    return nested_subsets(hashes, edges)


def grouped_moments(
    feature_set: FeatureSet,
    names: Sequence[str],
    *,
    n_groups: int = GROUPS,
    precision: str = "auto",
    device: str = "cpu",
    workers: Workers | None = None,
    scratch: Path,
    progress: Callable[[int, int], None] | None = None,
) -> MomentGroups:
    """Return the joint moments of random row groups.

    Every row is read once, or twice where groups are made again.

    Parameters
    ----------
    feature_set
        The set.
    names
        The spaces.
    n_groups
        How many groups.
    precision
        `auto`, `float64`, `float32` or `fast`.
    device
        Where products are taken: `cpu`, `cuda` or `cuda:N`.
    workers
        Where the parts of a group are worked out; here when omitted.
    scratch
        Folder for groups that are too large to keep in memory, made only then. A run that was
        killed finds its finished groups there; `files.forget` it when the work is done.
    progress
        Called with (rows done, rows in all).

    Raises
    ------
    InputError
        For fewer than two groups, an unknown space, or NaN or infinite features.
    """
    if n_groups < 2:
        raise InputError(f"got {counted(n_groups, 'row group')}, expected at least 2")
    empty = empty_moments(feature_set, names, precision=precision, device=device)
    subsets = row_groups(feature_set.id_hashes, n_groups)
    groups = MomentGroups(empty.copy(), key=_key(feature_set, empty, len(subsets)))
    large = 4 * empty.dim * (empty.dim + 1) * len(subsets) > IN_MEMORY_BYTES
    _drop_others(scratch, groups.key)
    done = 0

    def make(subset: Array, report: Callable[[int, int], None] | None = None) -> Moments:
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
            path = scratch / f"group-{groups.key}-{number:03d}.safetensors"
            groups.add(_kept(path) or make(subset, report), path=path)
        done += len(subset)
        report(0, 0)
    return groups


def _key(feature_set: FeatureSet, empty: Moments, n_groups: int) -> str:
    """Return what tells a set, its rows, spaces, precision and groups from others."""
    spaces = [space.to_json() for space in empty.spaces.values()]
    facts = [file_stamps(feature_set), spaces, empty.precision, feature_set.n, n_groups]
    digest = hashlib.sha256(json.dumps(facts).encode() + feature_set.id_hashes.tobytes())
    return digest.hexdigest()[:16]


def _drop_others(scratch: Path, key: str) -> None:
    """Remove what runs over other rows left in the folder."""
    for kind in ("group-*.safetensors", "without-*.json"):
        for stale in scratch.glob(kind):
            if key not in stale.name:
                stale.unlink()


def _kept(path: Path) -> Moments | None:
    """Return the moments that an earlier run kept, or None where there are none that are whole."""
    if not path.exists():
        return None
    try:
        return Moments.load(path)
    except FileFormatError:
        path.unlink()
        return None


def load_groups(paths: Sequence[Path]) -> MomentGroups:
    """Return moments from files: of all rows from one file, of row groups from several.

    Parameters
    ----------
    paths
        Files that `Moments.save` wrote, over disjoint rows of the same spaces. They are taken as
        random groups of the rows; that they are is for whoever made them to say.

    Raises
    ------
    InputError
        When the files hold different spaces.
    FileFormatError
        When a file is altered, cut, or no file of moments.
    """
    first = Moments.load(paths[0])
    if len(paths) == 1:
        return MomentGroups(first)
    groups = MomentGroups(Moments(first.spaces.values(), precision=first.precision))
    groups.add(first, path=paths[0])
    for path in paths[1:]:
        groups.add(Moments.load(path), path=path)
    return groups
