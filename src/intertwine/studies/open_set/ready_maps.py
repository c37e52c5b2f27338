"""Maps for verification from elsewhere: a folder of map files, or another feature set to fit on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.estimators import FitOptions, Fitter
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import MapPair
from intertwine.moments.moments import Moments
from intertwine.numerics.arrays import unit_rows
from intertwine.storage.files import read_header

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from intertwine.features.feature_set import FeatureSet

    Maps = dict[tuple[str, str], LinearMap | MapPair]


def holds_maps(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds map files, `SOURCE--TARGET.safetensors`."""
    return any(Path(path).glob("*--*.safetensors"))


def read_maps(folder: str | os.PathLike[str], names: Sequence[str]) -> Maps:
    """Read the map of every ordered pair of spaces from a folder that `intertwine fit` wrote."""
    maps: Maps = {}
    for source in names:
        for target in names:
            path = Path(folder) / f"{source}--{target}.safetensors"
            if source == target:
                continue
            if not path.is_file():
                raise InputError(f"{folder}: got no {path.name}, expected a map of every pair")
            kind = MapPair if read_header(path).get("kind") == "map pair" else LinearMap
            maps[source, target] = kind.load(path)
    return maps


def fit_on_units(
    feature_set: FeatureSet,
    names: Sequence[str],
    options: FitOptions,
    *,
    progress: Callable[[str, int, int], None],
) -> Maps:
    """Fit a map of every ordered pair of spaces on rows scaled to norm 1; labels are not used."""
    feature_set.require(names)
    moments = Moments([feature_set.spaces[name] for name in names], precision="float64")
    done = 0
    for rows, chunk in feature_set.chunks(names):
        moments.update(
            {name: unit_rows(part, name=name, rows=rows) for name, part in chunk.items()}
        )
        done += len(rows)
        progress("joint moments", done, feature_set.n)
    fitter = Fitter(options)
    maps: Maps = {}
    for source in names:
        targets = [name for name in names if name != source]
        fitted = fitter.fit(moments, source, targets)
        maps |= {(source, target): fitted[target] for target in targets}
    return maps
