import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tests.parallel.workers import double, wait_for

from intertwine.parallel.processes import lasting_processes


@pytest.mark.slow
def test_an_executor_opened_again_works():
    """Each executor that is opened runs work, and all have ended after the context."""
    with lasting_processes(1) as open_pool:
        pools = [open_pool(), open_pool()]
        assert [pool.submit(double, 4).result() for pool in pools] == [8, 8]
    for pool in pools:
        with pytest.raises(RuntimeError, match="after shutdown"):
            pool.submit(double, 4)


@pytest.mark.slow
def test_an_error_ends_processes_with_work_in_hand(tmp_path):
    """Nobody waits for work in hand, which here would never be done, once an error leaves."""

    def begin_and_leave(open_pool):
        work = open_pool().submit(wait_for, (0, str(tmp_path)))
        while not (tmp_path / "begun 0").exists():
            assert not work.done()
            time.sleep(0.01)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), lasting_processes(1) as open_pool:
        begin_and_leave(open_pool)


@pytest.mark.slow
def test_a_kill_ends_the_processes_too(tmp_path, write_folder):
    """With the command killed, its processes end by themselves: nobody holds its output any more."""
    folder = write_folder(tmp_path / "set", {"a": np.ones((400_000, 60), np.float32)})
    command = Path(sys.executable).with_name("intertwine")
    arguments = ["moments", folder, "--out", tmp_path / "out", "--workers", "2"]
    with subprocess.Popen([command, *arguments], stdout=subprocess.PIPE) as process:
        while not list(tmp_path.glob(".out.*.parts/part-*")):
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        assert process.communicate(timeout=60) == (b"", None)
    assert not (tmp_path / "out").exists()
