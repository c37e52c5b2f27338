"""The plan in words: options, measures and decisions by name, and what is to be done next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.report.numbers import interval, plain, scored, unit
from intertwine.report.shapes import Text

if TYPE_CHECKING:
    from intertwine.report.schema import Row

CONVERT, BRIDGE, NOTHING, REEMBED, MEAN = "convert", "bridge", "nothing", "reembed", "mean"
MAPPED = (CONVERT, BRIDGE)
PAIRS, PROXY = "pairs", "proxy"
RECALL, NDCG, PRECISION = "recall", "ndcg", "precision"
# A measure's key in a row, and those of its interval's ends.
ENDS = {
    RECALL: ("recall_at_10", "ci_low", "ci_high"),
    NDCG: ("ndcg_at_10", "ndcg_low", "ndcg_high"),
    PRECISION: ("precision_at_10", "precision_low", "precision_high"),
}

DECISIONS = {
    "stay": "Stay with the old model",
    "bridge": "Bridge the queries: nothing has to be written",
    "convert": "Convert the stored vectors",
    "convert-and-backfill": "Convert the stored vectors, then repair what they miss",
    "reembed": "Re-embed the store",
}
MIGRATE = Text("intertwine migrate --map map.safetensors", kind="code")
NEXT: dict[str, list[Text]] = {
    "stay": [
        Text(
            "Nothing has to be done. Where the old model has to go, the notes say what is best; the "
            "maps lie beside this page."
        )
    ],
    "bridge": [
        Text("Send each query through"),
        Text("bridge.safetensors", kind="code"),
        Text("before it is searched for. The stored vectors stay as they are."),
    ],
    "convert": [Text("Convert the store:"), MIGRATE],
    "convert-and-backfill": [
        Text("Convert the store:"),
        MIGRATE,
        Text("– then re-rank each query’s first hits with the new model, or re-embed some items."),
    ],
    "reembed": [
        Text("Embed all items with the new model; where originals are gone, stay with the old one.")
    ],
}
OPTIONS = {
    "convert": "Convert the store",
    "bridge": "Bridge the queries",
    "nothing": "Do nothing",
    "mean": "Mean vector",
    "reembed": "Re-embed all",
    "stay": "Stay with the old model",
}
MEANINGS = {
    "convert": "stored vectors are mapped to the new model’s space; queries are the new model’s",
    "bridge": "queries are mapped back to the old model’s space; stored vectors stay",
    "nothing": "the new model’s queries against the old vectors, zero-padded or cut to size",
    "mean": "every vector the same: what guessing reaches",
    "reembed": "the new model’s queries against the new model’s vectors: the ceiling",
    "stay": "the old model’s queries against the old vectors: what there is today",
}
FITS = {"pairs": "pairs", "proxy": "proxy"}
MEASURES = {RECALL: "Recall@10", NDCG: "nDCG@10", PRECISION: "Precision@10"}
STAYING = {
    NDCG: "But where that, or re-embedding everything, is not shown to find more than the old model alone "
    "(the difference over the same queries, with its interval), the advice is to stay.",
    RECALL: "Recall is held to the new model’s own neighbours, so it cannot say whether the old model "
    "alone finds more: that takes labels.",
}
IN_TEXT = {RECALL: "recall@10", NDCG: "nDCG@10"}
METRICS = {"cosine": "cosine", "ip": "inner product", "l2": "Euclidean distance"}


def percent(value: float | None) -> str:
    """Return a setting such as 0.8 as a percentage with no more decimals than it has."""
    text = plain(None if value is None else 100 * value, 1)
    return unit(text.removesuffix(".0"))


def percents(row: Row, measure: str) -> tuple[float | None, ...]:
    """Return a measure of a row and the ends of its interval, in per cent."""
    return tuple(None if row.get(key) is None else 100 * row[key] for key in ENDS[measure])


def rate(row: Row, measure: str, places: int) -> str:
    """Return a measure of a row in per cent with its interval in brackets."""
    value, low, high = percents(row, measure)
    return scored(plain(value, places), interval(low, high, places))
