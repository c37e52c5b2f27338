"""What a verification study works on: unit features of the images that the pairs name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from intertwine.errors import Doubt, InputError
from intertwine.features.rows import content_hashes
from intertwine.inputs.images.faces.cache import faceless, faceless_note
from intertwine.inputs.images.image_ids import ImageIds, is_one_image
from intertwine.numerics.arrays import unit_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array
    from intertwine.spaces import Space
    from intertwine.studies.open_set.pairs import PairList


@dataclass(frozen=True)
class VerificationSet:
    """Features on the unit sphere of the images that a list of pairs names, and the pairs.

    `features` are (n_images, d) float64 by space, each row of norm 1; `first` and `second`
    (n_pairs,) row numbers of each pair's images; `same` and `fold` (n_pairs,); `person` (n_images,)
    int64, who is shown as far as that is known; `info` what extraction recorded of each space.
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

        An id that the set lacks or has twice, and a row of length zero, NaN or infinite, raise
        InputError.
        """
        row_of, notes = _rows_of(feature_set, pairs)
        named: dict[int, str] = {}
        for name, row in row_of.items():
            named.setdefault(row, name)
        names, rows = list(named.values()), np.array(list(named))
        at = {row: i for i, row in enumerate(rows.tolist())}
        first, second = (
            np.array([at[row_of[name]] for name in side]) for side in (pairs.first, pairs.second)
        )
        notes += [*_easy_pairs(pairs, first, second), *_without_face(feature_set, rows)]
        person, why = _people(feature_set, pairs, names, rows, first, second)
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
            [*feature_set.notes, *notes, *why],
        )
        data.notes.extend(_equal_pairs(data))
        shared = int((data.in_folds().sum(axis=1) > 1).sum())
        if shared:
            data.notes.append(
                Doubt(
                    f"{shared} of {data.n_people} people stand in several folds: fitting on images leaves "
                    "a test fold's people out, fitting on matched pairs does not, and accuracy is then "
                    "optimistic"
                )
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


def _rows_of(feature_set: FeatureSet, pairs: PairList) -> tuple[dict[str, int], list[str]]:
    """Return the row of each id of a list, and what a reader should know of how it was found."""
    names = list(dict.fromkeys([*pairs.first, *pairs.second]))
    ids = ImageIds(feature_set.ids())
    found = ids.find(names) if feature_set.has_ids else ids.find_whole(names)
    notes: list[str] = []
    if feature_set.has_ids and not any(found.values()):
        below = ids.find_below_roots(names)
        if all(len(rows) == 1 for rows in below.values()):
            found = below
            notes.append(
                Doubt(
                    f"the folders of {pairs.path.name} are not those of {feature_set}: {names[0]!r} is "
                    f"taken to be {ids.ids[found[names[0]][0]]!r}, and so on"
                )
            )
    _require_found(feature_set, pairs, found, ids)
    rows = {name: found[name][0] for name in names}
    _require_apart(pairs, rows, ids)
    return rows, notes


def _require_found(
    feature_set: FeatureSet, pairs: PairList, found: dict[str, list[int]], ids: ImageIds
) -> None:
    absent = [name for name, rows in found.items() if not rows]
    if absent:
        hint = "" if feature_set.has_ids else "; it has no ids.txt, so its ids are row numbers"
        raise InputError(
            f"{pairs.path}: names {len(absent)} of {len(found)} images that {feature_set} lacks, such "
            f"as {absent[0]!r}; an id that it has is {ids.like(absent[0])!r}{hint}"
        )
    for name, rows in found.items():
        if len(rows) > 1:
            one, another = (ids.ids[row] for row in rows[:2])
            raise InputError(
                f"{pairs.path}: {name!r} may be {len(rows)} rows of {feature_set}, such as {one!r} and "
                f"{another!r}; write whole ids"
            )


def _require_apart(pairs: PairList, rows: dict[str, int], ids: ImageIds) -> None:
    """Raise when ids of a list that are two images would be one row."""
    first: dict[int, str] = {}
    for name, row in rows.items():
        other = first.setdefault(row, name)
        if not is_one_image(name, other):
            raise InputError(
                f"{pairs.path}: {other!r} and {name!r} would both be row {ids.ids[row]!r}, expected a "
                "row each; write whole ids"
            )


def _easy_pairs(pairs: PairList, first: Array, second: Array) -> list[str]:
    """Return doubts about pairs of an image with itself, and about pairs that are listed twice."""
    notes: list[str] = []
    alike = int((first == second).sum())
    if alike:
        notes.append(
            Doubt(
                f"{alike} of {int(pairs.same.sum())} matched pairs compare an image with itself: they "
                "are right whatever the network, so rates are too good"
            )
        )
    unordered = np.sort(np.column_stack([first, second]), axis=1)
    again = len(unordered) - len(np.unique(unordered, axis=0))
    if again:
        notes.append(f"{again} of {len(first)} pairs are listed twice and count twice")
    return notes


def _equal_pairs(data: VerificationSet) -> list[str]:
    """Return a doubt about pairs of two images with the same features, if there are any."""
    equal = data.first != data.second
    for features in data.features.values():
        hashes = content_hashes(features)
        equal &= hashes[data.first] == hashes[data.second]
    if not equal.any():
        return []
    return [
        Doubt(
            f"{equal.sum()} of {len(equal)} pairs compare two images whose features are the same, number "
            "by number: is one image in the set under two ids, or do images show no face?"
        )
    ]


def _without_face(feature_set: FeatureSet, rows: Array) -> list[str]:
    """Return a doubt about the images of pairs in which no face was found, if there are any."""
    known, notes = faceless(feature_set.paths)
    if not known or not feature_set.has_ids:
        return notes
    ids = feature_set.ids()
    return [*notes, *faceless_note([ids[row] for row in rows], known, "images of these pairs")]


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
        (str if feature_set.labels is None else Doubt)(
            f"a set {why}: images count as one person's where matched pairs connect them, so intervals may "
            "be too narrow"
        )
    ]
