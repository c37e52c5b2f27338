"""The linkage study's tables, each declared once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import count
from intertwine.report.schema import REASON, Field, TableSchema

if TYPE_CHECKING:
    from collections.abc import Callable

    from intertwine.report.schema import Row

TPIR = "tpir_at_fpir_1e-2"


def _known_pairs(row: Row, _: int) -> str:
    return "" if row["condition"] == "native" else count(row["known_pairs"])


def _fewest(key: str) -> Callable[[Row, int], str]:
    """Return what shows a number of known pairs that may be none at all."""
    return lambda row, _: "no map needed" if row.get(key) == 0 else count(row.get(key))


def _blank(key: str, factor: int = 100) -> Callable[[Row, int], str]:
    """Return what shows a number of self-trained rows, and nothing in others."""

    def show(row: Row, _: int) -> str:
        value = row.get(key)
        return "" if value is None else f"{factor * value:,.1f}".removesuffix(".0")

    return show


# What self-training says of itself; null in rows of other conditions.
SCHEDULE = ("believed", "steps", "pseudo_share", "pseudo_share_by_chance", "seconds")
TRAINED_FIELDS = ("above_chance_from_self_trained", "half_of_native_from_self_trained")
SYSTEMS = (
    Field("source", "name", "Probes of", short="Probes"),
    Field("target", "name", "Gallery of", short="Gallery"),
)
CONDITION = (
    *SYSTEMS,
    Field("condition", "text", "Condition"),
    Field("known_pairs", "count", "Known pairs", short="Known pairs", show=_known_pairs),
)
PAIRS = TableSchema(
    "pairs",
    "One row a pair of systems and condition.",
    (
        *CONDITION,
        Field(
            "rank1",
            title="Rank 1, %",
            note="with its {confidence} interval over people",
            interval=True,
            short="Rank 1, %",
        ),
        Field("rank5", title="Rank 5, %", interval=True),
        Field("rank10", title="Rank 10, %", interval=True),
        Field(
            TPIR,
            title="TPIR, %",
            note="share of enrolled probes answered rightly at an FPIR of 1 %",
            interval=True,
            short="TPIR, %",
            meaning="share of enrolled probes answered rightly where at most 1 % of others are let "
            "through (FPIR)",
        ),
        Field(
            "d_sys",
            "number",
            "D_sys",
            note="0 unlinkable … 1 fully linkable",
            interval=True,
            short="D_sys",
            meaning="0 unlinkable … 1 fully linkable",
        ),
        Field(
            "d_sys_chance",
            "number",
            "Chance of D_sys",
            note="with mated and non-mated permuted",
            after="chance",
        ),
        Field("d_sys_chance_low", "number"),
        Field("d_sys_chance_high", "number"),
        Field(
            "chance",
            "chance",
            "Chance of rank 1, %",
            note="one over the people in the gallery",
            short="Chance, %",
            meaning="of rank 1: one over the people in the gallery",
        ),
        Field("chance_low"),
        Field("chance_high"),
        Field(f"{TPIR}_chance"),
        Field("n_gallery", "count", "People in gallery"),
        Field("n_templates", "count"),
        Field("n_probes", "count"),
        Field("n_people", "count"),
        Field("n_impostors", "count"),
        Field(
            "overlap",
            title="Overlap, %",
            note="share of the people searched for who have an unlabelled template",
            after="known_pairs",
            show=_blank("overlap"),
        ),
        Field(
            "believed",
            title="Self-training believed, %",
            note="share of folds",
            show=_blank("believed"),
        ),
        Field("steps", "number", "Steps", note="median over folds", show=_blank("steps", 1)),
        Field(
            "pseudo_share",
            title="Pseudo-pairs kept, %",
            note="of the unlabelled probes",
            show=_blank("pseudo_share"),
        ),
        Field("pseudo_share_by_chance"),
        Field(
            "seconds",
            "number",
            "Cost, s",
            note="of self-training, all folds",
            show=_blank("seconds", 1),
        ),
        REASON,
    ),
)
CMC = TableSchema(
    "cmc",
    "One row a condition and rank.",
    (*CONDITION, Field("rank", "count"), Field("rate"), Field("chance"), Field("overlap")),
)
LINKABLE = TableSchema(
    "linkable",
    "The fewest known pairs, of those tried, that make a withheld gallery linkable.",
    (
        *SYSTEMS,
        Field(
            "above_chance_from",
            "count",
            "Above chance from",
            note="fewest known pairs whose interval of rank 1 clears chance",
            show=_fewest("above_chance_from"),
        ),
        Field(
            "half_of_native_from",
            "count",
            "Half of native from",
            note="fewest known pairs that reach half of native rank 1",
            show=_fewest("half_of_native_from"),
        ),
        Field(
            "above_chance_from_self_trained",
            "count",
            "Above chance from, with unlabelled templates",
            note="the same after self-training",
            show=_fewest("above_chance_from_self_trained"),
        ),
        Field(
            "half_of_native_from_self_trained",
            "count",
            "Half of native from, with unlabelled templates",
            note="the same after self-training",
            show=_fewest("half_of_native_from_self_trained"),
        ),
        Field("rank1", title="Rank 1, %", note="with {most}", derived=True),
        Field(
            "native",
            title="Native rank 1, %",
            note="probes of the gallery’s own system",
            derived=True,
        ),
        REASON,
    ),
)
