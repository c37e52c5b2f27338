import numpy as np
import pytest
from tests.helpers import CASES, assert_close, make, moments_of

from intertwine.errors import InputError
from intertwine.similarity.spectrum import Spectrum, spectrum_of


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("case", CASES)
def test_the_spectrum_is_that_of_the_centred_features(case, precision, tolerance):
    """Values are squared singular values of centred features, vectors their right singular ones."""
    a, b = make(case)
    spectrum = Spectrum.of(moments_of(a, b, precision=precision), "a")
    _, s, vt = np.linalg.svd(a - a.mean(axis=0), full_matrices=False)
    rank = spectrum.rank
    assert (spectrum.name, spectrum.n) == ("a", len(a))
    assert_close(spectrum.values, s[:rank] ** 2, tolerance)
    assert (np.diff(spectrum.values) <= 0).all()
    assert (s[rank:] ** 2 <= 1e-6 * s[0] ** 2).all()
    assert spectrum.total == pytest.approx((s**2).sum(), rel=tolerance)
    assert_close(spectrum.vectors.T @ spectrum.vectors, np.eye(rank), 1e-12)
    back = (spectrum.vectors * spectrum.values) @ spectrum.vectors.T
    assert_close(back, (vt.T * s**2) @ vt, 10 * tolerance)


@pytest.mark.parametrize(
    ("case", "rank"),
    [
        ("tall", 12),
        ("wide", 29),
        ("two rows", 1),
        ("from one", 1),
        ("constant", 11),
        ("dead", 10),
        ("duplicated", 10),
        ("rank one", 1),
    ],
)
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_the_rank_is_that_of_the_rows(case, rank, precision):
    """Constant and repeated features add no direction, and n rows span n − 1 at most."""
    assert Spectrum.of(moments_of(*make(case), precision=precision), "a").rank == rank


def test_components_hold_the_share_asked_for():
    """Exactly as many leading components are kept as reach the share, one at least, never more."""
    s = np.array([6.0, 3.0, 2.0, 1.0])  # squares 36, 9, 4, 1 of 50
    rows = np.random.default_rng(0).standard_normal((30, 4))
    rows = np.linalg.qr(rows - rows.mean(axis=0))[0] * s
    spectrum = Spectrum.of(moments_of(rows, rows), "a")
    assert spectrum.values == pytest.approx(s**2)
    kept = {0.001: 1, 0.72: 1, 0.721: 2, 0.9: 2, 0.901: 3, 0.98: 3, 0.9801: 4, 1.0: 4}
    assert {share: spectrum.components(share) for share in kept} == kept


def test_the_participation_ratio_counts_directions():
    """Equal variances count each direction once, and one direction counts as one."""
    rows = np.vstack([np.eye(6), -np.eye(6)])
    assert Spectrum.of(moments_of(rows, rows), "a").participation_ratio == pytest.approx(6)
    a, b = make("rank one")
    assert Spectrum.of(moments_of(a, b), "a").participation_ratio == pytest.approx(1)


def test_known_spectra_are_not_factored_again():
    """A spectrum is added to those known, and the one known is handed back."""
    moments = moments_of(*make("tall"))
    known: dict[str, Spectrum] = {}
    first = spectrum_of(moments, "a", known)
    assert known == {"a": first}
    assert spectrum_of(moments, "a", known) is first
    assert spectrum_of(moments, "a", None) is not first


@pytest.mark.parametrize("n", [1, 40])
def test_a_space_that_does_not_vary_has_no_spectrum(n):
    """Constant features, or a single row, have no directions."""
    _, b = make("tall")
    constant = moments_of(np.full((n, 3), 0.1), b[:n])
    with pytest.raises(InputError, match=f"a does not vary over {n} rows?"):
        Spectrum.of(constant, "a")


def test_unknown_spaces_are_refused():
    """A space that the moments lack is refused by name."""
    with pytest.raises(InputError, match="got space 'x', expected one of"):
        Spectrum.of(moments_of(*make("tall")), "x")
