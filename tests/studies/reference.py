"""The closed-set study written a second time: naive, in float64, with NumPy alone.

It shares no line with the package. Every pair is looped over, every row is held in memory, λ is
chosen with explicit hat matrices, and the analytic maps are pseudo-inverses.
"""

from __future__ import annotations

import numpy as np

# λ as a share of the source's mean eigenvalue.
SHARES = np.logspace(-9, 3, 49)


def grid_of(x):
    """Return the λ to choose among, (49,): shares of the mean eigenvalue of the scatter of x."""
    xc = x - x.mean(axis=0)
    return SHARES * (xc**2).sum() / np.linalg.matrix_rank(xc)


def ridge(x, y, lam):
    """Return weight and bias of the ridge map x → y on centred data; λ is one or one a column."""
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    xc, yc = x - mean_x, y - mean_y
    weight = np.empty((y.shape[1], x.shape[1]))
    lam = np.broadcast_to(lam, y.shape[1])
    for value in np.unique(lam):
        columns = lam == value
        gram = xc.T @ xc + value * np.eye(x.shape[1])
        weight[columns] = np.linalg.solve(gram, xc.T @ yc[:, columns]).T
    return weight, mean_y - weight @ mean_x


def hats(x, grid):
    """Return the hat matrix of each λ, (n, n), for centred data."""
    xc = x - x.mean(axis=0)
    return [xc @ np.linalg.solve(xc.T @ xc + lam * np.eye(x.shape[1]), xc.T) for lam in grid]


def gcv(hat_matrices, y, *, per_target, grid):
    """Return the λ that generalised cross-validation chooses, (d_target,)."""
    n, yc = len(y), y - y.mean(axis=0)
    best = np.full(y.shape[1], np.inf)
    chosen = np.full(y.shape[1], np.nan)
    enough = np.full(y.shape[1], np.nan)
    for lam, hat in zip(grid, hat_matrices, strict=True):
        left = n - (np.trace(hat) + 1)
        if left < 0.01 * n:
            continue
        enough = np.where(np.isnan(enough), lam, enough)
        rss, power = ((yc - hat @ yc) ** 2).sum(axis=0), (yc**2).sum(axis=0)
        if not per_target:
            rss, power = np.full_like(rss, rss.sum()), np.full_like(power, power.sum())
        score = n * rss / left**2
        better = (rss >= 1e-6 * power) & (power > 0) & (score < best)
        best, chosen = np.where(better, score, best), np.where(better, lam, chosen)
    # Without a candidate: the smallest λ that leaves degrees of freedom, else the largest.
    fallback = np.where(np.isnan(enough), grid[-1], enough)
    return np.where(np.isnan(chosen), fallback, chosen)


def score(logits, labels, own, other):
    """Count what a classifier's logits say, against the source's own head and the target's."""
    found = {"correct": 0, "top5": 0, "both": 0, "gained": 0, "lost": 0, "same": 0, "differing": 0}
    for row, label in enumerate(labels):
        guess = int(np.argmax(logits[row]))
        found["correct"] += guess == label
        found["top5"] += int((logits[row] > logits[row, label]).sum()) < 5
        found["both"] += guess == label == own[row]
        found["gained"] += guess == label != own[row]
        found["lost"] += own[row] == label != guess
        found["same"] += guess == other[row]
        found["differing"] += guess != own[row]
    return found


def closed_set(fit, evaluation, heads, labels, *, alpha):
    """Return the study's numbers by pair.

    Parameters
    ----------
    fit, evaluation
        (n, d) features by space.
    heads
        (weight, bias) by space.
    labels
        (n_eval,) class numbers.
    alpha
        A number, `gcv` or `gcv-per-target`.
    """
    fit = {a: x.astype(np.float64) for a, x in fit.items()}
    evaluation = {a: x.astype(np.float64) for a, x in evaluation.items()}
    own = {a: np.argmax(x @ heads[a][0].T + heads[a][1], axis=1) for a, x in evaluation.items()}
    pairs = {}
    for a in fit:
        grid = grid_of(fit[a])
        hat_matrices = hats(fit[a], grid) if isinstance(alpha, str) else None
        for b in fit:
            if a == b:
                continue
            weight_b, bias_b = heads[b]
            lam = np.full(fit[b].shape[1], alpha) if isinstance(alpha, float) else None
            if lam is None:
                per_target = alpha == "gcv-per-target"
                lam = gcv(hat_matrices, fit[b], per_target=per_target, grid=grid)
            weight, bias = ridge(fit[a], fit[b], lam)
            mapped = evaluation[a] @ weight.T + bias
            counts = score(mapped @ weight_b.T + bias_b, labels, own[a], own[b])
            truth = evaluation[b]
            spread = ((truth - truth.mean(axis=0)) ** 2).sum()
            pairs[a, b] = {
                **counts,
                "r2": 1 - ((truth - mapped) ** 2).sum() / spread,
                "alpha": (np.median(lam), lam.min(), lam.max()),
                "affine": score(affine(evaluation[a], heads[a], heads[b]), labels, own[a], own[b]),
                "homogeneous": score(
                    homogeneous(evaluation[a], heads[a], heads[b]), labels, own[a], own[b]
                ),
                "identity": score(
                    padded(evaluation[a], truth.shape[1]) @ weight_b.T + bias_b,
                    labels,
                    own[a],
                    own[b],
                ),
                "mean": score(
                    np.tile(weight_b @ fit[b].mean(axis=0) + bias_b, (len(labels), 1)),
                    labels,
                    own[a],
                    own[b],
                ),
            }
    return pairs, {a: (own[a] == labels).sum() for a in fit}


def affine(x, source, target):
    """Return the target head's logits after pinv(W_B) (W_A x + b_A − b_B)."""
    back = np.linalg.pinv(target[0], rcond=1e-12)
    mapped = x @ (back @ source[0]).T + back @ (source[1] - target[1])
    return mapped @ target[0].T + target[1]


def homogeneous(x, source, target):
    """Return [W_B b_B] pinv([W_B b_B]) [W_A b_A] (x, 1): the mapped last coordinate is kept."""
    joint_source, joint_target = (np.column_stack(head) for head in (source, target))
    mapped = np.linalg.pinv(joint_target, rcond=1e-12) @ joint_source
    return np.column_stack([x, np.ones(len(x))]) @ mapped.T @ joint_target.T


def padded(x, d):
    """Return features with zeros appended, or the last ones cut, to d dimensions."""
    out = np.zeros((len(x), d))
    out[:, : min(d, x.shape[1])] = x[:, :d]
    return out
