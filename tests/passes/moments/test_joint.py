import numpy as np
import pytest

from intertwine.errors import InputError
from intertwine.features.feature_set import FeatureSet
from intertwine.features.rows import nested_subsets
from intertwine.passes.moments.joint import add_rows, empty_moments, joint_moments

RNG = np.random.default_rng(0)
N = 9000  # more than two blocks of 4,096


@pytest.fixture(scope="module")
def stored(tmp_path_factory, write_folder):
    """Return a feature set of correlated spaces far from the origin, and its arrays."""
    cause = RNG.standard_normal((N, 6))
    arrays = {
        "a": (cause @ RNG.standard_normal((6, 9)) + 1e4).astype(np.float32),
        "b": np.maximum(cause @ RNG.standard_normal((6, 5)), 0).astype(np.float16),
        "c": cause @ RNG.standard_normal((6, 4)) - 3,
    }
    return FeatureSet.open(write_folder(tmp_path_factory.mktemp("set"), arrays)), arrays


def assert_moments_of(moments, arrays, rows, *, rtol):
    """Check count, means and scatters against NumPy in float64."""
    chosen = {name: arrays[name][rows].astype(np.float64) for name in moments.spaces}
    centred = {name: x - x.mean(axis=0) for name, x in chosen.items()}
    assert moments.n == len(next(iter(chosen.values())))
    for a, x in centred.items():
        np.testing.assert_allclose(moments.mean(a), chosen[a].mean(axis=0), rtol=1e-6, atol=1e-6)
        for b, y in centred.items():
            scale = np.sqrt((x**2).sum() * (y**2).sum())
            np.testing.assert_allclose(moments.scatter(a, b), x.T @ y, atol=rtol * scale)


@pytest.mark.parametrize(("precision", "rtol"), [("float64", 1e-12), ("float32", 1e-5)])
def test_joint_moments_are_those_of_all_rows(stored, precision, rtol):
    """One pass gives the count, means and scatters that NumPy gives, far from the origin too."""
    opened, arrays = stored
    moments = joint_moments(opened, precision=precision)
    assert moments.precision == precision
    assert_moments_of(moments, arrays, slice(None), rtol=rtol)


def test_rows_may_be_added_in_rings(stored):
    """Moments of rings of scattered rows add up to those of their union."""
    opened, arrays = stored
    rings = nested_subsets(opened.id_hashes, [100, 3000, N])
    moments = empty_moments(opened, ["a", "c"])
    for k, ring in enumerate(rings):
        add_rows(moments, opened, ring)
        union = np.concatenate(rings[: k + 1])
        assert_moments_of(moments, arrays, union, rtol=1e-12)


def test_progress_ends_at_all_rows(stored):
    """Progress is told in rows, ascending to all of them."""
    seen = []
    joint_moments(stored[0], ["b"], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(min(done, N), N) for done in range(1024, N + 1024, 1024)]


def test_auto_precision_goes_by_rows_and_dimension(stored, write_folder, tmp_path):
    """Auto is float64 for a small set and float32 where the joint dimension passes 4,096."""
    assert empty_moments(stored[0], ["a"]).precision == "float64"
    wide = write_folder(tmp_path, {"a": np.zeros((3, 4000)), "b": np.zeros((3, 97))})
    opened = FeatureSet.open(wide)
    assert empty_moments(opened, ["a"]).precision == "float64"
    assert empty_moments(opened, ["a", "b"]).precision == "float32"


def test_an_unknown_space_is_refused(stored):
    """A space that the set has not is refused by name."""
    with pytest.raises(InputError, match="no space 'z'"):
        joint_moments(stored[0], ["a", "z"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bad", [[0], [7, 5000], list(range(20, 29))])
def test_rows_that_are_not_finite_are_named(tmp_path, write_folder, value, bad):
    """NaN and infinities are refused by space and row number, wherever in the file they stand."""
    arrays = {"good": np.ones((N, 2), np.float16), "bad": RNG.standard_normal((N, 3))}
    arrays["bad"][bad, 1] = value
    opened = FeatureSet.open(write_folder(tmp_path, arrays))
    # One chunk is named at a time, and five rows of it at most.
    first = [row for row in bad if row < 4096][:5]
    more = f" and {len(bad) - 5} more" if len(bad) > 5 else ";"
    rows = ", ".join(map(str, first))
    with pytest.raises(InputError, match=f"bad: NaN or infinite features in rows {rows}{more}"):
        joint_moments(opened)
    with pytest.raises(InputError, match=f"rows {bad[-1]};"):
        add_rows(empty_moments(opened, ["good", "bad"]), opened, np.array([11, bad[-1]]))
