"""Scores to numbers: verification, ranking, intervals and rank correlations. Knows nothing of networks or files."""
