"""A similarity result with numbers like those of real networks, from a seed."""

from __future__ import annotations

import math

import numpy as np
from scipy.cluster.hierarchy import dendrogram, linkage
from scipy.spatial.distance import squareform

NETWORKS = (
    "googlenet",
    "mobilenet_v1",
    "mobilenet_v2",
    "efficientnet_lite4",
    "inception_v4",
    "mobilenet_v3_large_minimalistic",
    "resnet50",
    "resnet152",
    "inception_resnet_v2",
    "pnasnet_5_large",
    "tf_efficientnetv2_b3.in21k_ft_in1k-with-a-name-of-60-letters",
)
CONTROL = "googlenet_untrained"
# name, title, kind, symmetric, range, larger is more similar, null, ignores, formula, source
MEASURES = (
    (
        *("cka", "Linear CKA", "moments", True, [0.0, 1.0], True, 0.22),
        "shift, rotation and one scale",
        "‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖), centred",
        "Kornblith et al., Similarity of neural network representations revisited, ICML 2019",
    ),
    (
        *("cka_debiased", "Debiased linear CKA", "moments", True, [None, None], True, 0.0),
        "shift, rotation and one scale",
        "HSIC₁(X, Y) / √(HSIC₁(X, X) HSIC₁(Y, Y))",
        "Song et al., Feature selection via dependence maximization, JMLR 13, 2012, eq. 5",
    ),
    (
        *("cca_mean", "Mean canonical correlation", "moments", True, [0.0, 1.0], True, 0.55),
        "any invertible affine map",
        "mean of ρ_i over min(rank X, rank Y)",
        "Hotelling, Relations between two sets of variates, Biometrika 28, 1936",
    ),
    (
        *("svcca", "SVCCA", "moments", True, [0.0, 1.0], True, 0.35),
        "small directions, and any invertible affine map of the others",
        "mean of ρ_i over the principal components that hold 99 % of the variance",
        "Raghu et al., SVCCA, NIPS 2017",
    ),
    (
        *("pwcca", "PWCCA", "moments", False, [0.0, 1.0], True, 0.5),
        "any invertible affine map of the target",
        "Σ α_i ρ_i / Σ α_i, α_i = Σ_j |⟨h_i, x_j⟩|",
        "Morcos et al., Insights on representational similarity, NeurIPS 2018",
    ),
    (
        *("procrustes", "Procrustes angle", "moments", True, [0.0, math.pi / 2], False, 1.25),
        "shift, rotation and one scale",
        "arccos(‖XᵀY‖_* / (‖X‖ ‖Y‖)), centred",
        "Williams et al., Generalized shape metrics on neural representations, NeurIPS 2021",
    ),
    (
        *("r2", "Linear predictivity R²", "moments", False, [None, 1.0], True, -0.02),
        "any affine map of the source",
        "1 − Σ‖B − B̂‖² / Σ‖B − mean(B)‖² on unseen rows",
        "Hoerl & Kennard, Ridge regression, Technometrics 12, 1970",
    ),
    (
        *("rbf_cka", "RBF CKA", "rows", True, [None, 1.0], True, 0.05),
        "shift, rotation and one scale",
        "HSIC₁ of exp(−‖x − x′‖² / 2σ²), σ the median distance",
        "Kornblith et al., ICML 2019",
    ),
    (
        *("mutual_knn", "Mutual 10-nearest neighbours", "rows", True, [0.0, 1.0], True, 0.005),
        "whatever keeps the order of distances",
        "mean of |N_k(x) ∩ N_k(y)| / k",
        "Huh et al., The Platonic representation hypothesis, ICML 2024",
    ),
    (
        *("cknna", "CKNNA", "rows", True, [None, 1.0], True, 0.0),
        "shift, rotation, scale, and whatever is far",
        "CKA over pairs that are neighbours in both",
        "Huh et al., ICML 2024",
    ),
    (
        *("rsa", "RSA", "rows", True, [-1.0, 1.0], True, 0.0),
        "shift, rotation, and any growing function of distance",
        "Spearman’s ρ of the two dissimilarity matrices",
        "Kriegeskorte et al., Representational similarity analysis, 2008",
    ),
)


class Builder:
    """Builds one result; every number comes from one seeded generator."""

    def __init__(self, n_spaces, *, control, swaps, n_layers, measures):
        self.random = np.random.default_rng(11)
        self.n_layers, self.swapped = n_layers, swaps
        self.measures = [row for row in MEASURES if measures is None or row[0] in measures]
        if n_layers:
            names = NETWORKS[: n_spaces // n_layers]
            self.place = {f"{n}.block{k}": (n, f"block{k}") for n in names for k in range(n_layers)}
        else:
            self.place = {name: (name, None) for name in NETWORKS[:n_spaces]}
        self.controls = [CONTROL] if control else []
        self.place |= {name: (name, None) for name in self.controls}
        self.names = list(self.place)
        self.at = self._positions()

    def _positions(self):
        centres = {network: self.random.normal(0, 0.35, 4) for network, _ in self.place.values()}
        at = {}
        for name, (network, layer) in self.place.items():
            depth = int(layer.removeprefix("block")) if layer else 0
            drift = np.array([0.25 * depth, 0.05 * depth, 0, 0])
            at[name] = centres[network] + drift + (2.5 if name in self.controls else 0.0)
        return at

    def likeness(self, a, b):
        """Return how alike two spaces are, 0 … 1."""
        if a == b:
            return 1.0
        return math.exp(-math.dist(self.at[a], self.at[b])) - 0.01

    def measure(self, row):
        """Return one entry of the table of measures."""
        name, title, kind, symmetric, ends, larger, _, ignores, formula, source = row
        way = "bootstrap over rows" if kind == "rows" else "jackknife over 20 groups of rows"
        return {
            "name": name,
            "title": title,
            "kind": kind,
            "symmetric": symmetric,
            "range": ends,
            "best": 1.0 if larger else 0.0,
            "larger_is_more_similar": larger,
            "ignores": ignores,
            "formula": formula,
            "source": source,
            "interval": way,
            "null_model": "mean over 20 random rotations of the rows",
        }

    def scores(self, row, a, b):
        """Return the seven numbers of one measure and pair."""
        name, symmetric, larger, null = row[0], row[3], row[5], row[6]
        pair = (a, b) if not symmetric else tuple(sorted((a, b)))
        wobble = np.random.default_rng([len(name), *map(ord, "".join(pair))]).normal(0, 0.03)
        calibrated = 1.0 if a == b else self.likeness(a, b) + float(wobble)
        half = 0.0 if a == b else 0.02
        best = 1.0 if larger else 0.0
        ends = [null + (best - null) * (calibrated + s * half) for s in (-1, 1)]
        return {
            name: null + (best - null) * calibrated,
            f"{name}_low": min(ends),
            f"{name}_high": max(ends),
            f"{name}_null": null,
            f"{name}_calibrated": calibrated,
            f"{name}_calibrated_low": calibrated - half,
            f"{name}_calibrated_high": calibrated + half,
        }

    def pair(self, a, b):
        """Return one row of the main table."""
        numbers = {}
        for row in self.measures:
            numbers |= self.scores(row, a, b)
        return {
            "source": a,
            "target": b,
            **numbers,
            "alpha": None if a == b else 316.2,
            "control": bool({a, b} & set(self.controls)),
            "reasons": {},
            "reason": None,
        }

    def space(self, i, name):
        """Return one row of the table of spaces."""
        network, layer = self.place[name]
        return {
            "space": name,
            "dimension": 1024 + 256 * (i % 3),
            "rank": 1024,
            "participation_ratio": 51.2 + i,
            "kept": 310 + i,
            "control": name in self.controls,
            "network": network,
            "layer": layer,
            "encoder": f"onnx:models/{name}.onnx",
        }

    def distances(self):
        """Return the Procrustes angles of all pairs, (n, n)."""
        row = next(row for row in MEASURES if row[0] == "procrustes")
        return np.array(
            [[self.scores(row, a, b)["procrustes"] for b in self.names] for a in self.names]
        ).clip(0.0)

    def dendrogram(self):
        """Return the average linkage of the angles."""
        merges = linkage(squareform(self.distances(), checks=False), "average")
        leaves = dendrogram(merges, no_plot=True, labels=self.names)["ivl"]
        return {
            "measure": "procrustes",
            "method": "average",
            "leaves": leaves,
            "merges": merges.tolist(),
            "reason": None,
        }

    def mds(self):
        """Return the plane of classical scaling of the angles."""
        squares = self.distances() ** 2
        centre = np.eye(len(squares)) - 1 / len(squares)
        values, vectors = np.linalg.eigh(-centre @ squares @ centre / 2)
        xy = vectors[:, [-1, -2]] * np.sqrt(values[[-1, -2]].clip(0))
        points = [
            {"space": name, "x": float(x), "y": float(y)}
            for name, (x, y) in zip(self.names, xy, strict=True)
        ]
        share = float(values[-2:].clip(0).sum() / values.clip(0).sum())
        return {"measure": "procrustes", "share": share, "points": points, "reason": None}

    def swaps(self):
        """Return the changes in accuracy, which follow likeness."""
        rows = []
        for a in self.names:
            for b in self.names:
                if a == b:
                    continue
                change = -45 * (1 - self.likeness(a, b)) + 3 * self.random.standard_normal()
                control = bool({a, b} & set(self.controls))
                change = -99.8 if control else min(change, 2.0)
                row = {"source": a, "target": b, "accuracy": 0.7 * (1 + change / 100)}
                rows.append(row | {"percent_change": change, "control": control})
        return rows

    def interchangeability(self):
        """Return a rank correlation for each measure."""
        n = len(self.names) - len(self.controls)
        rows = []
        for i, measure in enumerate(self.measures):
            rho = 0.8 - 0.05 * i
            row = {"measure": measure[0], "n_pairs": n * (n - 1), "n_networks": n, "spearman": rho}
            ends = {"ci_low": rho - 0.5, "ci_high": min(rho + 0.15, 1.0)}
            rows.append(row | ends | {"p_value": 0.042 + 0.01 * i, "reason": None})
        return rows

    def layers(self):
        """Return the best layer of another network for each layer."""
        rows = []
        groups = {}
        for name, (network, layer) in self.place.items():
            if layer:
                groups.setdefault(network, {})[layer] = name
        for one, own in groups.items():
            for other, theirs in groups.items():
                for layer, name in own.items() if one != other else ():
                    best = max(theirs, key=lambda key: self.likeness(name, theirs[key]))
                    score = self.likeness(name, theirs[best])
                    rows.append(
                        {
                            "source_network": one,
                            "target_network": other,
                            "source_layer": layer,
                            "best_layer": best,
                            "cka_debiased": score,
                            "cka_debiased_low": score - 0.02,
                            "cka_debiased_high": score + 0.02,
                        }
                    )
        return rows

    def spectra(self):
        """Return falling canonical correlations of each unordered pair."""
        return [
            {"source": a, "target": b, "rho": [0.99, 0.8, 0.31]}
            for i, a in enumerate(self.names)
            for b in self.names[i + 1 :]
        ]

    def build(self):
        """Return the whole result."""
        return {
            "study": "similarity",
            "version": "0.1.0",
            "created": "2026-05-04T10:20:30+00:00",
            "inputs": ["sample/eval"],
            "n": 4000,
            "n_groups": 20,
            "sample_rows": 2000,
            "confidence": 0.95,
            "precision": "float64",
            "controls": self.controls,
            "measures": [self.measure(row) for row in self.measures],
            "spaces": [self.space(i, name) for i, name in enumerate(self.names)],
            "pairs": [self.pair(a, b) for a in self.names for b in self.names],
            "spectra": self.spectra(),
            "layers": self.layers(),
            "dendrogram": self.dendrogram(),
            "mds": self.mds(),
            "swaps": self.swaps() if self.swapped else [],
            "interchangeability": self.interchangeability() if self.swapped else [],
            "closed_set": "demo-output/report" if self.swapped else None,
            "notes": ["mobilenet_v2: 58 of 1280 features are constant (dead units)."],
        }


def build_result(n_spaces=4, *, control=True, swaps=True, n_layers=0, measures=None):
    """Return the JSON object of a similarity report; the control comes on top of the spaces."""
    builder = Builder(n_spaces, control=control, swaps=swaps, n_layers=n_layers, measures=measures)
    return builder.build()


def undefined(result, measure, reason, *, keep=()):
    """Return a result in which a measure is undefined for every pair, but for some endings."""
    ends = ("", "_low", "_high", "_null", "_calibrated", "_calibrated_low", "_calibrated_high")
    gone = {f"{measure}{end}": None for end in ends if end not in keep}
    pairs = [
        row | gone | {"reasons": {measure: reason}, "reason": reason} for row in result["pairs"]
    ]
    return result | {"pairs": pairs}
