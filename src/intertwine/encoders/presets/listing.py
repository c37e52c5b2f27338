"""What can be opened, as JSON-ready values: every scheme and every preset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from intertwine.encoders.presets.presets import PRESETS, weights_folder
from intertwine.encoders.registry import SCHEMES

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from intertwine.encoders.presets.preset import PresetEncoder


def list_encoders(weights: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """Return the schemes and presets, whose files lie in the folder of `weights_folder(weights)`.

    `schemes`: `scheme`, `opens`, `summary`, `extra`, `options`. `presets`: `preset` and `encoders`,
    each with `name`, `summary`, `scheme`, `uri`, `dim`, `input_size`, `parameters`, `files`
    (SHA-256, or null where any bytes will do, by name), `found` (the file there is, or null),
    `fetched` (whether the network's own library fetches the weights, no file being there),
    `source`, `licence`. `weights`: the folder.
    """
    folder = weights_folder(weights)
    return {
        "schemes": [
            {
                "scheme": name,
                "opens": scheme.opens,
                "summary": scheme.summary,
                "extra": scheme.extra,
                "options": scheme.known,
            }
            for name, scheme in SCHEMES.items()
        ],
        "presets": [
            {"preset": name, "encoders": [_facts(encoder, folder) for encoder in encoders]}
            for name, encoders in PRESETS.items()
        ],
        "weights": str(folder),
    }


def _facts(encoder: PresetEncoder, folder: Path) -> dict[str, Any]:
    found = encoder.find(folder)
    # The first of its files, where it cannot be opened without one.
    wanted = folder / next(iter(encoder.files)) if encoder.needs_file else None
    return {
        "name": encoder.name,
        "summary": encoder.summary,
        "scheme": encoder.scheme,
        "uri": encoder.uri(found or wanted),
        "dim": encoder.dim,
        "input_size": list(encoder.input_size),
        "parameters": encoder.parameters,
        "files": dict(encoder.files),
        "found": None if found is None else str(found),
        "fetched": found is None and not encoder.needs_file,
        "source": encoder.source,
        "licence": encoder.licence,
    }
