"""A migration of a store, without the pass that does it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager, suppress
from itertools import islice

from intertwine.stores import open_target
from intertwine.stores.store import require_ours

# The command, which shows lines of progress without waiting for a slow moment.
AT_ONCE = "from intertwine.cli import main; from intertwine.console import progress; progress.PLAIN_SECONDS = 0; main()"


def begin(source, text, mark):
    """Return a target beside a store, which stands from then on."""
    target = open_target(source, text, mark)
    if target.exists():
        require_ours(target.mark(), mark, target.name)
    else:
        target.create()
    return target


def write_round(target, mapped, *, size, most=None):
    """Write what is pending, or some batches of it; return how many items were written."""
    written = 0
    for batch in islice(target.pending(size), most):
        assert len(batch.ids) <= size
        written += target.write(batch, mapped(batch.vectors))
    return written


def migrate(source, text, mapped, *, mark, size, rounds=None):
    """Bring all of a source to a target, or some batches, and return the target."""
    target = begin(source, text, mark)
    while write_round(target, mapped, size=size, most=rounds):
        if rounds:
            break
    return target


def finished_after_a_kill(patch, module, step, done, run):
    """Run what is killed before or after a step, if it gets there."""
    function, cut = getattr(module, step), []

    def killed(*values, **names):
        if cut:
            return function(*values, **names)
        cut.append(step)
        if done:
            function(*values, **names)
        raise KeyboardInterrupt

    patch.setattr(module, step, killed)
    with suppress(KeyboardInterrupt):
        run()


@contextmanager
def held_by_another_process(*arguments):
    """Have a command run as a process of its own, which is killed at the end; give its id."""
    line = [sys.executable, "-c", AT_ONCE, *map(str, arguments)]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("migrating")
        try:
            yield process.pid
        finally:
            process.kill()
            process.stderr.read()
