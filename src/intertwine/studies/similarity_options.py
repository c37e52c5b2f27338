"""How similarity is measured."""

from __future__ import annotations

from dataclasses import dataclass

from intertwine.errors import InputError
from intertwine.passes.groups import GROUPS
from intertwine.similarity.canonical import VARIANCE, check_variance
from intertwine.studies.estimates import MIN_GROUPS
from intertwine.studies.row_sample import SAMPLE_ROWS
from intertwine.wording import counted


@dataclass(frozen=True)
class SimilarityOptions:
    """How similarity is measured.

    Parameters
    ----------
    groups
        Row groups of the jackknife and of held-out R², at least 20.
    sample
        Rows of the sample that row measures use; 0 leaves these measures out.
    neighbours
        k of the neighbour measures; min(10, (m − 1)//2) when omitted.
    cca_alpha
        λ of CCA and PWCCA.
    variance
        Share of variance that SVCCA keeps.
    controls
        Spaces that are controls, such as an untrained network.
    layers
        Networks whose layers are the spaces called `NETWORK.LAYER`.

    Raises
    ------
    InputError
        For a value outside its range.
    """

    groups: int = GROUPS
    sample: int = SAMPLE_ROWS
    neighbours: int | None = None
    cca_alpha: float = 0.0
    variance: float = VARIANCE
    controls: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_variance(self.variance)
        if self.groups < MIN_GROUPS:
            raise InputError(
                f"got {counted(self.groups, 'row group')}, expected at least {MIN_GROUPS}"
            )
        if not 0 <= self.cca_alpha < float("inf"):
            raise InputError(f"got CCA λ {self.cca_alpha}, expected a number of at least 0")
