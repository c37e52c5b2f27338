"""Where the maps of a verification study come from: fitted inside the folds, or from elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from intertwine.errors import InputError
from intertwine.estimators import Fitter, identity
from intertwine.estimators.reduced_rank import rank_path
from intertwine.maps.map_pair import MapPair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intertwine.estimators import FitOptions
    from intertwine.maps.linear_map import LinearMap
    from intertwine.studies.open_set.data import VerificationSet
    from intertwine.studies.open_set.fold_moments import FoldMoments

    AnyMap = LinearMap | MapPair
    Pair = tuple[str, str]
    # By target, and by number where there are several maps of a pair: a rank, or a recipe.
    Target = tuple[str, int | None]
    MapsFrom = Callable[[str], Mapping[Target, AnyMap]]


class Maps(Protocol):
    """Where the maps of a study come from."""

    def without(self, folds: Sequence[int]) -> MapsFrom:
        """Return a function from a source to its maps by target, fitted without some folds."""
        ...


@dataclass(frozen=True)
class FoldMaps:
    """Maps fitted on the other folds' rows; of each of some ranks, where these are listed."""

    moments: FoldMoments
    options: FitOptions
    ranks: tuple[int, ...] = ()

    def without(self, folds: Sequence[int]) -> MapsFrom:
        """Fit without some folds; see `Maps`."""
        rows, options, fitter = self.moments, self.options, Fitter(self.options)
        moments = rows.without(folds)

        def fit(source: str) -> dict[Target, AnyMap]:
            targets = {rows.target(name): name for name in rows.data.names if name != source}
            if not self.ranks:
                fitted = fitter.fit(moments, rows.source(source), targets)
                return {(targets[each], None): fitted[each] for each in targets}
            paths = rank_path(
                moments,
                rows.source(source),
                targets,
                ranks=self.ranks,
                alpha=options.alpha,
                intercept=options.intercept,
            )
            return {(targets[a], rank): m for a, path in paths.items() for rank, m in path.items()}

        return fit


@dataclass(frozen=True)
class ReadyMaps:
    """The same maps for every fold: ready-made ones, or ones fitted on other data."""

    maps: Mapping[Pair, AnyMap]
    notes: Sequence[str] = ()
    # Where they come from, as facts of the study: `fit` and `fit_inputs`.
    origin: Mapping[str, Any] = field(default_factory=dict)

    def without(self, folds: Sequence[int]) -> MapsFrom:
        """Return the maps; see `Maps`."""
        del folds
        return lambda source: {(b, None): each for (a, b), each in self.maps.items() if a == source}

    @classmethod
    def identities(cls, data: VerificationSet) -> ReadyMaps:
        """Return no maps at all: spaces of unequal dimensions are zero-padded or cut."""
        spaces = data.spaces
        pairs = [(a, b) for a in spaces for b in spaces if a != b]
        return cls({(a, b): identity(spaces[a], spaces[b]) for a, b in pairs})

    def require(self, data: VerificationSet) -> None:
        """Raise InputError for a pair without a map, or one whose dimensions are not its spaces'."""
        for a in data.names:
            for b in data.names:
                if a == b:
                    continue
                fitted = self.maps.get((a, b))
                if fitted is None:
                    raise InputError(f"got no map {a}--{b}, expected one of every ordered pair")
                dims = (_side_dim(fitted, 0), _side_dim(fitted, 1))
                expected = (data.spaces[a].dim, data.spaces[b].dim)
                if dims != expected:
                    raise InputError(
                        f"map {a}--{b}: got dimensions {dims}, expected {expected} of these features"
                    )


def _side_dim(fitted: AnyMap, side: int) -> int:
    if isinstance(fitted, MapPair):
        return (fitted.source, fitted.target)[side].source.dim
    return (fitted.source, fitted.target)[side].dim
