"""Every probe searched for in the gallery, fold by fold: what each search gave, without a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from intertwine.metrics.ranking import ranks
from intertwine.numerics.arrays import unit_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.features.feature_set import FeatureSet
    from intertwine.numerics.arrays import Array
    from intertwine.studies.linkage.people import People

    # Of a fold: rotates unit rows of probes and templates into one space.
    Bridge = Callable[[int, Array, Array], tuple[Array, Array]]

# Scores held at a time.
CHUNK_SCORES = 4_000_000
# Cosines are counted on this grid over −1 … 1, from which coarser histograms are made.
GRID = 2000


@dataclass
class Searches:
    """What the searches of all folds found, by probe or by person.

    By probe, (n_probes,): `enrolled`, whether its person is in the gallery (the others are
    impostors alone); `ranks`, the rank of its own person in the whole gallery, 0 where not
    enrolled; `mate` and `correct`, the best score while the other half of the fold is withheld, and
    whether it was its own person's; `impostor`, the best score while its own half is withheld, its
    own person included. By person, (n_searched, GRID): `mated` and `non_mated`, counts of the
    scores against own templates and others'. `n_gallery` and `n_templates` are the people and
    templates searched among, the most of any fold.
    """

    enrolled: Array
    ranks: Array
    mate: Array
    correct: Array
    impostor: Array
    mated: Array
    non_mated: Array
    n_gallery: int = 0
    n_templates: int = 0

    @classmethod
    def empty(cls, people: People) -> Searches:
        """Return room for one search a probe."""
        n, n_people = len(people.probes), len(people.searched)
        return cls(
            enrolled=np.isin(people.probes, people.shared),
            ranks=np.zeros(n, np.int64),
            mate=np.zeros(n),
            correct=np.zeros(n, bool),
            impostor=np.zeros(n),
            mated=np.zeros((n_people, GRID), np.int64),
            non_mated=np.zeros((n_people, GRID), np.int64),
        )


def read_units(feature_set: FeatureSet, name: str, rows: Array | None = None) -> Array:
    """Return some or all rows of a space on the unit sphere, (k, d) float64.

    Features that are not finite and vectors of length zero raise an `InputError` that names the
    rows.
    """
    chosen = np.arange(feature_set.n) if rows is None else rows
    features = feature_set.read([name], chosen)[name]
    return unit_rows(features, name=f"{name} of {feature_set}", rows=chosen)


def search(people: People, probes: Array, gallery: Array, bridge: Bridge, known: int) -> Searches:
    """Search for every probe in the fold of its person, among unit rows of the gallery.

    Templates of the first `known` people are left out of the gallery: their link is known, and a
    map fitted on these very templates would draw every probe to them. `bridge` makes probes and
    templates of a fold comparable by cosine.
    """
    searches = Searches.empty(people)
    for fold in range(people.n_folds):
        mine = np.flatnonzero(people.fold[people.probes] == fold)
        templates = np.flatnonzero(~np.isin(people.gallery, people.known(fold, known)))
        # A person's templates are adjacent, so that the best of them is one reduction.
        templates = templates[np.argsort(people.gallery[templates], kind="stable")]
        sources, targets = (_directions(x) for x in bridge(fold, probes[mine], gallery[templates]))
        step = max(1, CHUNK_SCORES // len(templates))
        for start in range(0, len(mine), step):
            scores = sources[start : start + step] @ targets.T  # (chunk, n_templates)
            _count(searches, people, mine[start : start + step], templates, scores)
            _rank(searches, people, mine[start : start + step], templates, scores)
        searches.n_templates = max(searches.n_templates, len(templates))
        searches.n_gallery = max(searches.n_gallery, len(np.unique(people.gallery[templates])))
    return searches


def _directions(rows: Array) -> Array:
    """Return rows of length 1; a map may send a row to zero, which is then like nothing."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, norms, out=np.zeros(rows.shape), where=norms > 0))


def _count(
    searches: Searches, people: People, mine: Array, templates: Array, scores: Array
) -> None:
    """Add scores to the histograms of the probes' people."""
    cells = np.clip((scores + 1) * (GRID / 2), 0, GRID - 1).astype(np.int64)
    is_own = people.gallery[templates] == people.probes[mine][:, None]  # (chunk, n_templates)
    persons = people.place[mine]
    np.add.at(
        searches.mated, (np.broadcast_to(persons[:, None], is_own.shape)[is_own], cells[is_own]), 1
    )
    cells += GRID * np.arange(len(mine))[:, None]
    counts = np.bincount(cells[~is_own], minlength=len(mine) * GRID).reshape(len(mine), GRID)
    enrolled = searches.enrolled[mine]
    np.add.at(searches.non_mated, persons[enrolled], counts[enrolled])


def _rank(searches: Searches, people: People, mine: Array, templates: Array, scores: Array) -> None:
    """Note ranks and best scores of a chunk of probes, all of one fold."""
    persons, starts = np.unique(people.gallery[templates], return_index=True)
    best = np.maximum.reduceat(scores, starts, axis=1)  # (chunk, n_persons)
    own = np.searchsorted(persons, people.probes[mine])
    fold = people.fold[people.probes[mine[0]]]
    for half in (0, 1):
        here = people.half[people.probes[mine]] == half
        rows, part = mine[here], best[here]
        columns = own[here]
        mates = searches.enrolled[rows]
        searches.ranks[rows[mates]] = ranks(part[mates], columns[mates])
        withheld = [
            (people.fold[persons] == fold) & (people.half[persons] == other) for other in (0, 1)
        ]
        among = np.where(withheld[1 - half], -np.inf, part)
        searches.mate[rows] = among.max(axis=1)
        searches.correct[rows[mates]] = ranks(among[mates], columns[mates]) == 1
        searches.impostor[rows] = np.where(withheld[half], -np.inf, part).max(axis=1)
