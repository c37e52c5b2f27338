"""Damaged Parquet and Arrow files are refused in one line; none of them ends the process."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAVED = ["101-v.parquet", "102-v.parquet", "103-v.parquet", "201-v.arrow", "202-v.arrow"]
READ = """
import sys
from pathlib import Path
from intertwine.errors import IntertwineError
from tests.vectors.damage import use_table, use_vectors
for use in [use_vectors] + [use_table] * sys.argv[1].endswith("t"):
    try:
        use(Path(sys.argv[1]))
    except IntertwineError as error:
        print(error)
"""


def run(*arguments):
    """Run Python in a process of its own, which must end well; return what it prints."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.quick("201-v.arrow", "202-v.arrow")
@pytest.mark.parametrize("name", SAVED)
def test_files_that_ended_the_process_are_refused(shared_data, name):
    """Each once called `abort` in the library that reads it."""
    path = shared_data.parent / "cases" / "files" / name
    if not path.is_file():
        pytest.skip(f"no such file beside the real data: {path.name}")
    assert len(run("-c", READ, path).splitlines()) >= 1


@pytest.mark.quick(".stream.arrow")
@pytest.mark.parametrize("kind", [".parquet", ".arrow", ".stream.arrow"])
def test_hundreds_of_damaged_files(tmp_path, kind):
    """Files with some bytes changed are read or refused in one line."""
    said = run("-m", "tests.vectors.damage", tmp_path, kind, 1, 300)
    assert int(said.split()[1]) > 50
