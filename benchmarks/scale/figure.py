"""How many times longer others take, over rows and over the number of spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LINES = {
    "sklearn_pairs": ("scikit-learn, pair by pair", "#c65f10"),
    "sklearn_targets": ("scikit-learn, all targets at once", "#4269d0"),
    "torch_targets": ("torch lstsq, all targets at once", "#3a8f5c"),
}


def draw_curves(rows: list[dict[str, Any]], spaces: list[dict[str, Any]], path: Path) -> None:
    """Draw both curves, `float32` as a line and `fast` dashed."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "intertwine"
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, points, key, label in (
        (left, rows, "n", "rows, six spaces"),
        (right, spaces, "spaces", "spaces, 25,000 rows"),
    ):
        for peer, (name, colour) in LINES.items():
            own = sorted((p for p in points if p["peer"] == peer), key=lambda p: p[key])
            for precision, style in (("float32", "-o"), ("fast", "--o")):
                axes.plot(
                    [p[key] for p in own],
                    [p[precision] for p in own],
                    style,
                    color=colour,
                    markersize=4,
                    label=name if precision == "float32" else None,
                )
        axes.axhline(1, color="0.7", linewidth=1)
        axes.set_xlabel(label)
        axes.set_ylim(bottom=0)
        axes.spines[["top", "right"]].set_visible(False)
    left.set_ylabel("their time / ours (dashed: fast)")
    left.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    right.set_xticks(sorted({p["spaces"] for p in spaces}))
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=3,
        frameon=False,
        fontsize=8,
    )
    figure.savefig(path, metadata={"Date": None})
