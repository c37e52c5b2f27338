"""Thin scikit-learn faces over the functions of this package: the same maps, from X and Y.

Each estimator keeps its rows as `Moments`, so `partial_fit` is exact: however the rows are split,
the map is that of all rows since `fit` or the first `partial_fit`. Nothing else in the package
imports this module, nor scikit-learn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted, validate_data

from intertwine.errors import InputError
from intertwine.estimators.cca import cca
from intertwine.estimators.procrustes import procrustes
from intertwine.estimators.reduced_rank import reduced_rank
from intertwine.estimators.ridge import ridge
from intertwine.moments.moments import Moments
from intertwine.numerics.arrays import as_features

if TYPE_CHECKING:
    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array

_FLOATS = [np.float64, np.float32, np.float16]


class _MapRegressor(RegressorMixin, MultiOutputMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """What the estimators share: rows into moments, moments into a map, a map into predictions."""

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the map to these rows alone.

        Parameters
        ----------
        X
            (n_samples, n_features) features of the source.
        y
            (n_samples, n_targets) features of the target, or (n_samples,).

        Returns
        -------
        self
            The fitted estimator.
        """
        return self._add(X, y, reset=True)

    def partial_fit(self, X: Any, y: Any) -> Self:
        """Add rows, of the shapes that `fit` takes, and fit the map to all since the last `fit`.

        A map needs two rows; before the second the estimator counts as not fitted.
        """
        return self._add(X, y, reset=not hasattr(self, "moments_"), min_samples=1)

    def predict(self, X: Any) -> Array:
        """Map (n_samples, n_features) features to (n_samples, n_targets).

        After a fit to one-dimensional y the result is (n_samples,).
        """
        rows = self._source_rows(X)
        predicted: Array = self.map_.apply(rows)
        return predicted[:, 0] if self._flat else predicted

    def _source_rows(self, X: Any) -> Array:
        check_is_fitted(self, "map_")
        return np.asarray(validate_data(self, X, reset=False, dtype=_FLOATS))

    def _add(self, X: Any, y: Any, *, reset: bool, min_samples: int = 2) -> Self:
        X, y = validate_data(
            self,
            X,
            y,
            reset=reset,
            multi_output=True,
            y_numeric=True,
            dtype=_FLOATS,
            ensure_min_samples=min_samples,
        )
        flat = y.ndim == 1
        targets = as_features(y[:, None] if flat else y, name="y")
        if reset:
            self.moments_ = Moments({"X": X.shape[1], "y": targets.shape[1]}, precision="float64")
            self._flat = flat
        elif (flat, targets.shape[1]) != (self._flat, self.moments_.spaces["y"].dim):
            raise InputError(
                f"got y of shape {y.shape}, expected the same number of targets and of dimensions "
                "as before; call fit to start again"
            )
        self.moments_.update({"X": X, "y": targets})
        if self.moments_.n >= 2:
            self.map_ = self._solve()
            weight, bias = self.map_.weight, self.map_.bias
            self.coef_ = weight[0] if flat else weight
            self.intercept_ = float(bias[0]) if flat else bias
        return self

    @abstractmethod
    def _solve(self) -> LinearMap:
        """Fit the map to the moments, and keep what else was learnt."""


class RidgeMap(_MapRegressor):
    """Ridge regression: minimises Σ‖M x + b − y‖² + λ‖M‖²_F.

    Parameters
    ----------
    alpha
        λ: a number of at least 0 (0 is minimum-norm least squares), `gcv` for one λ chosen by
        generalised cross-validation, or `gcv-per-target` for one a target.
    intercept
        `free`, `homogeneous` or `none`.
    alphas
        (n_alphas,) the grid of λ that GCV searches; when None it follows the scale of X.

    Attributes
    ----------
    coef_
        (n_targets, n_features) weight M, or (n_features,) after a fit to one-dimensional y.
    intercept_
        (n_targets,) bias b, or a number.
    alpha_
        λ; the median where each target has its own.
    notes_
        Notes on the fit: a λ at an edge of the grid, a rank below the dimension.
    map_
        The map as a `LinearMap` from space X to space y.
    moments_
        The joint `Moments` of X and y.
    n_features_in_
        Number of features of X.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]])
    >>> RidgeMap(alpha=0).fit(X, X @ [1.0, 2.0] + 3.0).predict([[1.0, 1.0]]).round(6)
    array([6.])
    """

    def __init__(
        self,
        alpha: float | str = 1.0,
        *,
        intercept: str = "free",
        alphas: Array | None = None,
    ) -> None:
        self.alpha = alpha
        self.intercept = intercept
        self.alphas = alphas

    def _solve(self) -> LinearMap:
        fitted = ridge(
            self.moments_,
            "X",
            ["y"],
            alpha=self.alpha,
            intercept=self.intercept,
            alphas=self.alphas,
        )["y"]
        self.notes_ = _notes(fitted)
        self.alpha_ = fitted.info["alpha"]
        return fitted


class ReducedRankMap(_MapRegressor):
    """Reduced-rank ridge regression: the best map of limited rank.

    Parameters
    ----------
    rank
        The rank, at least 1, or `gcv`.
    alpha
        λ: a number of at least 0, or `gcv`.
    intercept
        `free`, `homogeneous` or `none`.

    Attributes
    ----------
    rank_
        Rank of the map.
    coef_, intercept_, alpha_, notes_, map_, moments_, n_features_in_
        As those of `RidgeMap`.
    """

    def __init__(
        self, rank: int | str = "gcv", *, alpha: float | str = 1.0, intercept: str = "free"
    ) -> None:
        self.rank = rank
        self.alpha = alpha
        self.intercept = intercept

    def _solve(self) -> LinearMap:
        fitted = reduced_rank(
            self.moments_, "X", ["y"], rank=self.rank, alpha=self.alpha, intercept=self.intercept
        )["y"]
        self.notes_ = _notes(fitted)
        self.alpha_, self.rank_ = fitted.info["alpha"], fitted.info["map_rank"]
        return fitted


class ProcrustesMap(_MapRegressor):
    """Orthogonal Procrustes: the rotation (or projection, or embedding) that aligns X with y best.

    Parameters
    ----------
    scale
        Whether to fit one positive scale too.
    intercept
        `free` or `none`.

    Attributes
    ----------
    scale_
        The scale, 1 when none was asked for.
    coef_, intercept_, map_, moments_, n_features_in_
        As those of `RidgeMap`.
    """

    def __init__(self, *, scale: bool = False, intercept: str = "free") -> None:
        self.scale = scale
        self.intercept = intercept

    def _solve(self) -> LinearMap:
        fitted = procrustes(self.moments_, "X", ["y"], scale=self.scale, intercept=self.intercept)[
            "y"
        ]
        self.scale_ = fitted.info["scale"]
        return fitted

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True  # a rotation fits no arbitrary y
        return tags


class CCAMap(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _MapRegressor):  # type: ignore[misc]
    """Canonical correlation analysis: X and y into one shared space, and X through it into y.

    Parameters
    ----------
    rank
        Number of shared coordinates; as many as both sides have when None.
    alpha
        λ of both sides, at least 0.
    power
        Each shared coordinate is weighted by its canonical correlation to this power.

    Attributes
    ----------
    pair_
        The `MapPair` into the shared space; `map_` leads through it from X to y.
    correlations_
        (n_components,) canonical correlations.
    coef_, intercept_, alpha_, map_, moments_, n_features_in_
        As those of `RidgeMap`.
    """

    def __init__(self, rank: int | None = None, *, alpha: float = 1.0, power: float = 1.0) -> None:
        self.rank = rank
        self.alpha = alpha
        self.power = power

    def _solve(self) -> LinearMap:
        self.pair_ = cca(
            self.moments_, "X", ["y"], alpha=self.alpha, power=self.power, rank=self.rank
        )["y"]
        self.alpha_ = float(self.alpha)
        self.correlations_ = np.array(self.pair_.source.info["correlations"])
        return self.pair_.to_map()

    def transform(self, X: Any) -> Array:
        """Return features of the source in the shared space, (n_samples, n_components)."""
        rows = self._source_rows(X)
        return self.pair_.source.apply(rows)

    def transform_target(self, y: Any) -> Array:
        """Return features of the target in the shared space, (n_samples, n_components)."""
        check_is_fitted(self, "map_")
        rows: Array = np.asarray(y)
        return self.pair_.target.apply(rows[:, None] if rows.ndim == 1 else rows)

    @property
    def _n_features_out(self) -> int:
        return len(self.correlations_)


def _notes(fitted: LinearMap) -> list[str]:
    """Return the notes of a map, with a parameter's name in place of the command's option."""
    return [note.replace("--alphas", "alphas") for note in fitted.info["notes"]]
