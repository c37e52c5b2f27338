"""Self-training: a map from few pairs and from many unpaired rows of either space.

Rows are centred and turned to the principal axes of all rows of their side, paired or not. Then, with
C = Σ a bᵀ over the pairs:

1. C = U S Vᵀ; a becomes S^¼ Uᵀa and b becomes S^¼ Vᵀb, each scaled to length 1: half way between
   Procrustes (power 0) and the cross-covariance itself (power ½).
2. t_ij = 2⟨a_i, b_j⟩ − r_i − r_j for unpaired rows, where r is the mean cosine of a row's K nearest on
   the other side: CSLS of Conneau et al., *Word translation without parallel data*, ICLR (2018).
3. p_ij = softmax_j(t_ij/τ) · softmax_i(t_ij/τ): each of the two must choose the other among all. At τ → 0
   these are mutual nearest neighbours; Rocco et al., *Neighbourhood consensus networks*, NeurIPS (2018).
4. C = w Σ a bᵀ over the pairs + Σ p_ij a_i b_jᵀ, and again from 1.

A row that several others fit equally well, as one without a counterpart does, has little weight; the
sum of all p_ij grows by itself as the map becomes better. Nothing ensures that it does: where the two
sides have few items in common, the steps lead away from the truth. So they are taken first with known
pairs left out, and only as many as bring those nearer to each other than the map of pairs alone does;
if none do, that map is the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from intertwine.errors import InputError
from intertwine.estimators.soft_matches import Matches, match, ranks
from intertwine.maps.linear_map import LinearMap
from intertwine.maps.map_pair import MapPair
from intertwine.numerics.arrays import as_features, check_finite
from intertwine.numerics.linalg import svd, unit
from intertwine.spaces import Space
from intertwine.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from intertwine.numerics.arrays import Array

    Fitted = LinearMap | MapPair
    # Fits the map of pairs alone, rows by space.
    PairedFit = Callable[[dict[str, Array]], Fitted]

METHOD = "self-training"
MIN_PAIRS = 5
# Principal axes of a side that are used.
AXES = 128
POWER = 0.25
# w: how many times a known pair counts.
KNOWN_WEIGHT = 2.0
MAX_STEPS = 16
# Steps without a gain after which no more are tried, and a gain of mean log rank that counts as one.
PATIENCE, LEAST_GAIN = 2, 0.02
# Known pairs that are left out to judge by, where there are so many; all in turn where there are fewer.
HELD_OUT, MAX_FOLDS = 32, 4
# Nearly all pairs may take more steps, as long as Σ p_ij grows by this factor a step; where it ends at
# this many times what rows without counterparts reach, it is considered. Without a counterpart for
# anybody, faces reached 1.4 to 2.1 times, with one for everybody 2.2 to 3.4.
MOST_STEPS, LEAST_GROWTH, EVIDENT = 24, 1.005, 1.8
# Pairs that are left out of these steps at the least, and a mean rank below which nothing is sought.
LEAST_HELD, FOUND = 4, 1.5
SHARES = ("share", "share_by_chance")
# Rows of the source that take part in a step, while it is judged and when it is final.
TRIAL_ROWS, FINAL_ROWS = 2048, 8192


@dataclass(frozen=True)
class PartlyPaired:
    """Rows of two or more spaces, of which only some are known to belong together.

    Parameters
    ----------
    pairs
        (n_pairs, d) by space; row i of every space is the same item.
    unpaired
        (n_unpaired, d) by space, a number of rows of its own; which belong together is unknown, and
        some may have no counterpart.
    """

    pairs: Mapping[str, Array]
    unpaired: Mapping[str, Array]

    def of(self, space: Space) -> tuple[Array, Array]:
        """Return the paired and the unpaired rows of a space, checked.

        InputError for a space that either lacks, another dimension, or features that are not finite.
        """
        checked = []
        for what, rows in (("pairs", self.pairs), ("unpaired rows", self.unpaired)):
            if space.name not in rows:
                raise InputError(f"got no {what} of space {space.name}, which {METHOD} needs")
            name = f"{what} of {space.name}"
            checked.append(as_features(rows[space.name], name=name, dim=space.dim))
            check_finite(checked[-1], name=name)
        return checked[0], checked[1]


def self_training(
    rows: PartlyPaired, source: Space, target: Space, paired: PairedFit, *, shared: bool = True
) -> LinearMap | MapPair:
    """Fit a map on pairs and on unpaired rows, or on pairs alone where unpaired rows do not help.

    Parameters
    ----------
    rows
        Pairs, at least 5, and unpaired rows of both spaces. Only n_pairs · n_unpaired and blocks of
        n_source · n_target cosines are ever held; beyond 8,192 unpaired rows of the source, evenly
        chosen ones take part.
    source, target
        The two spaces.
    paired
        Fits a map on pairs, as the method does that the result has to surpass.
    shared
        Whether the result may be a pair of maps into the space of step 1.

    Returns
    -------
    map
        One of three, whichever ranks known pairs best that were left out, among the unpaired rows of
        the target: that of `paired` on the pairs; that of `paired` on the pairs and on pseudo-pairs;
        or a `MapPair` into the space of step 1. `info["self_training"]` holds `believed`, whether it
        is not the first; `kind` (`paired`, `refitted` or `shared`); `steps`; `share`, Σ p_ij over the
        source's rows, and `share_by_chance`, the same for rows without counterparts; `held_out`, the
        pairs that were judged by, with the geometric means of their ranks, `rank` and `rank_paired`.
        None of them says which rows belong together.

    Raises
    ------
    InputError
        For fewer than 5 pairs, a space that is lacking, another dimension, features that are not
        finite, or a side whose rows are all the same.
    """
    mine, theirs = Side.of(rows, source), Side.of(rows, target)
    n_pairs = len(mine.pairs)
    if n_pairs != len(theirs.pairs):
        raise InputError(
            f"got {n_pairs} and {len(theirs.pairs)} paired rows, expected as many of both spaces"
        )
    if n_pairs < MIN_PAIRS:
        raise InputError(
            f"got {counted(n_pairs, 'pair')}, expected at least {MIN_PAIRS} for {METHOD}"
        )
    trial = _Trial(mine, theirs, paired)
    choice = trial.choose(shared=shared)
    further = trial.further() if choice["rank"] >= FOUND else None
    if further is not None:
        steps, choice = further
    else:
        steps = Steps(mine, theirs, np.arange(n_pairs), FINAL_ROWS)
        for _ in range(choice["steps"]):
            steps.take()
        choice |= steps.shares() if choice["believed"] else dict.fromkeys(SHARES, 0.0)
    if choice["kind"] == "shared":
        return _with_choice(steps.map_pair(source, target), choice)
    pairs = {side.space.name: side.pairs for side in (mine, theirs)}
    pseudo = steps.pseudo_pairs() if choice["believed"] else {}
    return _with_choice(paired(joined(pairs, pseudo)), choice)


def joined(pairs: Mapping[str, Array], more: Mapping[str, Array]) -> dict[str, Array]:
    """Return pairs and further ones as rows of both spaces."""
    return {
        name: np.concatenate([x, more[name]]) if name in more else x for name, x in pairs.items()
    }


def _with_choice(fitted: Fitted, choice: dict[str, Any]) -> Fitted:
    return fitted.with_info(**{METHOD.replace("-", "_"): choice})


@dataclass(frozen=True)
class Side:
    """One side: its rows as they are, and their coordinates on the principal axes of all of them.

    `axes` (d, p) are orthonormal; `known` (n_pairs, p) and `free` (n_unpaired, p) are the
    coordinates of paired and unpaired rows, float32, and `order` (n_unpaired,) the unpaired rows from
    the mean outwards, which is the same for rows in another order or turned.
    """

    space: Space
    pairs: Array
    unpaired: Array
    mean: Array
    spread: Array
    axes: Array
    known: Array
    free: Array
    order: Array

    @classmethod
    def of(cls, rows: PartlyPaired, space: Space) -> Side:
        """Find the axes of a side; InputError where all its rows are the same."""
        pairs, unpaired = rows.of(space)
        if not len(unpaired):
            raise InputError(f"got no unpaired rows of {space.name}, expected at least one")
        every = np.concatenate([pairs, unpaired]).astype(np.float64)
        mean = every.mean(axis=0)
        every -= mean
        scatter = every.T @ every
        values, vectors = np.linalg.eigh(scatter)
        largest = max(float(values[-1]), 0.0)
        rounding = len(values) * np.finfo(np.float64).eps
        if largest <= rounding * len(every) * float(mean @ mean):
            raise InputError(
                f"all rows of {space.name} are the same: they belong to none or to all"
            )
        used = np.flatnonzero(values > rounding * largest)[::-1][:AXES]
        axes = vectors[:, used]
        # One scale for the whole side, so that float32 holds coordinates of any size.
        turned = (every @ axes / np.sqrt(largest / len(every))).astype(np.float32)
        known, free = turned[: len(pairs)], turned[len(pairs) :]
        return cls(
            space=space,
            pairs=pairs,
            unpaired=unpaired,
            mean=mean,
            spread=np.sqrt(scatter.diagonal() / len(every)),
            axes=axes,
            known=known,
            free=free,
            order=np.argsort(np.linalg.norm(free.astype(np.float64), axis=1), kind="stable"),
        )

    def some(self, count: int) -> Array:
        """Return unpaired rows, at most `count`, evenly spaced from the mean outwards."""
        n = len(self.order)
        return self.order if n <= count else self.order[np.arange(count) * n // count]


class Steps:
    """Steps 1 to 4 from some of the known pairs; `rows` are the source's that take part."""

    def __init__(self, source: Side, target: Side, chosen: Array, n_rows: int) -> None:
        self.source, self.target, self.chosen = source, target, chosen
        self.rows = source.some(n_rows)
        self.start = np.asarray(source.known[chosen].T @ target.known[chosen], np.float64)
        self.matches: Matches | None = None
        self._share(self.start)

    def _share(self, cross: Array) -> None:
        """Find the shared space of a cross-covariance."""
        u, values, vt = svd(cross)
        used = values > 1e-6 * values.max(initial=0.0)
        weights = (values[used] / values.max(initial=1e-300)) ** POWER
        self.left, self.right = u[:, used] * weights, vt[used].T * weights

    @property
    def share(self) -> float:
        """Σ p_ij of the last step as a share of the source's rows."""
        return (
            0.0 if self.matches is None else float(self.matches.probability.sum()) / len(self.rows)
        )

    def sources(self, coordinates: Array) -> Array:
        """Return rows of the source in the shared space, of length 1."""
        return unit(coordinates @ self.left.astype(np.float32))

    def targets(self, coordinates: Array) -> Array:
        """Return rows of the target in the shared space, of length 1."""
        return unit(coordinates @ self.right.astype(np.float32))

    def take(self) -> None:
        """Match the unpaired rows, and find the shared space of pairs and matches."""
        free = self.source.free[self.rows]
        self.matches = match(self.sources(free), self.targets(self.target.free))
        expected = self.matches.sparse() @ self.target.free.astype(np.float64)
        self._share(KNOWN_WEIGHT * self.start + free.T.astype(np.float64) @ expected)

    def ranks(self, held: Array) -> Array:
        """Return the rank of the target's row of some known pairs, among its unpaired rows."""
        own, others = self.targets(self.target.known[held]), self.targets(self.target.free)
        return ranks(self.sources(self.source.known[held]), own, others)

    def pseudo_pairs(self) -> dict[str, Array]:
        """Return confident matches as rows of both spaces."""
        assert self.matches is not None  # noqa: S101 - after a step
        mine, theirs = self.matches.confident()
        return {
            side.space.name: side.unpaired[rows]
            for side, rows in ((self.source, self.rows[mine]), (self.target, theirs))
        }

    def shares(self) -> dict[str, float]:
        """Return Σ p_ij as a share of the source's rows, and the same with its axes reversed by turns.

        Reversing every second shared coordinate of one side keeps how rows lie among themselves and
        leaves no row beside its counterpart.
        """
        free = self.sources(self.source.free[self.rows])
        targets, mirror = self.targets(self.target.free), np.ones(free.shape[1], np.float32)
        mirror[::2] = -1
        found, null = (match(each, targets).probability.sum() for each in (free, free * mirror))
        return {
            name: float(each) / len(free) for name, each in zip(SHARES, (found, null), strict=True)
        }

    def map_pair(self, source: Space, target: Space) -> MapPair:
        """Return the two maps into the shared space."""
        shared = Space(f"{METHOD}.{source.name}.{target.name}", self.left.shape[1])

        def side(space: Space, of: Side, turned: Array) -> LinearMap:
            weight = (of.axes @ turned).T
            return LinearMap(
                weight=weight,
                bias=-weight @ of.mean,
                source=space,
                target=shared,
                method=METHOD,
                info={"n": len(self.chosen)},
                source_mean=of.mean,
                source_spread=of.spread,
            )

        return MapPair(side(source, self.source, self.left), side(target, self.target, self.right))


class _Trial:
    """How many steps to take, and what to make of them, judged by known pairs that are left out."""

    def __init__(self, source: Side, target: Side, paired: PairedFit) -> None:
        self.source, self.target, self.paired = source, target, paired
        # Log ranks of the pairs left out, under the map of pairs alone and under the best there is.
        self.alone = self.best = np.empty(0)
        n = len(source.known)
        n_folds = min(MAX_FOLDS, -(-HELD_OUT // max(n // MAX_FOLDS, 1)))
        # Each fold is left out once; of many pairs one fold is enough.
        distance = np.linalg.norm(source.known.astype(np.float64), axis=1)
        fold = np.empty(n, np.int64)
        fold[np.argsort(distance, kind="stable")] = np.arange(n) % MAX_FOLDS
        self.held = [np.flatnonzero(fold == part) for part in range(n_folds)]
        self.kept = [np.flatnonzero(fold != part) for part in range(n_folds)]

    def choose(self, *, shared: bool) -> dict[str, Any]:
        """Return which map to trust, after how many steps, and the ranks that say so."""
        self.alone = self._logs([self._of_pairs(held) for held in self.held])
        best, steps, pseudo = self._walk()
        rows = [
            joined(self._pairs(kept), more) for kept, more in zip(self.kept, pseudo, strict=True)
        ]
        refits = [self._of_fitted(each, held) for each, held in zip(rows, self.held, strict=True)]
        candidates = {"refitted": self._logs(refits), **({"shared": best} if shared else {})}
        kind = min(candidates, key=lambda name: float(candidates[name].mean()))
        believed = is_gain(self.alone - candidates[kind])
        self.best = candidates[kind] if believed else self.alone.copy()
        return {
            "believed": believed,
            "kind": kind if believed else "paired",
            "steps": steps if believed else 0,
            **self._ranks(np.arange(len(self.best))),
        }

    def further(self) -> tuple[Steps, dict[str, Any]] | None:
        """Take steps from nearly all pairs for as long as Σ p_ij grows; return where they end, and facts.

        Three quarters of few pairs, as in a trial, may not be enough for what all of them are. None
        unless the few pairs that are left out say that it is better there, and Σ p_ij is beyond what
        it is without counterparts.
        """
        judged = np.concatenate(self.held)
        count = min(len(judged), max(LEAST_HELD, len(self.source.known) // 8))
        at = np.arange(count) * len(judged) // count
        held = judged[at]
        if count < LEAST_HELD:
            return None
        kept = np.setdiff1d(np.arange(len(self.source.known)), held)
        steps, before, taken = Steps(self.source, self.target, kept, FINAL_ROWS), 0.0, 0
        while taken < MOST_STEPS:
            steps.take()
            taken += 1
            if steps.share < LEAST_GROWTH * before:
                break
            before = steps.share
        shares = steps.shares()
        logs = np.log(steps.ranks(held))
        evident = shares["share"] >= EVIDENT * shares["share_by_chance"]
        if not (evident and is_gain(self.best[at] - logs)):
            return None
        self.best[at] = logs
        facts = {"believed": True, "kind": "refitted", "steps": taken}
        return steps, {**facts, **self._ranks(at), **shares}

    def _ranks(self, at: Array) -> dict[str, Any]:
        """Return geometric means of ranks over some of the pairs that are left out."""
        means = {"rank": self.best[at].mean(), "rank_paired": self.alone[at].mean()}
        return {"held_out": len(at), **{k: round(float(np.exp(v)), 3) for k, v in means.items()}}

    def _of_pairs(self, held: Array) -> Array:
        """Return the ranks of pairs under the map of the other pairs, half of these left out at a time.

        Few pairs more can make a map of pairs much better, where they come to be as many as dimensions.
        """
        found, n = np.empty(len(held)), len(self.source.known)
        for half in (np.arange(0, len(held), 2), np.arange(1, len(held), 2)):
            if len(half):
                kept = np.setdiff1d(np.arange(n), held[half])
                found[half] = self._of_fitted(self._pairs(kept), held[half])
        return found

    def _walk(self) -> tuple[Array, int, list[dict[str, Array]]]:
        """Take steps while they help; return the best one's log ranks, its number and pseudo-pairs."""
        runs = [Steps(self.source, self.target, kept, TRIAL_ROWS) for kept in self.kept]
        best, best_step, pseudo = np.array([np.inf]), 0, []
        for step in range(1, MAX_STEPS + 1):
            for run in runs:
                run.take()
            logs = self._logs([run.ranks(held) for run, held in zip(runs, self.held, strict=True)])
            if logs.mean() < best.mean() - LEAST_GAIN:
                best, best_step = logs, step
                pseudo = [run.pseudo_pairs() for run in runs]
            elif step - best_step >= PATIENCE:
                break
        return best, best_step, pseudo

    def _pairs(self, kept: Array) -> dict[str, Array]:
        return {side.space.name: side.pairs[kept] for side in (self.source, self.target)}

    def _of_fitted(self, rows: dict[str, Array], held: Array) -> Array:
        """Return the ranks of known pairs under the map that `paired` fits on some rows."""
        fitted = self.paired(rows)
        mine, own, others = self.source.pairs[held], self.target.pairs[held], self.target.unpaired
        if isinstance(fitted, MapPair):
            there = fitted.target
            return ranks(
                unit(fitted.source.apply(mine)), unit(there.apply(own)), unit(there.apply(others))
            )
        return ranks(unit(fitted.apply(mine)), unit(own), unit(others))

    @staticmethod
    def _logs(found: list[Array]) -> Array:
        return np.asarray(np.log(np.concatenate(found)))


def is_gain(logs: Array) -> bool:
    """Return whether differences of log ranks are a gain: on average, and beyond their error."""
    error = float(logs.std(ddof=1)) / len(logs) ** 0.5 if len(logs) > 1 else np.inf
    return bool(logs.mean() > max(error, LEAST_GAIN))
