"""Texts: which there are, in which order, with which labels."""
