"""Each measure of similarity of two arrays as one number, that of the similarity study.

Rows are samples, and row i of both arrays is the same sample. The numbers are those of
`intertwine.similarity(x, y)`, which adds intervals and what unrelated spaces score.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from intertwine import estimators
from intertwine.arrays.pair import NAMES, feature_set_of
from intertwine.errors import InputError
from intertwine.moments.moments import Moments
from intertwine.passes.moments.groups import GROUPS, grouped_moments
from intertwine.passes.moments.joint import joint_moments
from intertwine.similarity import canonical, neighbours, shape
from intertwine.similarity.canonical import VARIANCE
from intertwine.similarity.cka import linear_cka
from intertwine.similarity.moment_measures import SpectraOf
from intertwine.similarity.predictivity import fold
from intertwine.similarity.rsa import rsa as rsa_of_rows
from intertwine.similarity.spectrum import Spectrum
from intertwine.studies.similarity.estimates import predictivity
from intertwine.studies.similarity.row_sample import SAMPLE_ROWS, sampled_views

if TYPE_CHECKING:
    from collections.abc import Iterable

    from intertwine.maps.map_pair import MapPair
    from intertwine.similarity.estimate import Estimate
    from intertwine.similarity.pairwise import RowView
    from intertwine.similarity.rsa import Dissimilarity


def cka(x: Any, y: Any, *, debiased: bool = False) -> float:
    """Return linear centred kernel alignment (CKA) of two arrays.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample.
    debiased
        Whether to use the unbiased estimate, which unrelated spaces score 0 by on average; it may
        be negative. The plain one nears 1 for any two spaces where n is small beside d.

    Returns
    -------
    cka
        1 for arrays equal up to shift, rotation and one scale; larger is more similar.

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite or differ in rows, and arrays that do not vary.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0], [3.0, 1.0]])
    >>> round(cka(x, 2 * x[:, ::-1] + 1), 6)
    1.0
    """
    return linear_cka(_moments(x, y), *NAMES, debiased=debiased)


@overload
def cca(x: Any, y: Any, *, alpha: float = 0.0) -> float: ...
@overload
def cca(
    moments: Moments,
    source: str,
    targets: Iterable[str],
    *,
    alpha: float | str = 1.0,
    power: float = 1.0,
    rank: int | None = None,
) -> dict[str, MapPair]: ...
def cca(*args: Any, **kwargs: Any) -> float | dict[str, MapPair]:
    """Return the mean canonical correlation of two arrays; of moments, pairs of maps.

    Called `cca(moments, source, targets, …)`, it fits the map pairs of
    `intertwine.estimators.cca`, as before.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample.
    alpha
        λ ≥ 0 added to both scatters; 0 is plain CCA.

    Returns
    -------
    cca
        The mean of the min(rank x, rank y) canonical correlations, 0 … 1; larger is more similar.
        Where n − 1 is no larger than a rank it is 1, always.

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite or differ in rows, arrays that do not vary, and a
        bad λ.
    """
    first = args[0] if args else kwargs.get("moments")
    if isinstance(first, Moments):
        return estimators.cca(*args, **kwargs)
    return _mean_correlation(*args, **kwargs)


def _mean_correlation(x: Any, y: Any, *, alpha: float = 0.0) -> float:
    return canonical.cca_mean(_moments(x, y), *NAMES, alpha=alpha)


def svcca(x: Any, y: Any, *, variance: float = VARIANCE) -> float:
    """Return singular vector CCA of two arrays.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample.
    variance
        Share of each array's variance that its leading components hold, above 0 and at most 1.

    Returns
    -------
    svcca
        The mean canonical correlation of these components, 0 … 1; larger is more similar.

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite or differ in rows, arrays that do not vary, and
        a share outside 0 … 1.
    """
    return canonical.svcca(_moments(x, y), *NAMES, variance=variance)


def pwcca(x: Any, y: Any, *, alpha: float = 0.0) -> float:
    """Return projection-weighted CCA of two arrays, the weights taken from x.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample. Exchanged,
        they score differently.
    alpha
        λ ≥ 0 added to both scatters.

    Returns
    -------
    pwcca
        0 … 1; larger is more similar.

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite or differ in rows, arrays that do not vary, and
        where equal correlations leave the weights undetermined, as with few rows.
    """
    return canonical.pwcca(_moments(x, y), *NAMES, alpha=alpha)


def procrustes_distance(x: Any, y: Any, *, angular: bool = True) -> float:
    """Return the Procrustes distance of two arrays, one of which may be rotated.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample.
    angular
        Whether to return the angle, which ignores scale; else the least Σ‖(x − μ_x)Q − (y − μ_y)‖²
        over orthogonal Q, in the arrays' own units.

    Returns
    -------
    distance
        The angle in radians, 0 … π/2, or the sum of squares; smaller is more similar.

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite or differ in rows, and arrays that do not vary.
    """
    measure = shape.angular_distance if angular else shape.procrustes_distance
    return measure(_moments(x, y), *NAMES)


def r2(x: Any, y: Any, *, groups: int = GROUPS, ids: Any = None) -> float:
    """Return how well ridge maps predict y from x on rows that they were not fitted on.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample. Exchanged,
        they score differently.
    groups
        Groups of rows, at least two: each is predicted by a map that was fitted on the others, λ by
        generalised cross-validation there.
    ids
        (n,) ids that decide the groups; row numbers when omitted.

    Returns
    -------
    r2
        1 − Σ‖y − ŷ‖² / Σ‖y − mean(y)‖²: 1 for a perfect prediction, 0 for one no better than the
        mean, negative for a worse one.

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite or differ in rows, a y that does not vary, and
        too few rows.
    """
    feature_set = feature_set_of(x, y, ids=ids)
    with TemporaryDirectory(prefix="intertwine-") as scratch:
        parts = grouped_moments(feature_set, NAMES, n_groups=groups, scratch=Path(scratch))
        target = Spectrum.of(parts.total, "y")
        folds = []
        for group in range(len(parts)):
            part = parts.part(group)
            rest = parts.total - part
            known = SpectraOf.of(rest, ["x"]).spectra.get("x")
            folds.append(fold(rest, part, "x", ["y"], spectrum=known)["y"])
        return _score(predictivity(target, folds, np.array(parts.sizes, np.float64)))


def mutual_knn(
    x: Any, y: Any, *, k: int | None = None, sample: int = SAMPLE_ROWS, ids: Any = None
) -> float:
    """Return the share of nearest neighbours that two arrays have in common.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample.
    k
        Neighbours of a row, 1 … m − 1; min(10, (m − 1)//2) when omitted.
    sample
        Of more rows than this, m = `sample` are drawn at random, always the same ones.
    ids
        (n,) ids that decide the sample; row numbers when omitted.

    Returns
    -------
    mutual_knn
        0 … 1; larger is more similar. Unrelated arrays score k/(m − 1).

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite, differ in rows or are constant, a k or a sample
        outside its range, and fewer than 3 rows.
    """
    return _score(neighbours.mutual_knn(*_views(x, y, sample, ids), k=k))


def rsa(
    x: Any,
    y: Any,
    *,
    dissimilarity: Dissimilarity = "euclidean",
    sample: int = SAMPLE_ROWS,
    ids: Any = None,
) -> float:
    """Return representational similarity analysis: whether two arrays order pairs of rows alike.

    Parameters
    ----------
    x, y
        (n, d_x) and (n, d_y) arrays of any library; row i of both is the same sample.
    dissimilarity
        Of two rows: `euclidean`, or `correlation`, 1 − Pearson's correlation over the features.
    sample
        Of more rows than this, as many are drawn at random, always the same ones; of more than
        1,000 of these, 1,000.
    ids
        (n,) ids that decide the sample; row numbers when omitted.

    Returns
    -------
    rsa
        Spearman's correlation of the dissimilarities of all pairs of rows, −1 … 1; larger is more
        similar.

    Raises
    ------
    InputError
        For arrays that are not (n, d), not finite or differ in rows, dissimilarities that are all
        equal, an unknown dissimilarity, and fewer than 3 rows.
    """
    return _score(rsa_of_rows(*_views(x, y, sample, ids), dissimilarity=dissimilarity))


def _moments(x: Any, y: Any) -> Moments:
    return joint_moments(feature_set_of(x, y))


def _views(x: Any, y: Any, sample: int, ids: Any) -> tuple[RowView, RowView]:
    views = sampled_views(feature_set_of(x, y, ids=ids), NAMES, rows=sample)
    return views["x"], views["y"]


def _score(estimate: Estimate) -> float:
    """Return the score; InputError, with the reason, where it is undefined."""
    if estimate.score is None:
        raise InputError("; ".join(estimate.reasons))
    return estimate.score
