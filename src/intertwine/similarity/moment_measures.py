"""Every measure that follows from joint moments, for one pair of spaces: scores and their nulls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from intertwine.errors import InputError
from intertwine.parallel.threads import parallel_map
from intertwine.similarity.canonical import VARIANCE, CanonicalPair
from intertwine.similarity.cka import KernelSums
from intertwine.similarity.rotation_null import RotationNull
from intertwine.similarity.shape import angular_distance
from intertwine.similarity.spectrum import Spectrum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from intertwine.moments.moments import Moments
    from intertwine.numerics.arrays import Array
    from intertwine.similarity.estimate import Null

# PWCCA with the weights of the pair's second space: the score of the opposite direction.
BACK = "pwcca_back"
NAMES = ("cka", "cka_debiased", "cca_mean", "svcca", "pwcca", BACK, "procrustes")


@dataclass(frozen=True)
class MomentScores:
    """Scores of one pair by measure, and a clause for each measure that is undefined.

    `rho` (k,) are the canonical correlations, descending; None where they are undefined.
    """

    scores: dict[str, float]
    reasons: dict[str, str]
    rho: Array | None = None


@dataclass(frozen=True)
class SpectraOf:
    """The spectra of several spaces over the same rows, and how CCA uses them.

    A space that does not vary is absent; `kept` is the number of components that SVCCA keeps of
    each; `alpha` is λ of CCA.
    """

    spectra: dict[str, Spectrum]
    kept: dict[str, int]
    alpha: float = 0.0

    @classmethod
    def of(
        cls,
        moments: Moments,
        names: Sequence[str],
        *,
        alpha: float = 0.0,
        variance: float = VARIANCE,
        kept: Mapping[str, int] | None = None,
    ) -> SpectraOf:
        """Factor the spaces that vary.

        SVCCA keeps the components that hold the share `variance`, or as many as `kept` has, as when
        a few rows are left out: a number that jumped between one subset of rows and the next would
        be taken for sampling error.
        """
        moments.flush()  # before several threads read them

        def factor(name: str) -> Spectrum | None:
            try:
                return Spectrum.of(moments, name)
            except InputError:
                return None

        factored = zip(names, parallel_map(factor, names), strict=True)
        spectra = {name: spectrum for name, spectrum in factored if spectrum is not None}
        chosen = {
            name: spectrum.components(variance)
            if kept is None or name not in kept
            else min(kept[name], spectrum.rank)
            for name, spectrum in spectra.items()
        }
        return cls(spectra, chosen, alpha)


def pair_scores(
    moments: Moments, a: str, b: str, known: SpectraOf, *, quick: bool = False
) -> MomentScores:
    """Return every measure of one pair, by `NAMES`; those that are undefined have a reason instead.

    With `quick`, singular values come from Gram matrices, as between resamples (see
    `singular_values`).
    """
    scores: dict[str, float] = {}
    reasons: dict[str, str] = {}
    pair: CanonicalPair | None = None

    def attempt(names: tuple[str, ...], score: Callable[[], tuple[float, ...]]) -> None:
        try:
            scores.update(zip(names, score(), strict=True))
        except InputError as error:
            reasons.update(dict.fromkeys(names, str(error)))

    def canonical() -> tuple[float, ...]:
        nonlocal pair
        factors = dict(known.spectra)
        pair = CanonicalPair.of(moments, a, b, alpha=known.alpha, spectra=factors, quick=quick)
        kept = (known.kept[a], known.kept[b])
        return float(pair.rho.mean()), pair.svcca(*kept, quick=quick)

    def weighted(*, swapped: bool) -> tuple[float]:
        if pair is None:
            raise InputError(reasons["cca_mean"])
        return (pair.pwcca(swapped=swapped),)

    kernels = KernelSums.of(moments, a, b)
    attempt(("cka",), lambda: (kernels.cka(debiased=False),))
    attempt(("cka_debiased",), lambda: (kernels.cka(debiased=True),))
    attempt(("cca_mean", "svcca"), canonical)
    attempt(("pwcca",), lambda: weighted(swapped=False))
    attempt((BACK,), lambda: weighted(swapped=True))
    spectra = known.spectra
    attempt(
        ("procrustes",),
        lambda: (angular_distance(moments, a, b, spectra=spectra, quick=quick),),
    )
    return MomentScores(scores, reasons, None if pair is None else pair.rho)


def pair_nulls(moments: Moments, a: str, b: str, known: SpectraOf) -> dict[str, Null]:
    """Return what unrelated spaces with these spectra score on as many rows, by `NAMES`.

    CKA is compared with every permutation of the rows, in closed form, and absent where it is
    undefined; the others with random rotations of the sample space. Both spaces vary.
    """
    nulls, kernels = {}, KernelSums.of(moments, a, b)
    for name, debiased in (("cka", False), ("cka_debiased", True)):
        try:
            nulls[name] = kernels.null(debiased=debiased)
        except InputError:
            continue
    rotation = RotationNull.of(
        known.spectra[a],
        known.spectra[b],
        alpha=known.alpha,
        kept=(known.kept[a], known.kept[b]),
    )
    return nulls | {
        "cca_mean": rotation.cca_mean,
        "svcca": rotation.svcca,
        "pwcca": rotation.pwcca_a,
        BACK: rotation.pwcca_b,
        "procrustes": rotation.procrustes,
    }
