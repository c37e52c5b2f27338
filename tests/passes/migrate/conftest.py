"""What tests of migrations share: a database, maps between two spaces, and what a ledger says."""

import numpy as np
import pytest
from tests.conftest import save_folder
from tests.passes.migrate.small_stores import OLD
from tests.postgres import server

from intertwine.estimators import FitOptions
from intertwine.maps.linear_map import LinearMap
from intertwine.passes.fit import fit_to_files
from intertwine.spaces import Space


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """Return a server's URI and a connection to it."""
    with server(tmp_path_factory) as opened:
        yield opened


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """Return a map that keeps neighbours of the small stores' items, and its file."""
    d, e = OLD.shape[1], 20
    columns = np.linalg.qr(np.random.default_rng(0).standard_normal((e, d)))[0]
    linear_map = LinearMap(columns, np.zeros(e), Space("a", d), Space("b", e), "drawn")
    path = tmp_path_factory.mktemp("map") / "a--b.safetensors"
    linear_map.save(path)
    return linear_map, path


def clustered(random, n, dims, *, latent, clusters):
    """Return the same n items in two spaces, float32, clusters over one latent cause."""
    cause = random.standard_normal((n, latent)) + (
        3 * random.standard_normal((clusters, latent))[random.integers(0, clusters, n)]
    )
    old, new = (
        cause @ random.standard_normal((latent, d)) + 0.1 * random.standard_normal((n, d)) + shift
        for d, shift in zip(dims, (1, -2), strict=True)
    )
    return old.astype(np.float32), new.astype(np.float32)


def fit_old_to_new(folder, spaces, n):
    """Return a map from the old space to the new, fitted on the first n items, and its file."""
    save_folder(folder / "pairs", {"old": spaces[0][:n], "new": spaces[1][:n]})
    fit_to_files([folder / "pairs"], folder, options=FitOptions(), source="old", target="new")
    path = folder / "old--new.safetensors"
    return LinearMap.load(path), path


def wrong(found, expected):
    """Return the ids of items whose vector is another, or there and not expected, or the reverse."""
    return [
        item
        for item, vector in expected.items()
        if (vector is None) != (found[item] is None)
        or (vector is not None and not np.allclose(found[item], vector, rtol=1e-3, atol=1e-3))
    ]
