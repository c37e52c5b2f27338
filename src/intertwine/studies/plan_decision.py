"""What to do: bridge, convert, convert and repair, or re-embed; with the reason in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.metrics.retrieval import Lists
from intertwine.studies.plan_domain import least_known
from intertwine.studies.plan_measure import combined, listed
from intertwine.studies.plan_scores import BRIDGE, CONVERT
from intertwine.studies.plan_tables import backfilled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.arrays import Array
    from intertwine.studies.plan_forecast import Forecast
from intertwine.studies.plan_measure import Estimate, Gains, Measure

REEMBED, REPAIR = "reembed", "convert-and-backfill"
RERANKED = 50
BACKFILLED = 0.25


@dataclass(frozen=True)
class Decision:
    """What the plan recommends.

    Parameters
    ----------
    decision
        `bridge`, `convert`, `convert-and-backfill` or `reembed`.
    reason
        One sentence with the numbers.
    fit
        What the recommended maps were fitted on.
    """

    decision: str
    reason: str
    fit: str


@dataclass(frozen=True)
class Judge:
    """Weighs forecasts against what is asked for.

    Parameters
    ----------
    measure
        Counts what is found.
    native
        (n, n) scores of new queries with new vectors.
    reembed, nothing
        What re-embedding everything finds, and what is found without a map.
    accept, least
        Shares of the quality of re-embedding: enough, and worth repairing.
    """

    measure: Measure
    native: Array
    reembed: Gains
    nothing: Gains
    accept: float
    least: float

    @property
    def name(self) -> str:
        """What quality is: nDCG where there are labels, else recall."""
        return "ndcg" if self.reembed.ndcg is not None else "recall"

    @property
    def said(self) -> str:
        """The name of the quality in a sentence."""
        return "nDCG@10" if self.name == "ndcg" else "recall@10"

    def quality(self, gains: Gains) -> Array:
        """Return quality as a share of re-embedding's, with everybody and without each group."""
        own, best = gains.by_name(self.name), self.reembed.by_name(self.name)
        return np.asarray(np.asarray(own) / np.asarray(best))

    def best(self, forecasts: Sequence[Forecast], option: str) -> Forecast:
        """Return the forecast of an option, of the better fit."""
        of_option = [each for each in forecasts if each.direction.option == option]
        return max(of_option, key=lambda each: float(self.quality(each.gains)[0]))

    def decide(self, forecasts: Sequence[Forecast], store: dict[str, Any] | None) -> Decision:
        """Return the decision.

        Parameters
        ----------
        forecasts
            Of both options, with every fit.
        store
            The row that says whether the store is of the pairs' domain, where that is known.
        """
        convert, bridge = (self.best(forecasts, option) for option in (CONVERT, BRIDGE))
        refused = self._refusal(convert, store)
        if refused is not None:
            return Decision(REEMBED, refused, convert.fit)
        converted, bridged = (self._estimate(each.gains) for each in (convert, bridge))
        behind = self.quality(bridge.gains) - self.quality(convert.gains)
        no_worse = self.measure.estimate(behind).high >= 0
        if bridged.low >= self.accept and no_worse:
            return Decision(
                BRIDGE,
                f"Mapping the queries back reaches {self._share(bridged)}, at least "
                f"{self._percent(self.accept)}, and is no worse than converting: nothing has to be "
                "written.",
                bridge.fit,
            )
        reached = f"Converting reaches {self._share(converted)}"
        if converted.low >= self.accept:
            return Decision(
                CONVERT, f"{reached}, at least {self._percent(self.accept)}.", convert.fit
            )
        return self._repaired(convert, converted, reached)

    def _refusal(self, convert: Forecast, store: dict[str, Any] | None) -> str | None:
        if store is not None and store["shift"]:
            extreme, plain = (
                ("The store's vectors", "pairs")
                if store["of"] == "store"
                else ("The pairs' vectors", "vectors of the store")
            )
            return (
                f"{extreme} have {store['ratio']:.1f} times the leverage of held-out {plain}: the "
                "pairs are not of the store's domain, and no forecast from them holds for it."
            )
        for other, name in ((self.nothing, "no map"), (self.measure.of_chance(), "chance")):
            gained = self.measure.estimate(convert.gains.recall - other.recall)
            if gained.low <= 0:
                return (
                    f"Converting finds {self._percent(max(gained.value + float(other.recall[0]), 0))} of the true "
                    f"neighbours, not reliably more than {name} does "
                    f"({self._percent(float(other.recall[0]))}): the two spaces seem unrelated."
                )
        return None

    def _repaired(self, convert: Forecast, quality: Estimate, reached: str) -> Decision:
        """Decide between repairing a converted store and re-embedding it."""
        short = f"{reached}, not surely {self._percent(self.accept)}"
        if quality.value < self.least:
            return Decision(
                REEMBED,
                f"{reached}, less than the {self._percent(self.least)} that is worth repairing.",
                convert.fit,
            )
        repairs = (
            (f"re-ranking the first {RERANKED}", self._reranked(convert)),
            (f"re-embedding {self._percent(BACKFILLED)} of the items", self._backfilled(convert)),
        )
        for name, gains in repairs:
            found = self._estimate(gains)
            if found.low >= self.accept:
                return Decision(
                    REPAIR,
                    f"{short}, but {name} as well reaches {self._share(found)}.",
                    convert.fit,
                )
        return Decision(
            REEMBED,
            f"{short}; neither {repairs[0][0]} nor {repairs[1][0]} reaches it.",
            convert.fit,
        )

    def _reranked(self, convert: Forecast) -> Gains:
        """Return what is found when the first hits are put in the new model's own order."""
        return combined(
            [
                (share, self.measure.found(reranked(listed(table, RERANKED), self.native)))
                for share, table in convert.tables
            ]
        )

    def _backfilled(self, convert: Forecast) -> Gains:
        order = least_known(convert.direction.pairs.a)
        return self.measure.of(backfilled(convert.tables, self.native, order, BACKFILLED))

    def _estimate(self, gains: Gains) -> Estimate:
        return self.measure.estimate(self.quality(gains))

    def _share(self, found: Estimate) -> str:
        return (
            f"{self._percent(found.value)} of the {self.said} of re-embedding "
            f"({max(100 * found.low, 0):.1f} to {self._percent(found.high)})"
        )

    @staticmethod
    def _percent(value: float) -> str:
        return f"{100 * value:.1f}".removesuffix(".0") + " %"


def reranked(lists: Lists, native: Array) -> Lists:
    """Return the same items in the order of other scores.

    Parameters
    ----------
    lists
        What was found.
    native
        (n, n) scores to order by.
    """
    scores = np.take_along_axis(native, lists.items, axis=1)
    scores[lists.items < 0] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")
    return Lists(
        np.take_along_axis(scores, order, axis=1), np.take_along_axis(lists.items, order, axis=1)
    )
