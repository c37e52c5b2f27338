import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from tests.helpers import CASES, make

from intertwine.errors import InputError
from intertwine.similarity.pairwise import BLOCK, RowView
from intertwine.similarity.rbf_cka import rbf_cka

ENOUGH = [case for case in CASES if case != "two rows"]


def views(a, b, **options):
    """Return the views of two spaces."""
    return RowView.of(a, name="a", **options), RowView.of(b, name="b", **options)


def hsic_1(k, m) -> float:
    """Return HSIC₁ of Song et al. (2012), equation 5, from n × n kernels."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    each = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + each - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def definition(a, b, fraction=1.0) -> float:
    """Return debiased CKA of Gaussian kernels from n × n matrices."""
    kernels = []
    for x in (a, b):
        distances = pdist(x)
        sigma = fraction * np.median(distances)
        kernels.append(np.exp(-(squareform(distances) ** 2) / (2 * sigma**2)))
    k, m = kernels
    return hsic_1(k, m) / np.sqrt(hsic_1(k, k) * hsic_1(m, m))


@pytest.mark.parametrize("fraction", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("case", ENOUGH)
def test_rbf_cka_is_its_definition(case, fraction):
    """In blocks it equals the n × n definition with HSIC₁."""
    a, b = make(case)
    got = rbf_cka(*views(a, b), fraction=fraction)
    assert got.score == pytest.approx(
        definition(a, b, fraction), abs=1e-8 if case == "far" else 1e-10
    )
    assert got.null == 0


@pytest.mark.parametrize("keep", [True, False])
def test_several_blocks_give_the_definition(keep):
    """More rows than one block, kept or made again, change nothing."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((BLOCK + 50, 3))
    b = np.tanh(a) + rng.standard_normal(a.shape)
    got = rbf_cka(*views(a, b, keep=keep))
    assert got.score == pytest.approx(definition(a, b), abs=1e-10)


def test_the_kernel_is_made_again_only_when_not_kept(monkeypatch):
    """A view that keeps its kernel takes no distances for a second pair."""
    a, b = make("tall")
    (kept, _), (unkept, _) = views(a, b), views(a, b, keep=False)
    for view in (kept, unkept):
        rbf_cka(view, view)
    calls = []
    monkeypatch.setattr(RowView, "squared_distances", lambda self, _: calls.append(self) or 1 / 0)
    rbf_cka(kept, kept)
    assert calls == []
    with pytest.raises(ZeroDivisionError):
        rbf_cka(unkept, unkept)


def test_equally_distant_rows_have_no_kernel_to_compare():
    """One-hot rows, all equally far apart, are undefined with the space's name."""
    a, b = views(np.eye(12), np.random.default_rng(0).standard_normal((12, 2)))
    for pair in ((a, b), (b, a)):
        got = rbf_cka(*pair)
        assert got.score is None
        assert got.reasons == ("the kernel of a is the same for all pairs of these 12 rows",)


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1e9, float("nan")])
def test_a_bandwidth_out_of_range_is_refused(fraction):
    """The fraction of the median is checked."""
    with pytest.raises(InputError, match=r"got fraction = .*, expected a bandwidth of 0.01 to 100"):
        rbf_cka(*views(np.eye(5), np.eye(5)), fraction=fraction)
