"""What the plan works out of its pairs: forecasts, the rows of its tables and the final maps."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.studies.plan.decision import Judge
from intertwine.studies.plan.folds import Folds
from intertwine.studies.plan.forecast import curve_gains, from_pairs, from_proxy
from intertwine.studies.plan.measure import Measure
from intertwine.studies.plan.rows import (
    backfill_rows,
    calibration_rows,
    curve_rows,
    gallery_rows,
    recall_row,
    rerank_rows,
    score_row,
    threshold_rows,
)
from intertwine.studies.plan.scores import (
    BRIDGE,
    CONVERT,
    OPTIONS,
    Direction,
    native_table,
    nothing_table,
    stay_table,
)

if TYPE_CHECKING:
    from intertwine.maps.linear_map import LinearMap
    from intertwine.studies.plan.decision import Decision
    from intertwine.studies.plan.forecast import Forecast, Progress
    from intertwine.studies.plan.measure import Gains
    from intertwine.studies.plan.options import PlanOptions
    from intertwine.studies.plan.pairs import Pairs

    Row = dict[str, Any]


class Work:
    """What is worked out of the pairs, and of a proxy where there is one, each thing once."""

    def __init__(
        self, pairs: Pairs, proxy: Pairs | None, options: PlanOptions, progress: Progress
    ) -> None:
        self.pairs, self.proxy, self.options, self.progress = pairs, proxy, options, progress
        metric = options.metric
        self.native = native_table(pairs, metric)
        self.measure = Measure(self.native, pairs.labels, groups=pairs.groups)
        self.nothing = self.measure.of([(1.0, nothing_table(pairs, metric))])
        self.stay = self.measure.of([(1.0, stay_table(pairs, metric))])
        # Its recall is 1 by definition, whatever is tied with a tenth neighbour.
        found = self.measure.of([(1.0, self.native)])
        self.reembed = replace(found, recall=np.ones_like(found.recall))
        self.judge = Judge(
            self.measure,
            self.native,
            self.reembed,
            self.nothing,
            options.accept,
            options.least,
            self.stay,
        )
        self.forecasts = self._forecasts()

    def _forecasts(self) -> list[Forecast]:
        measure, progress = self.measure, self.progress
        how = {"n_folds": self.options.n_folds, "seed": self.options.seed}
        folds = Folds.of(self.pairs, **how)
        directions = [Direction(self.pairs, option, self.options.metric) for option in OPTIONS]
        scaled = self._scaled_folds(self.pairs)
        forecasts = []
        for each in directions:
            both = None if scaled is None else (each.scaled(scaled.fine[0].pairs), scaled)
            forecasts.append(from_pairs(each, folds, measure, progress, scaled=both))
        if self.proxy is not None:
            other, more = Folds.of(self.proxy, **how), self._scaled_folds(self.proxy)
            forecasts += [
                from_proxy(each, self.proxy, other, measure, progress, scaled=more)
                for each in directions
            ]
        return forecasts

    def _scaled_folds(self, pairs: Pairs) -> Folds | None:
        """Return folds of the same pairs with vectors of length 1, where lengths differ and mean nothing."""
        if self.options.metric != "cosine" or pairs.directions is None:
            return None
        return Folds.of(pairs.directions, self.options.n_folds, seed=self.options.seed)

    def rows(self) -> dict[str, list[Row]]:
        """Return the rows of every table but `domain`."""
        measure, options = self.measure, self.options
        convert, bridge = (self.judge.best(self.forecasts, option) for option in OPTIONS)
        of_pairs = {each.direction.option: each for each in self.forecasts if each.fit == "pairs"}
        curves = {
            option: curve_gains(
                each, measure, n_folds=options.n_folds, seed=options.seed, progress=self.progress
            )
            for option, each in of_pairs.items()
        }
        single = {each.direction.option: each.tables[0][1] for each in (convert, bridge)}
        return {
            "pairs": self._option_rows(),
            "baselines": [
                {"option": "stay", "n_pairs": self.pairs.n, **self._score_row(self.stay)}
            ],
            "curve": curve_rows(self.judge, curves),
            "candidates": [*convert.rows, *bridge.rows],
            "rerank": rerank_rows(measure, convert.tables),
            "backfill": backfill_rows(
                measure, convert.tables, self.native, convert.direction.pairs.a
            ),
            "thresholds": threshold_rows(self.native, single),
            "calibration": calibration_rows(self.native, single),
            "gallery": gallery_rows(self.native, (convert, bridge)),
        }

    def _option_rows(self) -> list[Row]:
        """Return a row an option; `n_pairs` are those fitted on, or without a fit those looked at."""
        n_pairs = self.pairs.n
        fitted = {"pairs": n_pairs, "proxy": n_pairs if self.proxy is None else self.proxy.n}
        rows = [
            {
                "option": each.direction.option,
                "fit": each.fit,
                "n_pairs": fitted[each.fit],
                **self._score_row(each.gains),
            }
            for each in self.forecasts
        ]
        others: list[tuple[str, Gains]] = [
            ("nothing", self.nothing),
            ("reembed", self.reembed),
            ("mean", self.judge.chance),
        ]
        for option, gains in others:
            certain = option in {"reembed", "mean"}
            row = self._score_row(gains, certain=certain)
            rows.append({"option": option, "fit": None, "n_pairs": n_pairs, **row})
        return rows

    def _score_row(self, gains: Gains, *, certain: bool = False) -> Row:
        scores = score_row(self.measure, gains, certain=certain)
        return {**scores, **self.judge.share_row(gains)}

    def chosen(self, decision: Decision, option: str) -> Forecast:
        """Return the forecast of an option with the fit that is recommended."""
        for each in self.forecasts:
            if (each.direction.option, each.fit) == (option, decision.fit):
                return each
        return self.judge.best(self.forecasts, option)

    def recommended(self, decision: Decision) -> dict[str, Any]:
        """Return method and λ of the recommended option, of converting where none is."""
        option = BRIDGE if decision.moving == BRIDGE else CONVERT
        candidate = self.chosen(decision, option).candidate
        return {"method": candidate.method, "alpha": candidate.alpha}

    def maps(self, decision: Decision) -> dict[str, LinearMap]:
        """Return the final maps, with what they were chosen by in their facts."""
        maps = {}
        for option in OPTIONS:
            each = self.chosen(decision, option)
            row = recall_row(self.measure, each.gains.recall)
            unit = Direction(self.pairs, option, self.options.metric).unit
            facts = {**row, "n_pairs": self.pairs.n, "unit": unit}
            alpha = each.candidate.alpha
            maps[option] = each.final.with_info(alpha=alpha, plan=facts)
        return maps
