"""Estimates of the similarity study as the rows of its report."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

from intertwine.similarity.measures import MEASURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from intertwine.similarity.estimate import Estimate
    from intertwine.similarity.moment_measures import MomentScores, SpectraOf
    from intertwine.spaces import Space
    from intertwine.studies.similarity.layers import Networks

Row = dict[str, Any]
Estimates = dict[tuple[str, str], dict[str, "Estimate"]]

ITSELF = "a space against itself: no null"


def pair_rows(
    names: Sequence[str],
    estimates: Estimates,
    alphas: Mapping[tuple[str, str], float],
    known: SpectraOf,
    controls: Sequence[str],
) -> list[Row]:
    """Return the main table: every ordered pair, and each space against itself on the diagonal."""
    rows = []
    for source in names:
        for target in names:
            row: Row = {"source": source, "target": target}
            if source == target:
                row |= _diagonal(source, varies=source in known.spectra, shown=_shown(estimates))
            else:
                row |= _off_diagonal(estimates[source, target])
            row["alpha"] = alphas.get((source, target))
            row["control"] = bool({source, target} & set(controls))
            row["reason"] = "; ".join(dict.fromkeys(row["reasons"].values())) or None
            rows.append(row)
    return rows


def _shown(estimates: Estimates) -> list[str]:
    first = next(iter(estimates.values()), {})
    return [name for name in MEASURES if name in first]


def _off_diagonal(estimates: Mapping[str, Estimate]) -> Row:
    row: Row = {}
    reasons = {}
    for name, estimate in estimates.items():
        row |= estimate.to_row(name)
        if estimate.reasons:
            reasons[name] = "; ".join(estimate.reasons)
    return {**row, "reasons": reasons}


def _diagonal(name: str, *, varies: bool, shown: Sequence[str]) -> Row:
    row: Row = {}
    for measure in shown:
        best = MEASURES[measure].best if varies else None
        whole = 1.0 if varies else None
        row |= {measure: best, f"{measure}_low": best, f"{measure}_high": best}
        row |= {f"{measure}_null": None, f"{measure}_calibrated": whole}
        row |= {f"{measure}_calibrated_low": whole, f"{measure}_calibrated_high": whole}
    reason = ITSELF if varies else f"{name} does not vary over the rows"
    return {**row, "reasons": dict.fromkeys(shown, reason)}


def space_rows(
    networks: Networks,
    spaces: Mapping[str, Space],
    known: SpectraOf,
    info: Mapping[str, Mapping[str, Any]],
    controls: Sequence[str],
) -> list[Row]:
    """Return what each space is: its dimension, its spectrum, its network and layer."""
    rows = []
    for name, (network, layer) in networks.items():
        spectrum = known.spectra.get(name)
        rows.append(
            {
                "space": name,
                "dimension": spaces[name].dim,
                "rank": 0 if spectrum is None else spectrum.rank,
                "participation_ratio": None if spectrum is None else spectrum.participation_ratio,
                "kept": known.kept.get(name),
                "control": name in controls,
                "network": network,
                "layer": layer,
                "encoder": info.get(name, {}).get("encoder"),
                "reason": None if spectrum else f"{name} does not vary over the rows",
            }
        )
    return rows


def spectrum_rows(names: Sequence[str], whole: Mapping[tuple[str, str], MomentScores]) -> list[Row]:
    """Return the canonical correlations of every unordered pair, to six decimals."""
    rows = []
    for a, b in combinations(names, 2):
        scores = whole.get((a, b)) or whole[b, a]
        if scores.rho is not None:
            rho = [round(float(value), 6) for value in scores.rho]
            rows.append({"source": a, "target": b, "rho": rho})
    return rows
