"""Sphinx configuration."""

from importlib import metadata

project = "Intertwine"
copyright = "the Intertwine authors"  # noqa: A001
release = metadata.version("intertwine")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
