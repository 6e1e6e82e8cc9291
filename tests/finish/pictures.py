"""Finished pictures of no model: what is drawn is noise or a ramp, and what is said of it is given."""

from __future__ import annotations

from typing import Any, Final, get_args

import numpy as np
from numpy.typing import NDArray

from events.prompt import Output, validate
from events.prompt.delivery import Format
from function.finish import Finished, Origin
from function.finish.finishing import Finishing
from function.render import Model, Picture

FORMATS: Final[tuple[Format, ...]] = get_args(Format)
# A file in each of them.
EACH: Final = tuple(Output(format=one) for one in FORMATS)
MODEL: Final = Model("models/shapes, the small one", "0" * 40)
SOFTWARE: Final = {"darkroom": "0.1.0", "torch": "2.15.0"}


def origin(prompt: str = "a red star", **fields: Any) -> Origin:
    """How a picture came to be that was drawn of this prompt."""
    filled = {"width": 128, "height": 96, "seed": 7, "scheduler": "EulerDiscreteScheduler"}
    rendered = validate({"prompt": prompt} | filled | fields).model_dump()
    return Origin("0" * 64, rendered, MODEL, SOFTWARE)


def ramp(height: int = 96, width: int = 128) -> NDArray[np.uint8]:
    """A smooth picture, of which a lossy format keeps nearly all."""
    y, x = np.mgrid[0 : 1 : 1j * height, 0 : 1 : 1j * width]
    return (np.stack([x, y, 1 - x * y], axis=2) * 255).astype(np.uint8)


def finished(*outputs: Output, of: Origin | None = None, pixels: NDArray[np.uint8] | None = None) -> Finished:
    """The files of a picture with the seed 8: the second of a request with the seed 7."""
    drawn = Picture(ramp() if pixels is None else pixels, 8)
    return Finishing()(drawn, of or origin(), outputs or EACH)
