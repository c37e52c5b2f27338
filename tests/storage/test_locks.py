import subprocess
import sys

import pytest

from intertwine.errors import InputError
from intertwine.storage.locks import lock_of, one_run

HOLD = "import sys, time; from intertwine.storage.locks import one_run\nwith one_run(sys.argv[1]):\n  print('held', flush=True)\n  time.sleep(60)"


@pytest.fixture
def held(tmp_path):
    """Hold an output in another process, and yield it with that process."""
    output = tmp_path / "out" / "x.npy"
    process = subprocess.Popen([sys.executable, "-c", HOLD, output], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"held\n"
    yield output, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_run_is_told_who_holds_the_output(held):
    """The error names the process that holds it."""
    output, process = held
    told = rf"another run is writing it \(process {process.pid} on "
    with pytest.raises(InputError, match=told), one_run(output):
        pass


def test_a_kill_releases_it(held):
    """After kill -9 the next run takes it, whatever the first left there."""
    output, process = held
    process.kill()
    process.wait()
    with one_run(output):
        assert lock_of(output).exists()


def test_nothing_is_left_behind(tmp_path):
    """The lock's file goes when the run ends, also by an error."""
    output = tmp_path / "x.npy"
    with pytest.raises(KeyError), one_run(output):
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_another_output_is_free(held):
    """Neighbours in one folder, even of one stem, have locks of their own."""
    output, _ = held
    with one_run(output.with_suffix(".parquet")):
        pass


def test_a_link_is_not_followed(tmp_path):
    """A link in the place of a lock is refused, and what it leads to stays as it is."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    output = tmp_path / "x.npy"
    lock_of(output).symlink_to(victim)
    with pytest.raises(InputError, match="cannot write"), one_run(output):
        pass
    assert victim.read_text() == "mine"


def test_a_holder_that_cannot_be_read(held):
    """What stands in a lock is not believed, only shown when it is ours."""
    output, _ = held
    lock_of(output).write_text('{"process": "\\u001b[31m"}')
    with pytest.raises(InputError, match="another process"), one_run(output):
        pass
