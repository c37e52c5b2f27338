"""Words that every report has in common: methods, intercepts and the legend of changes."""

from __future__ import annotations

from intertwine.report.numbers import MINUS, THIN, shade
from intertwine.report.shapes import CONTROL, NATIVE, Swatch

METHODS = {
    "ridge": (
        "Ridge regression: the matrix M and offset b that minimise "
        "Σ‖M·f(x) + b − g(x)‖² + λ‖M‖² over the fit rows x, where f are the source’s features "
        "and g the target’s"
    ),
    "least-squares": (
        "Least squares: the matrix M and offset b that minimise Σ‖M·f(x) + b − g(x)‖² over the "
        "fit rows x, where f are the source’s features and g the target’s; of several, the "
        "smallest M"
    ),
    "reduced-rank": (
        "Reduced-rank ridge regression: ridge, then only the few directions in which the map "
        "explains most of the target"
    ),
    "procrustes": (
        "Orthogonal Procrustes: the rotation or reflection (with a scale where asked for) and "
        "the offset that bring the source’s features nearest to the target’s"
    ),
    "half-whitened": (
        "Half-whitened cross-covariance: the covariance between the two networks, whitened on the "
        "source’s side and by half on the target’s, with the direction of the target’s mean taken "
        "out"
    ),
    "cca": (
        "Canonical correlation: by way of the space that the two networks’ features share most"
    ),
    "analytic": "Analytic: computed from the two classifiers’ weights; no features were looked at",
    "identity": "Do nothing: features are passed on as they are, zero-padded or cut to size",
    "mean": "Mean vector: the target’s mean, whatever the source’s features are",
}


INTERCEPTS = {
    "free": "free: the offset is not penalised",
    "homogeneous": "homogeneous: the offset is penalised as one more weight",
    "none": "none: the map goes through the origin",
}


GCV = "chosen by generalised cross-validation (GCV) on the fit rows"


STEPS = (-1, -5, -10, -25, -50, -100)


def change_legend(*, controls: bool = False) -> list[Swatch]:
    """Return the legend of a change's colours, the same in every study's table."""
    losses = [Swatch(f"{MINUS}{-step}{THIN}%", shade(step)) for step in STEPS]
    swatches = [Swatch("native", kind=NATIVE), Swatch(f"+5{THIN}%", shade(5)), *losses]
    return [*swatches, Swatch("control", kind=CONTROL)] if controls else swatches
