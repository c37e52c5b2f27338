"""An open-set result with numbers like those of real face networks, from a seed."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

NETWORKS = (
    ("facenet_casia", 2.24, 512),
    ("facenet_vggface2", 2.50, 512),
    ("w600k_mbf", 2.70, 512),
    ("sface", 2.55, 128),
    ("mobilefacenet_192", 2.45, 192),
    ("mobilefacenet_128", 2.20, 128),
    ("a-face-network-with-a-name-of-60-letters.trained_on_webface42", 2.3, 512),
    ("dlib_resnet29", 2.35, 128),
    ("facenet512", 2.4, 512),
    ("facex_zoo_mobilefacenet", 2.5, 512),
    ("eleventh", 2.6, 512),
)
FAR = np.array([0.0, 1 / 3000, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 0.6, 1.0])
RATES = ("eer", "auc", "tar_at_far_1e-2", "tar_at_far_1e-3")


class Builder:
    """Builds one report: every pair's scores are two normal distributions, `d` apart."""

    def __init__(self, n_networks: int, n_pairs: int) -> None:
        self.random = np.random.default_rng(11)
        self.n_pairs = n_pairs
        self.networks = NETWORKS[:n_networks]
        self.names = [name for name, _, _ in self.networks]
        self.own = {name: half for name, half, _ in self.networks}
        self.half = {
            (a, b): self.own[a]
            if a == b
            else min(self.own[a], self.own[b]) - 0.05 - 0.45 * self.random.random()
            for a in self.names
            for b in self.names
        }

    def scores(self, half: float) -> dict:
        """Return accuracy and error rates of genuine and impostor scores at ± half."""
        values = {"accuracy": norm.cdf(half), "eer": norm.cdf(-half)}
        values["auc"] = norm.cdf(half * np.sqrt(2))
        values["tar_at_far_1e-2"] = self.tar(half, 1e-2)
        values["tar_at_far_1e-3"] = self.tar(half, 1e-3)
        row = {"accuracy": float(values["accuracy"]), "std": 0.004}
        row |= {"ci_low": row["accuracy"] - 0.003, "ci_high": min(1.0, row["accuracy"] + 0.003)}
        for name in RATES:
            value = float(values[name])
            wide = 0.2 * min(value, 1 - value)
            row |= {name: value, f"{name}_low": value - wide, f"{name}_high": value + wide}
        return row | {"threshold": 0.71 - 0.02 * half}

    def tar(self, half: float, far: float | np.ndarray) -> np.ndarray:
        """Return the share of genuine scores above the threshold of a false accept rate."""
        return norm.sf(norm.isf(far) - 2 * half)

    def pair(self, a: str, b: str) -> dict:
        """Return one row of the main table."""
        scores = self.scores(self.half[a, b])
        own = {name: float(norm.cdf(self.own[name])) for name in (a, b)}
        change = 100 * (scores["accuracy"] / own[a] - 1)
        identity = scores["accuracy"] if a == b else 0.47 + 0.06 * self.random.random()
        return {
            "source": a,
            "target": b,
            **scores,
            "identity_accuracy": identity,
            "identity_ci_low": identity - 0.01,
            "identity_ci_high": min(1.0, identity + 0.01),
            "percent_change": change,
            "percent_change_low": change - 0.3,
            "percent_change_high": change + 0.25,
            "percent_change_target": 100 * (scores["accuracy"] / own[b] - 1),
            "loss": 100 * (min(own.values()) - scores["accuracy"]),
            "alpha": None if a == b else 1.0,
            "n_fit": None if a == b else 2700,
            "reason": None,
        }

    def curve(self) -> list[dict]:
        """Return both curves: over fit pairs, nested, and over the rank of the map."""
        rows = []
        for kind, sizes in (("pairs", PAIRS), ("rank", RANKS)):
            for size in sizes:
                for (a, b), half in self.half.items():
                    if a == b:
                        continue
                    reach = 1 - np.exp(-((size / (120 if kind == "pairs" else 25)) ** 0.7))
                    accuracy = float(norm.cdf(half * reach))
                    own = [float(norm.cdf(self.own[name])) for name in (a, b)]
                    rows.append(
                        {
                            "kind": kind,
                            "n_fit": size if kind == "pairs" else 2700,
                            "rank": size if kind == "rank" else None,
                            "source": a,
                            "target": b,
                            "accuracy": accuracy,
                            "std": 0.004,
                            "percent_change": 100 * (accuracy / own[0] - 1),
                            "loss": 100 * (min(own) - accuracy),
                        }
                    )
        return rows

    def folds(self) -> list[dict]:
        """Return ten accuracies a pair."""
        return [
            {
                "source": a,
                "target": b,
                "fold": fold,
                "accuracy": float(min(1.0, norm.cdf(half) + 0.001 * (fold - 5.5))),
                "threshold": 0.66,
            }
            for (a, b), half in self.half.items()
            for fold in range(1, 11)
        ]

    def roc(self) -> list[dict]:
        """Return step points a pair, diagonal included."""
        far = np.concatenate([FAR, np.geomspace(4e-4, 0.9, 40)])
        return [
            {
                "source": a,
                "target": b,
                "far": sorted(far.tolist()),
                "tar": self.tar(half, np.maximum(np.sort(far), 1 / 6000)).tolist(),
            }
            for (a, b), half in self.half.items()
        ]

    def build(self) -> dict:
        """Return the whole report."""
        pairs = [self.pair(a, b) for a in self.names for b in self.names]
        off = [row for row in pairs if row["source"] != row["target"]]
        changes = [row["percent_change"] for row in off]
        return {
            "study": "open-set",
            "version": "0.1.0",
            "created": "2026-05-04T10:20:30+00:00",
            "inputs": ["lfw/set"],
            "pairs_file": "pairs.txt",
            "n_pairs": self.n_pairs,
            "n_matched": self.n_pairs // 2,
            "n_mismatched": self.n_pairs // 2,
            "n_folds": 10,
            "n_people": 4281,
            "n_images": 7701,
            "fit": "matched-pairs",
            "fit_inputs": [],
            "method": "ridge",
            "alpha": 1.0,
            "intercept": "none",
            "rank": None,
            "threshold": "train",
            "protocol": "paper",
            "space": "target",
            "refit": False,
            "replicates": 1000,
            "confidence": 0.95,
            "median_percent_change": float(np.median(changes)) if changes else None,
            "worst_percent_change": min(changes, default=None),
            "worst_loss": max((row["loss"] for row in off), default=None),
            "notes": ["Rows were brought to length 1 on load.", "No person is in two folds."],
            "natives": [
                {
                    "space": name,
                    **self.scores(half),
                    "dimension": dimension,
                    "encoder": f"onnx:models/{name}.onnx?face=arcface",
                }
                for name, half, dimension in self.networks
            ],
            "pairs": pairs,
            "folds": self.folds(),
            "curve": self.curve() if off else [],
            "roc": self.roc(),
        }


PAIRS = (50, 100, 200, 400, 800, 1600, 2700)
RANKS = (8, 16, 32, 64, 128, 256, 512)


def build_open_set(n_networks: int = 4, *, n_pairs: int = 6000) -> dict:
    """Return the JSON object of an open-set report."""
    return Builder(n_networks, n_pairs).build()
