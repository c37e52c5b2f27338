"""How similar spaces are, by many measures, with intervals and nulls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from intertwine.extras import lazy_names

if TYPE_CHECKING:
    from intertwine.studies.similarity.report import write_similarity_report
    from intertwine.studies.similarity.study import (
        SimilarityOptions,
        SimilarityResult,
        similarity,
        similarity_of_moments,
    )

__all__ = [
    "SimilarityOptions",
    "SimilarityResult",
    "similarity",
    "similarity_of_moments",
    "write_similarity_report",
]

__getattr__ = lazy_names(
    __name__,
    {
        "SimilarityOptions": "study",
        "SimilarityResult": "study",
        "similarity": "study",
        "similarity_of_moments": "study",
        "write_similarity_report": "report",
    },
)
