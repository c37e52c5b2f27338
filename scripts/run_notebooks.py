"""Run the documentation's notebooks and keep their outputs: docs/notebooks/*.ipynb.

python scripts/run_notebooks.py [NAME …] [--out FOLDER]

Each runs in an empty folder of its own, with a kernel of this very Python, in less than two minutes
on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"


def main() -> None:
    """Run the notebooks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=FOLDER)
    arguments = parser.parse_args()
    for name in arguments.names or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        notebook = nbformat.read(FOLDER / f"{name}.ipynb", nbformat.NO_CONVERT)
        with TemporaryDirectory(prefix="intertwine-notebook-") as folder:
            run(notebook, Path(folder))
        path = arguments.out / f"{name}.ipynb"
        nbformat.write(notebook, path)
        print(path, path.stat().st_size, "bytes")


def run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run a notebook's cells in a folder; its outputs replace those that it holds."""
    client = NotebookClient(
        notebook,
        timeout=1800,
        startup_timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    # What describes the machine, and not the notebook.
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}


if __name__ == "__main__":
    main()
