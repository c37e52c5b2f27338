"""What a verification study works on: unit features of the images that the pairs name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from intertwine.arrays import unit_rows
from intertwine.errors import InputError
from intertwine.images.pairs import image_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.arrays import Array
    from intertwine.features.feature_set import FeatureSet
    from intertwine.images.pairs import PairList
    from intertwine.spaces import Space


@dataclass(frozen=True)
class VerificationSet:
    """Features on the unit sphere of the images that a list of pairs names, and the pairs.

    Parameters
    ----------
    features
        (n_images, d) float64 by space, each row of norm 1.
    spaces
        The spaces.
    first, second
        (n_pairs,) row numbers of the two images of each pair.
    same
        (n_pairs,) bool.
    fold
        (n_pairs,) int64, 0 … n_folds − 1.
    person
        (n_images,) int64: who is shown, as far as that is known.
    info
        What extraction recorded of each space.
    notes
        What a reader should know.
    """

    features: dict[str, Array]
    spaces: dict[str, Space]
    first: Array
    second: Array
    same: Array
    fold: Array
    person: Array
    info: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, feature_set: FeatureSet, pairs: PairList) -> VerificationSet:
        """Read the features of the images that the pairs name.

        Raises
        ------
        InputError
            When a pair names an id that the set lacks or has twice, or a row is of length zero, NaN
            or infinite.
        """
        names = list(dict.fromkeys([*pairs.first, *pairs.second]))
        at = {name: i for i, name in enumerate(names)}
        rows = _rows_of(feature_set, names, pairs)
        first, second = (
            np.array([at[name] for name in side]) for side in (pairs.first, pairs.second)
        )
        person, notes = _people(feature_set, pairs, names, rows, first, second)
        order = np.argsort(rows)  # files are read in ascending order
        inverse = np.argsort(order)
        features = feature_set.read(feature_set.spaces, rows[order])
        data = cls(
            {
                name: unit_rows(part, name=name, rows=rows[order])[inverse]
                for name, part in features.items()
            },
            dict(feature_set.spaces),
            first,
            second,
            pairs.same,
            pairs.fold,
            person,
            feature_set.info,
            [*feature_set.notes, *notes],
        )
        shared = int((data.in_folds().sum(axis=1) > 1).sum())
        if shared:
            data.notes.append(
                f"{shared} of {data.n_people} people stand in several folds: fitting on images leaves "
                "a test fold's people out, fitting on matched pairs does not, and accuracy is then "
                "optimistic"
            )
        return data

    @property
    def names(self) -> list[str]:
        """Names of the spaces."""
        return list(self.spaces)

    @property
    def n_folds(self) -> int:
        """Number of folds."""
        return int(self.fold.max()) + 1

    @property
    def n_images(self) -> int:
        """Number of images that the pairs name."""
        return len(self.person)

    @property
    def n_people(self) -> int:
        """Number of people shown."""
        return int(self.person.max()) + 1

    def in_folds(self) -> Array:
        """Return which folds name each person's images, (n_people, n_folds) bool."""
        present = np.zeros((self.n_people, self.n_folds), bool)
        present[self.person[self.first], self.fold] = True
        present[self.person[self.second], self.fold] = True
        return present


def _rows_of(feature_set: FeatureSet, names: Sequence[str], pairs: PairList) -> Array:
    """Return the row of each id."""
    if feature_set.has_ids:
        text = (feature_set.paths[0] / "ids.txt").read_text(encoding="utf-8")
        keys = [image_key(line) for line in text.splitlines()]
    else:
        keys = [str(row) for row in range(feature_set.n)]
    rows: dict[str, list[int]] = {}
    for row, key in enumerate(keys):
        rows.setdefault(key, []).append(row)
    absent = [name for name in names if name not in rows]
    if absent:
        hint = "" if feature_set.has_ids else "; it has no ids.txt, so its ids are row numbers"
        raise InputError(
            f"{pairs.path}: names {len(absent)} of {len(names)} images that {feature_set} lacks, such "
            f"as {absent[0]!r}{hint}"
        )
    for name in names:
        if len(rows[name]) > 1:
            raise InputError(
                f"{feature_set}: {len(rows[name])} rows have the id {name!r} when folders and "
                "extensions are ignored, expected one"
            )
    return np.array([rows[name][0] for name in names])


def _people(
    feature_set: FeatureSet,
    pairs: PairList,
    names: Sequence[str],
    rows: Array,
    first: Array,
    second: Array,
) -> tuple[Array, list[str]]:
    """Return the person of each image: as the pairs name them, as labelled, or as pairs connect."""
    if pairs.people is not None:
        known = [pairs.people[name] for name in names]
        return np.unique(known, return_inverse=True)[1], []
    if feature_set.labels is not None:
        person = np.unique(feature_set.labels[rows], return_inverse=True)[1]
        if np.array_equal(person[first] == person[second], pairs.same):
            return person, []
    linked = coo_array(
        (np.ones(int(pairs.same.sum())), (first[pairs.same], second[pairs.same])),
        shape=(len(names), len(names)),
    )
    person = connected_components(linked, directed=False)[1].astype(np.int64)
    if (person[first] == person[second])[~pairs.same].any():
        raise InputError(
            f"{pairs.path}: mismatched pairs join images that matched pairs say show one person"
        )
    why = "without labels" if feature_set.labels is None else "whose labels contradict the pairs"
    return person, [
        (
            f"a set {why}: images count as one person's where matched pairs connect them, so intervals may "
            "be too narrow"
        )
    ]
