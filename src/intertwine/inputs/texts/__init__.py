"""Texts: which there are, line by line or in a column of a table."""
