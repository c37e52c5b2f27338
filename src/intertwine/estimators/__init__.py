"""Estimators: joint moments (or heads) in, maps out; one file a method, all pure functions."""

from intertwine.estimators.analytic import HeadFactor, analytic
from intertwine.estimators.cca import cca
from intertwine.estimators.gcv import ALPHAS, GCV, SHARES
from intertwine.estimators.methods import METHODS, FitOptions, Fitter, identity, mean_vector
from intertwine.estimators.procrustes import procrustes
from intertwine.estimators.reduced_rank import reduced_rank
from intertwine.estimators.ridge import ridge
from intertwine.estimators.self_training import PartlyPaired, self_training

__all__ = [
    "ALPHAS",
    "GCV",
    "METHODS",
    "SHARES",
    "FitOptions",
    "Fitter",
    "HeadFactor",
    "PartlyPaired",
    "analytic",
    "cca",
    "identity",
    "mean_vector",
    "procrustes",
    "reduced_rank",
    "ridge",
    "self_training",
]
