"""Work over a Dask cluster of two workers on this machine."""

import os
import signal

import numpy as np
import pytest
from tests.parallel.workers import double, refuse

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.parallel.workers import open_workers
from intertwine.passes.moments.joint import joint_moments

N = 40_000


@pytest.fixture(scope="module")
def workers():
    """Return a cluster of two workers."""
    with open_workers(2, "local") as pool:
        yield pool


@pytest.fixture(scope="module")
def feature_set(tmp_path_factory, write_folder):
    """Return a feature set of two spaces."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal((N, d)) + 2 for name, d in {"a": 9, "b": 6}.items()}
    return FeatureSet.open(write_folder(tmp_path_factory.mktemp("set"), arrays))


@pytest.mark.slow
def test_every_piece_is_run(workers):
    """A cluster runs every piece once, and what a piece raises comes back as it is."""
    assert sorted(workers.run(double, range(9))) == [(i, 2 * i) for i in range(9)]
    with pytest.raises(InputError, match="got 3, expected another"):
        list(workers.run(refuse, range(6)))


@pytest.mark.quick("float64")
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_cluster_gives_the_moments_of_one_process(workers, feature_set, precision):
    """Moments over a cluster are those of one process: to 1e-12, and the bytes of other workers."""
    there = joint_moments(feature_set, precision=precision, workers=workers)
    here = joint_moments(feature_set, precision=precision)
    assert there.n == here.n
    for a in ("a", "b"):
        expected = here.scatter(a, "b")
        error = np.abs(there.scatter(a, "b") - expected).max()
        assert error <= 1e-12 * np.abs(expected).max()
    with open_workers(1, None) as other:
        same = joint_moments(feature_set, precision=precision, workers=other)
    for pair, total in there.sums.second.items():
        assert np.triu(total).tobytes() == np.triu(same.sums.second[pair]).tobytes()


def test_a_killed_worker_changes_nothing(workers, feature_set):
    """With a worker of the cluster killed while it works, the same bytes come out."""
    expected = joint_moments(feature_set, workers=workers)
    client = workers.executor._client
    victim = next(iter(client.run(os.getpid).values()))
    seen = []

    def kill_once(done, total):
        seen.append((done, total))
        if len(seen) == 1:
            os.kill(victim, signal.SIGKILL)

    got = joint_moments(feature_set, workers=workers, progress=kill_once)
    assert seen[-1] == (N, N)
    for pair, total in expected.sums.second.items():
        assert np.triu(got.sums.second[pair]).tobytes() == np.triu(total).tobytes()


@pytest.mark.slow
def test_an_address_reaches_the_same_cluster(workers, feature_set):
    """The address of a running scheduler is enough to use its workers; a wrong one is one line."""
    address = workers.executor._client.scheduler.address
    with open_workers(None, address) as pool:
        assert joint_moments(feature_set, workers=pool).n == N
    with (
        pytest.raises(InputError, match=r"tcp://127\.0\.0\.1:9, which does not answer"),
        open_workers(None, "tcp://127.0.0.1:9"),
    ):
        pass
