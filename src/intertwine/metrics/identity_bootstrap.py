"""The bootstrap over people: how often each person, and so each pair of images, is drawn.

Pairs that share a person are not independent, so people are resampled, not pairs. Bolle, Ratha &
Pankanti, *Error analysis of pattern recognition systems — the subsets bootstrap*, Computer Vision
and Image Understanding 93 (2004).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from intertwine.errors import InputError
from intertwine.metrics.intervals import percentile_interval
from intertwine.wording import counted

if TYPE_CHECKING:
    from intertwine.arrays import Array

REPLICATES = 1000


def people_counts(n_people: int, n_replicates: int = REPLICATES, *, seed: int = 0) -> Array:
    """Return how often each person is drawn when as many are drawn as there are, with replacement.

    Parameters
    ----------
    n_people, n_replicates
        Sizes.
    seed
        Of the draws.

    Returns
    -------
    counts
        (n_replicates, n_people) float64; a row sums to n_people.

    Raises
    ------
    InputError
        For nobody, or no replicate.
    """
    if n_people < 1 or n_replicates < 1:
        raise InputError(
            f"got {counted(n_people, 'person', 'people')} and {counted(n_replicates, 'replicate')}, expected at least 1 of each"
        )
    shares = np.full(n_people, 1 / n_people)
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_people, shares, size=n_replicates).astype(np.float64)


def pair_weights(
    first: Array, second: Array, *, n_replicates: int = REPLICATES, seed: int = 0
) -> Array:
    """Return how often each pair of images is in each bootstrap sample of people.

    A matched pair counts as often as its person was drawn, a mismatched one the product of both
    persons' counts: the pigeonhole bootstrap. Owen, *The pigeonhole bootstrap*, Annals of Applied
    Statistics 1 (2007); Owen & Eckles, *Bootstrapping data arrays of arbitrary order*, Annals of
    Applied Statistics 6 (2012).

    Parameters
    ----------
    first, second
        (n_pairs,) who is on each side of a pair; equal means matched.
    n_replicates
        Bootstrap samples.
    seed
        Of the draws.

    Returns
    -------
    weights
        (n_replicates, n_pairs) float64, for `intertwine.metrics.verification`.

    Raises
    ------
    InputError
        For sides of different lengths, or no pair.
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.ndim != 1 or first.shape != second.shape:
        raise InputError(
            f"got people {first.shape} and {second.shape}, expected (n_pairs,) on both sides"
        )
    people, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    counts = people_counts(len(people), n_replicates, seed=seed)
    left, right = place[: len(first)], place[len(first) :]
    weights = counts[:, left]
    np.multiply(weights, counts[:, right], out=weights, where=left != right)
    return weights


def bootstrap_interval(draws: Array, n_replicates: int) -> tuple[float, float] | None:
    """Return the percentile interval of the replicates that are defined.

    Parameters
    ----------
    draws
        (n_defined,) the score of each replicate that has one.
    n_replicates
        How many there were; None where under half of them are defined.
    """
    if len(draws) == 0 or 2 * len(draws) < n_replicates:
        return None
    return percentile_interval(draws)
