"""What to do: stay, bridge, convert, convert and repair, or re-embed; and the reason."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.metrics.retrieval import Lists
from intertwine.studies.plan.domain import least_known
from intertwine.studies.plan.measure import Estimate, Gains, Measure, combined, listed
from intertwine.studies.plan.scores import BRIDGE, CONVERT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from intertwine.numerics.arrays import Array
    from intertwine.studies.plan.forecast import Forecast
    from intertwine.studies.plan.measure import Tables

REEMBED, REPAIR, STAY = "reembed", "convert-and-backfill", "stay"
RERANKED = 50
BACKFILLED = 0.25
# How far an option's recall may lie under its nDCG, or another's recall, before a reason mentions it.
GAP = 0.1


@dataclass(frozen=True)
class Decision:
    """What the plan recommends, why, and what the recommended maps were fitted on.

    `decision` is `stay`, `bridge`, `convert`, `convert-and-backfill` or `reembed`. With `stay`,
    `otherwise` and `otherwise_reason` are for those whose old model has to go.
    """

    decision: str
    reason: str
    fit: str
    otherwise: str | None = None
    otherwise_reason: str | None = None

    @property
    def moving(self) -> str:
        """What is recommended to those who move."""
        return self.otherwise or self.decision


@dataclass(frozen=True)
class Judge:
    """Weighs forecasts against what is asked for.

    `native` are the (n, n) scores of new queries with new vectors; `reembed`, `nothing` and `stay`
    what re-embedding everything, no map, and the old model alone find. `accept` and `least` are
    shares of the quality of re-embedding: enough, and worth repairing. Staying is weighed by
    labels, and not at all where `stay` is None.
    """

    measure: Measure
    native: Array
    reembed: Gains
    nothing: Gains
    accept: float
    least: float
    stay: Gains | None = None

    @cached_property
    def chance(self) -> Gains:
        """What a random order finds."""
        return self.measure.of_chance()

    @cached_property
    def name(self) -> str:
        """What quality is: nDCG where labels part the truth from chance, else recall."""
        return "ndcg" if self.measure.tells(self.reembed) else "recall"

    @cached_property
    def weighs_staying(self) -> bool:
        """Whether labels part from chance what either model finds."""
        old = self.stay is not None and self.measure.tells(self.stay)
        return self.name == "ndcg" or old

    @property
    def quality_name(self) -> str:
        """The name of the quality in a sentence."""
        return "nDCG@10" if self.name == "ndcg" else "recall@10"

    def quality(self, gains: Gains) -> Array:
        """Return quality as a share of re-embedding's, with everybody and without each group.

        Of nDCG it is the share of what re-embedding finds above chance: where nearly all items are
        relevant a random order finds nearly all.
        """
        own, best = (np.asarray(each.by_name(self.name)) for each in (gains, self.reembed))
        if self.name == "recall":
            return np.asarray(own / best)
        chance = np.asarray(self.chance.ndcg)
        return np.asarray((own - chance) / (best - chance))

    def share_row(self, gains: Gains) -> dict[str, Any]:
        """Return quality with its interval, as the report's rows hold it."""
        estimate = self._estimate(gains)
        return {
            "quality": estimate.value,
            "quality_low": estimate.low,
            "quality_high": estimate.high,
        }

    def best(self, forecasts: Sequence[Forecast], option: str) -> Forecast:
        """Return the forecast of an option, of the better fit."""
        of_option = [each for each in forecasts if each.direction.option == option]
        return max(of_option, key=lambda each: float(self.quality(each.gains)[0]))

    def decide(self, forecasts: Sequence[Forecast], store: dict[str, Any] | None) -> Decision:
        """Return the decision from forecasts of both options with every fit.

        `store` is the row on whether the store is of the pairs' domain, where that is known.
        """
        convert, bridge = (self.best(forecasts, option) for option in (CONVERT, BRIDGE))
        elsewhere, strange = self._elsewhere(store), self.stranger(convert)
        if elsewhere is not None:
            return Decision(REEMBED, elsewhere, convert.fit)
        if strange is not None:
            reembed = Decision(REEMBED, strange, convert.fit)
            return self._weighed(reembed, "re-embedding everything", self.reembed)
        return self._weighed(*self._moved(convert, bridge))

    def _moved(self, convert: Forecast, bridge: Forecast) -> tuple[Decision, str, Gains]:
        """Return what is best for those who move, its name in a sentence, and what it finds."""
        converted, bridged = (self._estimate(each.gains) for each in (convert, bridge))
        behind = self.quality(bridge.gains) - self.quality(convert.gains)
        no_worse = self.measure.estimate(behind).high >= 0
        if bridged.low >= self.accept and no_worse:
            reason = (
                f"Mapping the queries back reaches {self._share(bridged)}, at least "
                f"{self._percent(self.accept)}, and by {self.quality_name} is no worse than converting: "
                f"nothing has to be written.{self._gap(bridge.gains, bridged, convert.gains)}"
            )
            name = "mapping the queries back"
            return Decision(BRIDGE, reason, bridge.fit), name, bridge.gains
        reached = f"Converting reaches {self._share(converted)}"
        if converted.low >= self.accept:
            reason = f"{reached}, at least {self._percent(self.accept)}."
            reason += self._gap(convert.gains, converted)
            return Decision(CONVERT, reason, convert.fit), "converting", convert.gains
        return self._repaired(convert, converted, reached)

    def _gap(self, gains: Gains, quality: Estimate, convert: Gains | None = None) -> str:
        """Return a sentence on recall where another measure decides and it lies far under that."""
        recall = min(max(float(gains.recall[0]), 0.0), 1.0)
        behind = 0.0 if convert is None else float(convert.recall[0]) - recall
        if self.name == "recall" or max(quality.value - recall, behind) < GAP:
            return ""
        other = f", converting {self._percent(recall + behind)}" if behind >= GAP else ""
        return (
            f" Of the new model's own ten nearest it finds fewer: recall@10 is "
            f"{self._percent(recall)}{other}."
        )

    def _weighed(self, found: Decision, name: str, gains: Gains) -> Decision:
        """Return the decision, to stay where moving is not shown to find more than the old model."""
        if self.stay is None or not self.weighs_staying:
            return found
        top, now = np.asarray(self.reembed.ndcg), np.asarray(self.stay.ndcg)
        new = self.measure.estimate(top - now)
        if new.low <= 0:
            reason = self._no_more(new, top, "re-embedding everything") + "."
        elif found.decision == REEMBED:
            return found
        else:
            reached = np.asarray(gains.ndcg)
            moved = self.measure.estimate(reached - now)
            if moved.low > 0:
                return found
            best = f"only re-embedding everything finds surely more, {self._percent(top[0])}"
            reason = f"{self._no_more(moved, reached, name)}; {best}."
        return Decision(STAY, reason, found.fit, found.decision, found.reason)

    def _no_more(self, gained: Estimate, reached: Array, name: str) -> str:
        assert self.stay is not None  # noqa: S101 - who calls has looked
        now, then = (self._percent(each[0]) for each in (np.asarray(self.stay.ndcg), reached))
        lead = "Moving is not shown to find more than your old model alone"
        if gained.value < 0:
            lead = "Your old model alone finds more"
            lead += "" if gained.high < 0 else ", if not surely"
        return (
            f"{lead}: nDCG@10 {now} against {then} by {name} (a difference of "
            f"{100 * gained.value:.1f} points, {100 * gained.low:.1f} to {100 * gained.high:.1f})"
        )

    def _elsewhere(self, store: dict[str, Any] | None) -> str | None:
        """Return that the pairs are not of the store's domain; None where they may be."""
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
        return None

    def stranger(self, convert: Forecast) -> str | None:
        """Return that converting finds no more than no map does, or chance; None where it does."""
        for other, name in ((self.nothing, "no map"), (self.chance, "chance")):
            gained = self.measure.estimate(convert.gains.recall - other.recall)
            # What finds as much without a map is no stranger: nearly the same model, or the very one.
            if gained.low <= 0 and float(other.recall[0]) < self.least:
                return (
                    f"Converting finds {self._percent(max(gained.value + float(other.recall[0]), 0))} of the true "
                    f"neighbours, not reliably more than {name} does "
                    f"({self._percent(float(other.recall[0]))}): the two spaces seem unrelated."
                )
        return None

    def _repaired(
        self, convert: Forecast, quality: Estimate, reached: str
    ) -> tuple[Decision, str, Gains]:
        """Decide between repairing a converted store and re-embedding it."""
        again = "re-embedding everything"
        short = f"{reached}, not surely {self._percent(self.accept)}"
        if quality.value < self.least:
            reason = (
                f"{reached}, less than the {self._percent(self.least)} that is worth repairing."
            )
            return Decision(REEMBED, reason, convert.fit), again, self.reembed
        repairs = (
            (f"re-ranking the first {RERANKED}", self._reranked(convert)),
            (f"re-embedding {self._percent(BACKFILLED)} of the items", self._backfilled(convert)),
        )
        for name, gains in repairs:
            estimate = self._estimate(gains)
            if estimate.low >= self.accept:
                reason = f"{short}, but {name} as well reaches {self._share(estimate)}."
                return Decision(REPAIR, reason, convert.fit), f"converting and {name}", gains
        reason = f"{short}; neither {repairs[0][0]} nor {repairs[1][0]} reaches it."
        return Decision(REEMBED, reason, convert.fit), again, self.reembed

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

    def _share(self, estimate: Estimate) -> str:
        return (
            f"{self._percent(estimate.value)} of the {self.quality_name} of re-embedding"
            f"{', above chance' if self.name == 'ndcg' else ''} "
            f"({max(100 * estimate.low, 0):.1f} to {self._percent(estimate.high)})"
        )

    @staticmethod
    def _percent(value: float) -> str:
        return f"{100 * value:.1f}".removesuffix(".0") + " %"


def reranked(lists: Lists, native: Array) -> Lists:
    """Return the same items in the order of other scores, (n, n)."""
    scores = np.take_along_axis(native, lists.items, axis=1)
    scores[lists.items < 0] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")
    return Lists(
        np.take_along_axis(scores, order, axis=1), np.take_along_axis(lists.items, order, axis=1)
    )


def backfilled(tables: Tables, native: Array, order: Array, share: float) -> Tables:
    """Return scores of converted items after the first share in `order` has been re-embedded."""
    worst = order[: round(share * len(order))]
    changed = []
    for coefficient, table in tables:
        copy = table.copy()
        copy[:, worst] = native[:, worst]
        changed.append((coefficient, copy))
    return changed
