"""`python -m intertwine`: the command line."""

from __future__ import annotations

from intertwine.cli import main

if __name__ == "__main__":
    main()
