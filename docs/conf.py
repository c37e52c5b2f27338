"""Sphinx configuration, and the pages of the reports that the documentation shows."""

import json
from importlib import import_module, metadata
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

project = "Intertwine"
copyright = "the Intertwine authors"  # noqa: A001
release = metadata.version("intertwine")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
# Notebooks are kept with their outputs; `scripts/run_notebooks.py` runs them.
nb_execution_mode = "off"
html_theme = "furo"
exclude_patterns = ["_build"]
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False


def publish_reports(app, error):
    """Make a page of each `report.json` in docs/reports, as the studies' own commands do."""
    if error or app.builder.name != "html":
        return
    (Path(app.outdir) / "reports").mkdir(exist_ok=True)
    for path in sorted((Path(app.srcdir) / "reports").glob("*.json")):
        study = path.stem
        module = import_module(f"intertwine.studies.{study}.report")
        result = json.loads(path.read_text(encoding="utf-8"))
        with TemporaryDirectory() as folder:
            page = getattr(module, f"write_{study}_report")(result, Path(folder) / "report")
            copyfile(page, Path(app.outdir) / "reports" / f"{study}.html")


def setup(app):
    """Publish the reports once the pages are written."""
    app.connect("build-finished", publish_reports)
