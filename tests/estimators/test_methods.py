import numpy as np
import pytest
from tests.helpers import make, moments_of

from intertwine import estimators
from intertwine.errors import InputError
from intertwine.estimators import METHODS, FitOptions, Fitter, HeadFactor
from intertwine.maps.map_pair import MapPair
from intertwine.moments.moments import Moments
from intertwine.spaces import Head

RNG = np.random.default_rng(0)
A, B = make("tall")
HEADS = {
    "a": Head(RNG.standard_normal((5, 12)), RNG.standard_normal(5)),
    "b": Head(RNG.standard_normal((5, 7)), RNG.standard_normal(5)),
}


def fit(heads=HEADS, moments=None, **options):
    """Return the map a → b that these options give."""
    return Fitter(FitOptions(**options), heads).fit(moments or moments_of(A, B), "a", ["b"])["b"]


def weight_of(fitted):
    """Return the weight of a map, or of a pair's map."""
    return (fitted.to_map() if isinstance(fitted, MapPair) else fitted).weight


def analytic_map():
    """Return the analytic map a → b."""
    spaces = moments_of(A, B).spaces
    return estimators.analytic(spaces["a"], spaces["b"], HEADS["a"], HeadFactor.of(HEADS["b"]))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, lambda m: estimators.ridge(m, "a", ["b"])),
        (
            {"alpha": "gcv", "intercept": "none", "alphas": np.array([2.0, 9.0])},
            lambda m: estimators.ridge(
                m, "a", ["b"], alpha="gcv", intercept="none", alphas=np.array([2.0, 9.0])
            ),
        ),
        (
            {"prior": "analytic", "alpha": 5.0},
            lambda m: estimators.ridge(m, "a", ["b"], alpha=5.0, priors={"b": analytic_map()}),
        ),
        (
            {"method": "least-squares", "alpha": 9.0, "intercept": "homogeneous"},
            lambda m: estimators.ridge(m, "a", ["b"], alpha=0.0, intercept="homogeneous"),
        ),
        (
            {"method": "procrustes", "scale": True, "intercept": "none"},
            lambda m: estimators.procrustes(m, "a", ["b"], scale=True, intercept="none"),
        ),
        (
            {"method": "reduced-rank"},
            lambda m: estimators.reduced_rank(m, "a", ["b"], rank="gcv"),
        ),
        (
            {"method": "reduced-rank", "rank": 2, "alpha": 3.0, "intercept": "none"},
            lambda m: estimators.reduced_rank(m, "a", ["b"], rank=2, alpha=3.0, intercept="none"),
        ),
        (
            {"method": "cca", "alpha": 3.0, "power": 0.5, "rank": 4},
            lambda m: estimators.cca(m, "a", ["b"], alpha=3.0, power=0.5, rank=4),
        ),
        ({"method": "analytic"}, lambda _: {"b": analytic_map()}),
        (
            {"method": "identity"},
            lambda m: {"b": estimators.identity(m.spaces["a"], m.spaces["b"])},
        ),
        ({"method": "mean"}, lambda m: {"b": estimators.mean_vector(m, "a", "b")}),
    ],
)
def test_every_method_is_its_function(options, expected):
    """A method called by name, with any of its options, is the function called directly."""
    got, other = fit(**options), expected(moments_of(A, B))["b"]
    assert type(got) is type(other)
    assert np.array_equal(weight_of(got), weight_of(other))


# Self-training has rows of its own; its tests are beside these.
OF_MOMENTS = [method for method in METHODS if method != "self-training"]


@pytest.mark.parametrize("method", OF_MOMENTS)
def test_every_method_fits_several_targets(method):
    """Every method fits several targets at once, itself among them."""
    fitter = Fitter(FitOptions(method=method), HEADS)
    moments = moments_of(A, B)
    for source in "ab":
        maps = fitter.fit(moments, source, ["b", "a"])
        assert [m.name for m in maps.values()] == [f"{source}--b", f"{source}--a"]


@pytest.mark.parametrize("method", OF_MOMENTS)
def test_unknown_spaces_are_refused(method):
    """A source or target that the moments lack is refused by every method."""
    fitter = Fitter(FitOptions(method=method), HEADS)
    for source, target in (("a", "x"), ("x", "b")):
        with pytest.raises(InputError, match=r"got (source|space) 'x', expected one of"):
            fitter.fit(moments_of(A, B), source, [target])


def test_what_several_sources_share_is_factored_once(monkeypatch):
    """A fitter factors each target's head once, and each space's whitening once."""
    factored = []
    plain = HeadFactor.of.__func__
    monkeypatch.setattr(
        HeadFactor,
        "of",
        classmethod(
            lambda cls, head, form="affine": factored.append(head) or plain(cls, head, form)
        ),
    )
    fitter = Fitter(FitOptions(method="analytic"), HEADS)
    moments = moments_of(A, B)
    for _ in range(2):
        fitter.fit(moments, "a", ["a", "b"])
    assert factored == [HEADS["a"], HEADS["b"]]
    fitter = Fitter(FitOptions(method="cca"))
    fitter.fit(moments, "a", ["b"])
    assert sorted(fitter.whitenings) == ["a", "b"]


@pytest.mark.parametrize(
    ("options", "needed"),
    [({"method": "analytic"}, True), ({"prior": "analytic"}, True), ({}, False)],
)
def test_heads_are_asked_for_where_they_are_needed(options, needed):
    """Only the analytic map and the prior made of it need heads, and say whose is missing."""
    assert FitOptions(**options).needs_heads == needed
    if needed:
        with pytest.raises(InputError, match=r"space b has no head; .* needs b.head.safetensors"):
            fit(heads={"a": HEADS["a"]}, **options)
    else:
        assert fit(heads=None, **options).method == "ridge"


def test_the_prior_needs_no_rows():
    """Shrinking toward the analytic map starts at it, with no data."""
    got = fit(moments=Moments({"a": 12, "b": 7}), prior="analytic", alpha="gcv")
    assert np.array_equal(got.weight, analytic_map().weight)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "got method 'magic', expected one of ridge, least-squares"),
        ({"prior": "random"}, "got prior 'random' for method ridge, expected analytic, with ridge"),
        ({"method": "cca", "prior": "analytic"}, "got prior 'analytic' for method cca"),
    ],
)
def test_options_that_are_none_are_refused(options, message):
    """An unknown method, and a prior where there is none, are refused before any work."""
    with pytest.raises(InputError, match=message):
        FitOptions(**options)


@pytest.mark.parametrize("options", [{"intercept": "none"}, {"rank": "gcv"}])
def test_cca_takes_its_own_options_only(options):
    """CCA has one intercept and no choice of rank."""
    with pytest.raises(InputError, match="method cca takes intercept free and a rank that is a"):
        fit(method="cca", **options)
