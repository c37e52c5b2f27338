"""A closed-set report with numbers like those of real networks, from a seed."""

from __future__ import annotations

import math

import numpy as np

NETWORKS = (
    ("googlenet", 0.655, 1024, 6_998_552),
    ("mobilenet_v1", 0.671, 1024, 4_231_976),
    ("mobilenet_v2", 0.668, 1280, 3_504_872),
    ("mobilenet_v3_large_minimalistic", 0.672, 1280, 3_924_288),
    ("efficientnet_lite0", 0.734, 1280, 4_652_008),
    ("resnet50", 0.742, 2048, 25_557_032),
    ("resnet152", 0.771, 2048, 60_192_808),
    ("inception_v3", 0.768, 2048, 23_834_568),
    ("inception_v4", 0.794, 1536, 42_679_816),
    ("inception_resnet_v2", 0.799, 1536, 55_843_464),
    ("pnasnet_5_large", 0.822, 4320, 86_057_668),
    ("nasnet_large", 0.819, 4032, 88_753_150),
)
CONTROL = "googlenet_untrained"
N_CLASSES = 1000


class Builder:
    """Builds one report; every number comes from one seeded generator."""

    def __init__(self, n_networks: int, n_fit: int, n_eval: int, *, control: bool) -> None:
        self.random = np.random.default_rng(7)
        self.networks = NETWORKS[:n_networks]
        self.n_fit, self.n_eval = n_fit, n_eval
        self.own = {name: accuracy for name, accuracy, _, _ in self.networks}
        self.known = {}
        self.names = list(self.own)
        if control:
            self.own[CONTROL] = 0.0008
            self.names.append(CONTROL)
        self.loss = {
            (a, b): (0.09 + 0.1 * self.random.random()) * (0.9 / self.own[a]) ** 2
            for a in self.names
            for b in self.names
        }

    def accuracy(self, a: str, b: str, n_fit: int) -> float:
        """Return a map's accuracy; asked twice, the same."""
        return self.known.setdefault((a, b, n_fit), self._draw(a, b, n_fit))

    def _draw(self, a: str, b: str, n_fit: int) -> float:
        if CONTROL in {a, b}:
            share = 0.001 + 0.002 * self.random.random()
        elif a == b:
            share = self.own[a]
        else:
            kept = (1 - self.loss[a, b]) * (1 - math.exp(-((n_fit / 420) ** 0.75)))
            share = self.own[a] * kept * (1 + 0.01 * self.random.standard_normal())
        return round(share * self.n_eval) / self.n_eval

    def change(self, a: str, accuracy: float) -> dict:
        """Return the change against the source's own accuracy with an interval."""
        change = 100 * (accuracy / self.own[a] - 1)
        half = 196 * math.sqrt(0.35 * accuracy * (1 - accuracy) / self.n_eval) / self.own[a]
        return {"percent_change": change, "ci_low": change - half, "ci_high": change + half}

    def pairs(self) -> list[dict]:
        """Return every ordered pair, diagonal included."""
        return [self.pair(a, b) for a in self.names for b in self.names]

    def pair(self, a: str, b: str) -> dict:
        """Return one row of the main table."""
        accuracy, native = self.accuracy(a, b, self.n_fit), a == b
        change = {"percent_change": 0.0, "ci_low": 0.0, "ci_high": 0.0}
        alpha = None if native else 10 ** self.random.uniform(1, 3)
        return {
            "source": a,
            "target": b,
            "accuracy": accuracy,
            "top5": min(1.0, accuracy + 0.22),
            **(change if native else self.change(a, accuracy)),
            "percent_change_target": 100 * (accuracy / self.own[b] - 1),
            "agreement": 1.0 if native else min(1.0, 0.08 + accuracy),
            "r2": 1.0 if native else 0.35 + 0.3 * self.random.random(),
            "alpha": alpha,
            "alpha_min": None,
            "alpha_max": None,
            "control": CONTROL in {a, b},
            "reason": None,
        }

    def natives(self) -> list[dict]:
        """Return each network by itself."""
        rows = [
            {
                "space": name,
                "control": False,
                "accuracy": accuracy,
                "ci_low": accuracy - 0.026,
                "ci_high": accuracy + 0.026,
                "top5": min(1.0, accuracy + 0.2),
                "reported_top1": None if i == 1 else 100 * accuracy + 2.5,
                "paper_top1": 0.711 if i == 0 else None,
                "crop": [224, 224],
                "dimension": dimension,
                "parameters": parameters,
                "encoder": f"onnx:models/{name}.onnx?channels=bgr&mean=104,117,123",
            }
            for i, (name, accuracy, dimension, parameters) in enumerate(self.networks)
        ]
        if CONTROL in self.own:
            empty = dict.fromkeys(("reported_top1", "crop", "parameters", "encoder"))
            measured = {"accuracy": 0.0008, "ci_low": 0.0, "ci_high": 0.0023, "top5": 0.0046}
            rows.append({"space": CONTROL, "control": True, **measured, **empty, "dimension": 1024})
        return rows

    def analytic(self) -> list[dict]:
        """Return the analytic map in both forms; a narrow head is not exact."""
        rows = []
        for a in self.names:
            for b in self.names:
                if a == b or CONTROL in {a, b}:
                    continue
                for form in ("affine", "homogeneous"):
                    differing = 31 if b == "mobilenet_v2" and form == "affine" else 0
                    accuracy = self.own[a] - differing / self.n_eval / 2
                    change = 100 * (accuracy / self.own[a] - 1)
                    rows.append(
                        {
                            "source": a,
                            "target": b,
                            "form": form,
                            "accuracy": accuracy,
                            "percent_change": change,
                            "differing": differing,
                            "rank": 998 if differing else 1000,
                            "classes": N_CLASSES,
                        }
                    )
        return rows

    def baselines(self) -> list[dict]:
        """Return do-nothing and mean-vector lines; between unequal dimensions the first is null."""
        dimension = {name: d for name, _, d, _ in self.networks} | {CONTROL: 1024}
        rows = []
        for baseline in ("identity", "mean"):
            for a in self.names:
                for b in self.names:
                    if a == b:
                        continue
                    row = {"baseline": baseline, "source": a, "target": b, "reason": None}
                    accuracy = int(self.random.integers(0, 4)) / self.n_eval
                    numbers = {"accuracy": accuracy, "agreement": 0.002, **self.change(a, accuracy)}
                    if baseline == "identity" and dimension[a] != dimension[b]:
                        numbers = dict.fromkeys(numbers)
                        row["reason"] = f"dimensions {dimension[a]} and {dimension[b]} differ"
                    rows.append(row | numbers)
        return rows

    def contrast(self) -> list[dict]:
        """Return targets that the analytic map reaches and a fitted map cannot."""
        rows = []
        for kind in ("fresh-random-features", "untrained-control"):
            for name, accuracy, _, _ in self.networks:
                if kind == "untrained-control" and CONTROL not in self.own:
                    continue
                rows.append(
                    {
                        "source": name,
                        "target": CONTROL if kind == "untrained-control" else "random",
                        "kind": kind,
                        "native_accuracy": accuracy,
                        "analytic_accuracy": accuracy,
                        "analytic_differing": 0,
                        "fitted_accuracy": 2 / self.n_eval,
                        "ci_low": 0.0,
                        "ci_high": 4 / self.n_eval,
                        "chance": 1 / N_CLASSES,
                    }
                )
        return rows

    def curve(self) -> list[dict]:
        """Return scores at nested numbers of fit rows."""
        sizes = [round(self.n_fit * 2.0**-k) for k in range(7, -1, -1)]
        rows = []
        for size in sizes:
            covered = round(N_CLASSES * (1 - math.exp(-size / 700)))
            for a in self.names:
                for b in self.names:
                    if a == b:
                        continue
                    accuracy = self.accuracy(a, b, size)
                    row = {"n_fit": size, "classes_covered": covered, "source": a, "target": b}
                    rows.append(
                        row | {"accuracy": accuracy, **self.change(a, accuracy), "alpha": 1.0}
                    )
        return rows

    def build(self) -> dict:
        """Return the whole report."""
        pairs = self.pairs()
        counted = [p for p in pairs if p["source"] != p["target"] and not p["control"]]
        changes = sorted(p["percent_change"] for p in counted)
        worst = min(counted, key=lambda p: p["percent_change"])
        best = max(counted, key=lambda p: p["percent_change_target"])
        controls = [p for p in pairs if p["control"] and p["source"] != p["target"]]
        top = max(controls, key=lambda p: p["accuracy"], default=None)
        gains = sum(p["percent_change_target"] > 0 for p in counted)
        gain = {
            "source": best["source"],
            "target": best["target"],
            "accuracy": best["accuracy"],
            "native_accuracy_target": self.own[best["target"]],
        }
        return {
            "study": "closed-set",
            "version": "0.1.0",
            "created": "2026-05-04T10:20:30+00:00",
            "inputs": {"fit": ["sample/fit"], "eval": ["sample/eval"]},
            "n_fit": self.n_fit,
            "n_eval": self.n_eval,
            "n_classes": N_CLASSES,
            "classes_in_eval": 730,
            "chance": 1 / N_CLASSES,
            "method": "ridge",
            "alpha": "gcv",
            "intercept": "free",
            "precision": "float64",
            "controls": [CONTROL] if CONTROL in self.own else [],
            "natives": self.natives(),
            "pairs": pairs,
            "analytic": self.analytic(),
            "baselines": self.baselines(),
            "contrast": self.contrast(),
            "curve": self.curve(),
            "median_percent_change": float(np.median(changes)),
            "worst_percent_change": worst["percent_change"],
            "worst_pair": {"source": worst["source"], "target": worst["target"]},
            "gains": {"count": gains, "n_pairs": len(counted), "best": gain if gains else None},
            "loss_and_source_accuracy": {
                "spearman": -0.8,
                "p_value": 0.2,
                "n_networks": len(self.networks),
                "reason": None,
            },
            "best_control_cell": top
            and {key: top[key] for key in ("source", "target", "accuracy")},
            "paper": PAPER,
            "notes": [
                "Fit rows and evaluation rows share no image.",
                "mobilenet_v2: 58 of 1280 features are constant on the fit rows (dead units).",
                "The images were squashed, not cropped: native accuracies are below published ones.",
            ],
        }


PAPER = {
    "median_percent_change": -1.90,
    "worst_percent_change": -11.6,
    "n_maps": 90,
    "n_fit": 1281167,
    "n_eval": 50000,
    "best_control_accuracy": 0.05,
    "gain": "PNASNet → ResNet-v2-152, 82.46 % against 78.70 %",
    "citation": "D. McNeely-White, B. Sattelberg, N. Blanchard and R. Beveridge, Exploring the "
    "Interchangeability of CNN Embedding Spaces, https://arxiv.org/abs/2010.02323",
}


def build_report(
    n_networks: int = 4, *, n_fit: int = 2700, n_eval: int = 1300, control: bool = True
) -> dict:
    """Return the JSON object of a closed-set report."""
    return Builder(n_networks, n_fit, n_eval, control=control).build()
