"""Links that somebody has placed where a command will write: none leads to another file."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from intertwine.maps.linear_map import LinearMap
from intertwine.spaces import Space

VICTIM = b"somebody's own"


class Opened:
    """The names of files that are opened for writing below a folder, as Python's audit tells them."""

    def __init__(self):
        self.below, self.names = None, set()
        sys.addaudithook(self)

    def __call__(self, event, arguments):
        """Note a file that is opened for writing."""
        if self.below is None or event != "open" or not isinstance(arguments[0], str):
            return
        if arguments[2] & (os.O_WRONLY | os.O_RDWR) and arguments[0].startswith(self.below):
            self.names.add(os.path.relpath(arguments[0], self.below))

    def during(self, folder, run):
        """Return the names that are opened for writing below a folder while something runs."""
        self.below, self.names = str(folder), set()
        try:
            run()
        finally:
            self.below = None
        return self.names


opened = Opened()


def arguments(command, study_folders, inputs, out):
    """Return what a command that writes below `out` is called with."""
    fit = study_folders / "fit"
    return {
        "apply": [inputs / "map", inputs / "x.npy", out / "x.npy"],
        "apply to Parquet": [inputs / "map", inputs / "x.npy", out / "x.parquet"],
        "fit": [fit, "--out", out, "--source", "a", "--target", "b"],
        "moments": [fit, "--out", out / "x"],
        "similarity": [fit, "--out", out, "--sample", "0"],
        "closed-set": ["--fit", fit, "--eval", study_folders / "eval", "--out", out],
        "migrate": [f"npy:{inputs / 'x.npy'}", f"npy:{out / 'x.npy'}", "--map", inputs / "map"],
    }[command]


COMMANDS = ["apply", "apply to Parquet", "fit", "moments", "similarity", "closed-set", "migrate"]


@pytest.mark.quick("moments-made", "moments-in the making")
@pytest.mark.parametrize("where", ["in the making", "made"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_link_in_the_place_of_an_output_leads_nowhere(
    intertwine, study_folders, tmp_path, command, where
):
    """Whichever name a command writes under, a link of that name is replaced or refused."""
    victim = tmp_path / "victim"
    victim.write_bytes(VICTIM)
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    np.save(inputs / "x.npy", np.random.default_rng(0).standard_normal((300, 6)))
    LinearMap(np.eye(6), np.zeros(6), Space("a", 6), Space("b", 6), "drawn").save(inputs / "map")
    names = []
    for name in ("one", "two"):
        out = tmp_path / name
        out.mkdir()
        call = [command.split()[0], *arguments(command, study_folders, inputs, out)]
        names.append(opened.during(out, lambda call=call: intertwine(*call)))
    made = {path.name for path in (tmp_path / "one").iterdir()}
    foreseen = made if where == "made" else names[0] & names[1] - made
    out = tmp_path / "three"
    out.mkdir()
    for name in foreseen:
        if not (tmp_path / "one" / name).is_dir():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).symlink_to(victim)
    done = intertwine(command.split()[0], *arguments(command, study_folders, inputs, out))
    assert done.code in {0, 1}
    assert victim.read_bytes() == VICTIM
    if done.code == 0:
        for path in out.rglob("*"):
            assert not path.is_symlink() or Path(path).name.startswith(".")
