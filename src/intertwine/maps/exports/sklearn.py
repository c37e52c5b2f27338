"""A map as a step of a scikit-learn pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import validate_data

from intertwine.numerics.arrays import as_features

if TYPE_CHECKING:
    from intertwine.maps.linear_map import LinearMap
    from intertwine.numerics.arrays import Array


class MapTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Applies a finished map: the first step of a pipeline that was fitted on another model's vectors.

    Parameters
    ----------
    linear_map
        The map. Fitting does not change it.
    """

    def __init__(self, linear_map: LinearMap) -> None:
        self.linear_map = linear_map

    def __sklearn_is_fitted__(self) -> bool:
        """Return True: the map is finished."""
        return True

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the dimension; learn nothing.

        Parameters
        ----------
        X
            (n_samples, d_source) vectors of the map's source.
        y
            Ignored.
        """
        del y
        validate_data(self, X)
        return self

    def transform(self, X: Any) -> Array:
        """Return mapped vectors, (n_samples, d_target), float32 at least."""
        rows = as_features(X, name=f"input of map {self.linear_map.name}")
        return self.linear_map.apply(rows)

    @property
    def _n_features_out(self) -> int:
        return self.linear_map.target.dim
