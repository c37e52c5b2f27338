"""`intertwine encoders`: every URI scheme and every preset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from intertwine.console import options as common


def encoders(
    weights: Annotated[
        Path | None, typer.Option(help="Folder of the presets' weight files.")
    ] = None,
    json: common.JsonOption = False,
) -> None:
    """List the URI schemes, and the presets with their networks and where the weights come from.

    Example: intertwine encoders --weights weights/
    """
    from intertwine.encoders.presets.presets import list_encoders

    facts = list_encoders(weights)
    if json:
        common.print_json(facts)
        return
    for scheme in facts["schemes"]:
        opens = scheme["opens"].upper().replace(" OR ", "|")
        common.print_line(
            f"{scheme['scheme']}:{opens}  {scheme['summary']} (extra: {scheme['extra']})"
        )
        common.print_line(f"    options: {', '.join(scheme['options'])}")
    for preset in facts["presets"]:
        common.print_line(f"--preset {preset['preset']}  weights in {facts['weights']}")
        for encoder in preset["encoders"]:
            _print(encoder)


def _print(encoder: dict[str, Any]) -> None:
    height, width = encoder["input_size"]
    common.print_line(
        f"    {encoder['name']}: {encoder['summary']}; {encoder['dim']}-d, input {height}×{width}, "
        f"{encoder['parameters']:,} parameters, licence {encoder['licence']}"
    )
    common.print_line(f"        {encoder['uri']}")
    if encoder["files"]:
        missing = "not there, will be fetched" if encoder["fetched"] else "missing"
        state = "found" if encoder["found"] else missing
        common.print_line(f"        {' or '.join(encoder['files'])}: {state}")
        common.print_line(f"        from the {encoder['source']}")
    else:
        common.print_line(f"        {encoder['source']}")
