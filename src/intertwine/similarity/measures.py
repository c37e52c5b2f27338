"""Every measure by name: its range, what it ignores, its formula, its source, its null.

A new measure is one entry here, beside the file that computes it, and one line in `row_estimates`
here, or its score and its null in `moment_measures`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import pi
from typing import TYPE_CHECKING, Any, Literal

from intertwine.similarity.neighbours import cknna, mutual_knn
from intertwine.similarity.rbf_cka import rbf_cka
from intertwine.similarity.rsa import rsa

if TYPE_CHECKING:
    from intertwine.similarity.estimate import Estimate
    from intertwine.similarity.pairwise import RowView

MOMENT_INTERVAL = (
    "delete-a-group jackknife over random row groups, Student's t; never narrower than the null's "
    "own spread"
)
HELD_INTERVAL = (
    "delete-a-group jackknife over random row groups with the maps held, and the null's own spread "
    "added to it; Student's t"
)
ROW_INTERVAL = (
    "bootstrap over the rows of the sample; never narrower than the null's own spread. It is the "
    "sampling error of the sample, not of all rows"
)
ROTATION = (
    "one space's rows turned by a random rotation of the sample space: keeps n and both spectra"
)
ANY_LINEAR = "any invertible affine map of either space"
RIGID = "shift, rotation and one scale"


@dataclass(frozen=True)
class Measure:
    """What a measure is.

    `name` is its key in reports and `title` what people call it; `kind` is `moments` where joint
    moments determine it exactly, `rows` where it needs a sample of rows; `low` and `high` are its
    range, None where there is no bound; `best` is the score of a space against itself; `ignores`
    names the changes of a space that leave it as it is; `null_model` is what unrelated spaces are
    taken to be; and `symmetric` means that (a, b) and (b, a) score the same.
    """

    name: str
    title: str
    kind: Literal["moments", "rows"]
    low: float | None
    high: float | None
    best: float
    ignores: str
    formula: str
    source: str
    null_model: str
    symmetric: bool = True

    @property
    def larger_is_more_similar(self) -> bool:
        """Whether the best value is the upper end of the range."""
        return self.best == self.high

    def clip(self, value: float) -> float:
        """Return a value brought into the range."""
        value = value if self.low is None else max(value, self.low)
        return value if self.high is None else min(value, self.high)

    def to_json(self) -> dict[str, Any]:
        """Return the measure as a report holds it."""
        value = asdict(self)
        ends = [value.pop("low"), value.pop("high")]
        moments = HELD_INTERVAL if self.name == "r2" else MOMENT_INTERVAL
        interval = moments if self.kind == "moments" else ROW_INTERVAL
        larger = self.larger_is_more_similar
        return {**value, "range": ends, "larger_is_more_similar": larger, "interval": interval}


_LISTED = (
    Measure(
        name="cka",
        title="Linear CKA",
        kind="moments",
        low=0.0,
        high=1.0,
        best=1.0,
        ignores=RIGID,
        formula="‖S_AB‖²_F / (‖S_AA‖_F ‖S_BB‖_F)",
        source="Kornblith, Norouzi, Lee & Hinton, ICML 2019",
        null_model="all permutations of the rows, in closed form",
    ),
    Measure(
        name="cka_debiased",
        title="Linear CKA, debiased",
        kind="moments",
        low=-1.0,
        high=1.0,
        best=1.0,
        ignores=RIGID,
        formula="HSIC₁(A, B) / √(HSIC₁(A, A) HSIC₁(B, B))",
        source="Song, Smola, Gretton, Bedo & Borgwardt, JMLR 13 (2012), equation 5",
        null_model="all permutations of the rows: mean 0, in closed form",
    ),
    Measure(
        name="cca_mean",
        title="CCA, mean ρ",
        kind="moments",
        low=0.0,
        high=1.0,
        best=1.0,
        ignores=ANY_LINEAR,
        formula="mean of the min(rank A, rank B) canonical correlations",
        source="Hotelling, Biometrika 28 (1936)",
        null_model=ROTATION,
    ),
    Measure(
        name="svcca",
        title="SVCCA",
        kind="moments",
        low=0.0,
        high=1.0,
        best=1.0,
        ignores=RIGID,
        formula="mean canonical correlation of the components that hold the variance asked for",
        source="Raghu, Gilmer, Yosinski & Sohl-Dickstein, NeurIPS 2017",
        null_model=ROTATION,
    ),
    Measure(
        name="pwcca",
        title="PWCCA",
        kind="moments",
        low=0.0,
        high=1.0,
        best=1.0,
        ignores="any invertible affine map of the target; shift and one scale of the source",
        formula="Σ α_i ρ_i / Σ α_i, α_i = Σ_j |⟨h_i, x_j⟩| over the source's canonical variates h_i",
        source="Morcos, Raghu & Bengio, NeurIPS 2018",
        null_model=ROTATION,
        symmetric=False,
    ),
    Measure(
        name="procrustes",
        title="Procrustes angle",
        kind="moments",
        low=0.0,
        high=pi / 2,
        best=0.0,
        ignores=RIGID,
        formula="arccos(‖S_AB‖_* / √(tr S_AA · tr S_BB)), in radians",
        source="Williams, Kunz, Kornblith & Linderman, NeurIPS 2021",
        null_model=ROTATION,
    ),
    Measure(
        name="r2",
        title="Linear predictivity R²",
        kind="moments",
        low=None,
        high=1.0,
        best=1.0,
        ignores=RIGID,
        formula="1 − Σ‖B − B̂‖² / Σ‖B − mean(B)‖², B̂ by ridge maps fitted on the other row groups, "
        "λ by GCV",
        source="Golub, Heath & Wahba, Technometrics 21 (1979), for λ",
        null_model="an unrelated target of the same variance under maps of the same λ",
        symmetric=False,
    ),
    Measure(
        name="rbf_cka",
        title="RBF CKA, debiased",
        kind="rows",
        low=-1.0,
        high=1.0,
        best=1.0,
        ignores=RIGID,
        formula="HSIC₁ ratio of exp(−‖x − y‖²/2σ²), σ the median distance between rows",
        source="Kornblith, Norouzi, Lee & Hinton, ICML 2019; Song et al., JMLR 13 (2012)",
        null_model="all permutations of the rows: mean 0, in closed form",
    ),
    Measure(
        name="mutual_knn",
        title="Mutual nearest neighbours",
        kind="rows",
        low=0.0,
        high=1.0,
        best=1.0,
        ignores=RIGID,
        formula="mean share of a row's k nearest neighbours that both spaces have in common",
        source="Huh, Cheung, Wang & Isola, ICML 2024",
        null_model="all permutations of the rows: mean k/(m − 1), in closed form",
    ),
    Measure(
        name="cknna",
        title="CKNNA",
        kind="rows",
        low=-1.0,
        high=1.0,
        best=1.0,
        ignores=RIGID,
        formula="kernel alignment of centred rows over pairs that are neighbours in both spaces",
        source="Huh, Cheung, Wang & Isola, ICML 2024",
        null_model="all permutations of the rows, in closed form",
    ),
    Measure(
        name="rsa",
        title="RSA",
        kind="rows",
        low=-1.0,
        high=1.0,
        best=1.0,
        ignores=RIGID,
        formula="Spearman's ρ between the distances of all pairs of rows in the two spaces",
        source="Kriegeskorte, Mur & Bandettini, Frontiers in Systems Neuroscience 2 (2008)",
        null_model="all permutations of the rows: mean 0, in closed form",
    ),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _LISTED}
MOMENT_MEASURES = tuple(name for name, measure in MEASURES.items() if measure.kind == "moments")
ROW_MEASURES = tuple(name for name, measure in MEASURES.items() if measure.kind == "rows")


def row_estimates(
    a: RowView, b: RowView, *, k: int | None = None, seed: int = 0
) -> dict[str, Estimate]:
    """Return every row measure of two spaces by name, all of them symmetric.

    Both views hold the same m rows; None neighbours are min(10, (m − 1)//2).
    """
    return {
        "rbf_cka": rbf_cka(a, b, seed=seed),
        "mutual_knn": mutual_knn(a, b, k=k, seed=seed),
        "cknna": cknna(a, b, k=k, seed=seed),
        "rsa": rsa(a, b, seed=seed),
    }
