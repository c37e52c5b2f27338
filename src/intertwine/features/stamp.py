"""What tells the files of one feature set from those of another, without reading them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from intertwine.features.feature_set import FeatureSet


def file_stamps(feature_set: FeatureSet) -> list[list[Any]]:
    """Return path, size in bytes and time of change in nanoseconds of a set's arrays.

    Parameters
    ----------
    feature_set
        The set.

    Returns
    -------
    stamps
        One a file, JSON-ready, in a fixed order.
    """
    return [
        [str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns]
        for folder in feature_set.paths
        for path in sorted(folder.glob("*.npy"))
    ]
