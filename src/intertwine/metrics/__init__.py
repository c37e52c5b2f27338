"""Scores to numbers: verification, ranking, intervals and rank correlations, of plain arrays."""
