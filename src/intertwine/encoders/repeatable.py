"""Whether a network is one function: the same features of the same image, every time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from intertwine.errors import InputError

if TYPE_CHECKING:
    from intertwine.encoders.encoder import Encoder
    from intertwine.encoders.preprocessing import Preprocessing


def check_repeatable(encoder: Encoder, module: Any, *, where: str) -> None:
    """Run a network twice on one image and raise when the features differ.

    Parameters
    ----------
    encoder
        The network as an encoder of images.
    module
        The torch module it runs.
    where
        What to call it in an error.

    Raises
    ------
    InputError
        When they differ, or the module is no longer in eval mode.
    """
    image = cast("Preprocessing", encoder.preprocessing).noise(1)
    first, second = encoder.encode(image), encoder.encode(image)
    training = any(part.training for part in module.modules())
    if training or not np.array_equal(first, second):
        why = "it goes back to training mode" if training else "two runs on one image differ"
        raise InputError(
            f"{where}: {why}; its forward must do the same every time, without dropout or "
            "batch statistics"
        )
