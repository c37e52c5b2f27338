"""The pass that extracts untrained controls: encoders with random weights, over the same images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def with_random_controls(
    fit: Sequence[Path],
    evaluation: Sequence[Path],
    names: Sequence[str],
    out: Path,
    *,
    progress: Callable[[str, int, int], None],
) -> tuple[list[Path], list[Path], list[str]]:
    """Extract untrained twins of some encoders for two feature sets.

    Return the folders of each set with its twins' folder added, and the twins' names: that of A is
    A.untrained. A set that does not record its encoders and images raises InputError.
    """
    from intertwine.encoders.registry import with_options
    from intertwine.inputs.tables.columns import Columns
    from intertwine.passes.extract.extract import extract

    parts = [(list(fit), out / "fit"), (list(evaluation), out / "eval")]
    # Both sets are asked before anything is written.
    sets = [FeatureSet.open(*folders) for folders, _ in parts]
    origins = [_origin(opened, names) for opened in sets]
    for (source, encoders), opened, (folders, made) in zip(origins, sets, parts, strict=True):
        twins = [
            with_options(uri, weights="random:0", name=f"{name}.untrained")
            for name, uri in encoders.items()
        ]
        extract(
            source["path"],
            twins,
            made,
            rows=tuple(source["rows"]) if source.get("rows") else None,
            columns=Columns(**source["columns"]) if source.get("columns") else None,
            leave_out=opened.left_out,
            progress=lambda done, total: progress("untrained control", done, total),
        )
        folders.append(made)
    return parts[0][0], parts[1][0], [f"{name}.untrained" for name in names]


def _origin(feature_set: FeatureSet, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the images and, by space, the encoder that a feature set was extracted with."""
    feature_set.require(names)
    source = feature_set.source
    encoders = {name: feature_set.info[name].get("encoder") for name in names}
    for name, uri in encoders.items():
        if not uri or not source.get("path"):
            raise InputError(
                f"{feature_set} does not say which encoder and images {name} came from; "
                "extract the control with weights=random:0 and name it with --control"
            )
    return source, {name: str(uri) for name, uri in encoders.items()}
