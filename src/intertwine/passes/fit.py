"""The pass that writes map files: joint moments, then one source after another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.estimators import FitOptions, Fitter
from intertwine.estimators.analytic import check_classes
from intertwine.features.feature_set import FeatureSet
from intertwine.files import check_writable
from intertwine.map_pair import MapPair
from intertwine.moments import Moments
from intertwine.passes.moments import joint_moments
from intertwine.source_check import main_directions

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from intertwine.arrays import Array
    from intertwine.linear_map import LinearMap
    from intertwine.spaces import Head


def fit_to_files(
    paths: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    options: FitOptions,
    source: str | None = None,
    target: str | None = None,
    precision: str = "auto",
    say: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:
    """Fit maps and write each as `OUT/SOURCE--TARGET.safetensors`.

    Parameters
    ----------
    paths
        Folders of one feature set, or one file of moments.
    out
        Folder to write.
    options
        How maps are fitted.
    source, target
        One space, or all when omitted.
    precision
        `auto`, `float64`, `float32` or `fast`.
    say
        Called with (what, done, total).

    Returns
    -------
    summary
        `maps`, one entry a file: source, target, path, method and what the map says of itself;
        and `notes`, what a reader should know of the rows.

    Raises
    ------
    InputError
        For an unknown space, fewer than two rows, or options that do not fit.
    """
    report = say or (lambda *_: None)
    check_writable(out)
    heads: dict[str, Head] = {}
    notes: list[str] = []
    if len(paths) == 1 and Path(paths[0]).is_file():
        moments = Moments.load(paths[0])
        _check_names(list(moments.spaces), source, target)
        _check_heads(list(moments.spaces), heads, options)
    else:
        feature_set = FeatureSet.open(*paths)
        names, heads, notes = list(feature_set.spaces), feature_set.heads, feature_set.notes
        _check_names(names, source, target)
        needed = (
            [name for name in names if name in {source, target}] if source and target else names
        )
        _check_heads(needed, heads, options)
        moments = joint_moments(
            feature_set,
            needed,
            precision=precision,
            progress=lambda done, total: report("joint moments", done, total),
        )
    return {
        "maps": _write(moments, heads, Path(out), options, source, target, report),
        "notes": notes,
    }


def _check_names(names: list[str], source: str | None, target: str | None) -> None:
    for role, name in (("source", source), ("target", target)):
        if name is not None and name not in names:
            raise InputError(f"got {role} {name!r}, expected one of {names}")
    if source is not None and source == target:
        raise InputError(f"got {source!r} as source and target, expected two spaces")
    if len(names) < 2:
        raise InputError(f"got one space, {names[0]}, expected at least two")


def _check_heads(names: list[str], heads: dict[str, Head], options: FitOptions) -> None:
    """Raise before the first map is written when a method that needs heads cannot have them."""
    if not options.needs_heads:
        return
    for name in names:
        if name not in heads:
            raise InputError(
                f"space {name} has no head; the analytic map needs {name}.head.safetensors"
            )
        check_classes(heads[names[0]], heads[name], f"{names[0]} and {name}")


def _write(
    moments: Moments,
    heads: dict[str, Head],
    out: Path,
    options: FitOptions,
    source: str | None,
    target: str | None,
    report: Callable[[str, int, int], None],
) -> list[dict[str, Any]]:
    fitter = Fitter(options, heads)
    written = []
    directions: dict[str, Array] = {}

    def known(linear_map: LinearMap) -> LinearMap:
        """Return a map that knows by what to recognise its source."""
        name = linear_map.source.name
        if name not in directions:
            directions[name] = main_directions(moments, name)
        return replace(linear_map, source_directions=directions[name])

    sources = [source] if source else [name for name in moments.spaces if name != target]
    for i, name in enumerate(sources):
        targets = [target] if target else [other for other in moments.spaces if other != name]
        for other, fitted in fitter.fit(moments, name, targets).items():
            path = out / f"{fitted.name}.safetensors"
            if isinstance(fitted, MapPair):
                info = fitted.source.info
                MapPair(known(fitted.source), known(fitted.target)).save(path)
            else:
                info = fitted.info
                known(fitted).save(path)
            written.append(
                {"source": name, "target": other, "path": str(path), "method": options.method}
                | {"info": info}
            )
        report("maps", i + 1, len(sources))
    return written
