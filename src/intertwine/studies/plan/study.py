"""The plan study: what a store of old vectors would retrieve for a new model, before it is touched."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from intertwine._moved import renamed
from intertwine.metrics.intervals import CONFIDENCE
from intertwine.numerics.linalg import is_unit
from intertwine.studies.plan.groups import grouped, without_copies
from intertwine.studies.plan.measure import K
from intertwine.studies.plan.misaligned import misaligned
from intertwine.studies.plan.notes import notes, warnings
from intertwine.studies.plan.options import PlanOptions
from intertwine.studies.plan.pairs import Pairs, store_sample
from intertwine.studies.plan.rows import domain_rows
from intertwine.studies.plan.scores import BRIDGE, CONVERT
from intertwine.studies.plan.work import Work
from intertwine.studies.result import StudyResult
from intertwine.wording import counted

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping, Sequence

    from intertwine.features.feature_set import FeatureSet
    from intertwine.maps.linear_map import LinearMap
    from intertwine.report.page import Page
    from intertwine.studies.plan.decision import Decision
    from intertwine.studies.plan.lookup import PlanStudy
    from intertwine.vectors import VectorFile

    Progress = Callable[[str, int, int], None]
    Row = dict[str, Any]

# Files of a report's folder that hold the maps.
MAPS = {"convert": "map.safetensors", "bridge": "bridge.safetensors"}


@dataclass(frozen=True, repr=False)
class PlanResult(StudyResult):
    """The result of the plan study: the object that `report.json` holds, and the recommended maps.

    Parameters
    ----------
    facts
        Single values by key: decision, reason, sizes, options, warnings, notes and so on.
    tables
        The tables by name, a dictionary a row. A number that is undefined is None with a reason.
    maps
        The recommended maps by option: `convert` from the old space to the new one, `bridge` back.
    """

    study: ClassVar[str] = "plan"

    tables: dict[str, list[dict[str, Any]] | None] = field(default_factory=dict)
    maps: dict[str, LinearMap] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the result as one JSON-ready object, which is that of `report.json`."""
        return {"study": self.study, **self.facts, **self.tables}

    def _lines(self) -> list[str]:
        facts = self.facts
        return [
            f"plan for {facts['source']} → {facts['target']}: {counted(facts['n_pairs'], 'pair', form=',')}",
            f"{facts['decision']}: {facts['reason']}",
        ]

    def _report(self) -> PlanStudy:
        from intertwine.studies.plan.lookup import PlanStudy

        return PlanStudy.of(self.to_json())

    def _page(self) -> Page:
        from intertwine.studies.plan.page import summarise_plan

        return summarise_plan(self._report())

    def _write(self, result: dict[str, Any], folder: str | os.PathLike[str]) -> Path:
        from intertwine.report import check_folder
        from intertwine.studies.plan.report import write_plan_report

        check_folder(folder, self.study)
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        for option, file in MAPS.items():
            if option in self.maps:
                self.maps[option].save(place / file)
            elif (place / "report.json").exists():
                # An earlier plan recommended it, this one does not.
                (place / file).unlink(missing_ok=True)
        return write_plan_report(result, folder)


@renamed(say="progress")
def plan(
    pairs: FeatureSet,
    source: str,
    target: str,
    *,
    options: PlanOptions | None = None,
    proxy: FeatureSet | None = None,
    store: VectorFile | None = None,
    groups: Path | None = None,
    progress: Progress | None = None,
) -> PlanResult:
    """Forecast how well each way to a new model would retrieve, and recommend one.

    Parameters
    ----------
    pairs
        Items of the store's domain through both models; labels where there are any.
    source
        The old model's space, whose vectors the store holds.
    target
        The new model's space, from which queries will come.
    options
        How the plan is made.
    proxy
        Other items through both models, such as public ones where originals are gone.
    store
        The store's vectors, a sample of which says whether the pairs are of its domain.
    groups
        A file that says which pairs belong together, such as pieces of one document: a group a
        line. Without it near copies are looked for.
    progress
        Called with (what, done, total) as work goes on.

    Returns
    -------
    result
        Forecasts, a decision, and maps to carry it out.

    Raises
    ------
    InputError
        For spaces that are not there, one and the same or constant, fewer than 50 pairs, NaN,
        infinity, vectors of length zero under cosine, and a store of another dimension.
    SpaceMismatchError
        Where the proxy's spaces are not those of the pairs.
    """
    options = options or PlanOptions()
    how: dict[str, Any] = {"metric": options.metric, "rows": options.rows}
    read = Pairs.of(pairs, source, target, **how)
    own, grouping = grouped(read, pairs, groups, options.metric, options.n_folds)
    other = None if proxy is None else Pairs.of(proxy, source, target, **how, without=own)
    if other is not None:
        other = without_copies(other, own, options.metric)
    wrong = misaligned(own, options.metric)
    vectors = None if store is None else store_sample(store, own.source, metric=options.metric)
    work = Work(own, other, options, progress or (lambda *_: None))
    domain = domain_rows(own, other, vectors)
    decision = work.judge.decide(work.forecasts, _store_row(domain))
    rows = {**work.rows(), "domain": domain}
    doubts = warnings(work, pairs, grouping, wrong, rows["pairs"] or [])
    between = {"source": source, "target": target}
    return PlanResult(
        facts={
            "version": metadata.version("intertwine"),
            "inputs": {
                "pairs": own.names,
                "proxy": None if other is None else other.names,
                "store": None if store is None else store.path.name,
            },
            "warnings": doubts,
            "notes": [*doubts, *notes(work, decision, grouping, rows["pairs"] or [])],
            **_sizes(own, other, options),
            **asdict(decision),
            **work.recommended(decision),
            "accept": options.accept,
            "least": options.least,
            **_pairs_needed(work, rows["curve"] or [], decision),
            "labels": work.measure.labels is not None,
            "quality": work.judge.name,
            "n_groups": None if own.groups is None else int(own.groups.max()) + 1,
            "unit": is_unit(own.b),
        },
        tables={
            name: None if found is None else [{**between, **row} for row in found]
            for name, found in rows.items()
        },
        maps=work.maps(decision),
    )


def _sizes(pairs: Pairs, proxy: Pairs | None, options: PlanOptions) -> dict[str, Any]:
    return {
        "source": pairs.source.name,
        "target": pairs.target.name,
        "d_source": pairs.source.dim,
        "d_target": pairs.target.dim,
        "n_pairs": pairs.n,
        "n_proxy": None if proxy is None else proxy.n,
        "metric": options.metric,
        "k": K,
        "folds": options.n_folds,
        "confidence": CONFIDENCE,
    }


def _store_row(domain: Sequence[Mapping[str, Any]] | None) -> dict[str, Any] | None:
    """Return the row that speaks most against the store being of the pairs' domain."""
    both = {"store", "pairs"}
    rows = [dict(row) for row in domain or () if {row["of"], row["under"]} == both]
    return max(rows, key=lambda row: float(row["ratio"]), default=None)


def _pairs_needed(work: Work, curve: Sequence[Row], decision: Decision) -> dict[str, Any]:
    option = BRIDGE if decision.moving == BRIDGE else CONVERT
    accept, measure = work.options.accept, work.judge.quality_name
    enough = [
        row["n_pairs"] for row in curve if row["option"] == option and row["quality"] >= accept
    ]
    wanted = f"a {measure} of {100 * accept:g} %"
    if work.judge.name == "ndcg":
        wanted = f"{100 * accept:g} % of the {measure} of re-embedding, above chance"
    return {
        "pairs_needed": min(enough, default=None),
        "pairs_needed_reason": None if enough else f"no number of pairs tried reaches {wanted}",
    }
