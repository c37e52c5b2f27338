"""The first step: a study's result in, plain display text, shades and points out."""

from __future__ import annotations

from intertwine.report.summarise.closed_set import ClosedSetPage, summarise_closed_set
from intertwine.report.summarise.open_set import OpenSetPage, summarise_open_set
from intertwine.report.summarise.open_set_study import OpenSetStudy
from intertwine.report.summarise.similarity import SimilarityPage, summarise_similarity
from intertwine.report.summarise.similarity_study import SimilarityStudy
from intertwine.report.summarise.study import Study

__all__ = [
    "ClosedSetPage",
    "OpenSetPage",
    "OpenSetStudy",
    "SimilarityPage",
    "SimilarityStudy",
    "Study",
    "summarise_closed_set",
    "summarise_open_set",
    "summarise_similarity",
]
