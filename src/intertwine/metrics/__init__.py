"""Scores to numbers: intervals and rank correlations. Knows nothing of networks or files."""
