"""Adapters: what changes the model for one prompt, and leaves it as it was."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from logging import CRITICAL
from typing import TYPE_CHECKING, Any, Final

import structlog

from events.prompt import Prompt
from events.prompt.adapters import ControlNet, IpAdapter, Lora
from function.errors import Lacking, of_the_machine
from function.render import Adapter, Rendering, Sources
from function.render.adapters import control, ip, lora
from function.render.adapters.catalogue import Catalogue, File
from function.render.adapters.files import Misfit
from function.render.adapters.kept import Kept
from function.render.faults import fault_of, first_line

if TYPE_CHECKING:
    from diffusers import StableDiffusionXLPipeline

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a prompt's adapters give to a pipeline: parts to be made with, arguments, and pictures for ControlNets.

    While `without_loras` is entered, the model has none.
    """

    parts: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    control_images: list[Any] = field(default_factory=list)
    without_loras: Callable[[], AbstractContextManager[None]] = nullcontext


NOTHING: Final = Fitted()


class Adapters:
    """The adapters of a catalogue; between prompts, at most `room` bytes of them stay loaded."""

    def __init__(self, catalogue: Catalogue, room: int) -> None:
        self._catalogue = catalogue
        self._kept = Kept(room)

    def let_go(self) -> None:
        """Keep none loaded but those that are being drawn with."""
        self._kept.let_go()

    def check(self, prompt: Prompt) -> None:
        """Raise `Lacking` if the prompt names an adapter that is not installed."""
        self._catalogue.check(prompt)

    @contextmanager
    def checked(self) -> Iterator[None]:
        """Read all files beside what is done meanwhile; `ModelUnavailable` unless they are what the catalogue says."""
        with ThreadPoolExecutor(1) as reading:
            checking = reading.submit(self._catalogue.check_files)
            yield
        checking.result()

    def applied(
        self, base: StableDiffusionXLPipeline, prompt: Prompt, sources: Sources, draw: Callable[[Fitted], Rendering]
    ) -> Rendering:
        """What `draw` gives with the prompt's adapters, with their sums and the seconds that they took to put on."""
        if not (prompt.loras or prompt.controlnets or prompt.ip_adapters):
            return draw(NOTHING)
        began = time.perf_counter()
        with self.on(base, prompt, sources) as fitted:
            seconds = time.perf_counter() - began
            rendering = draw(fitted)
        return replace(rendering, timings={"adapt": seconds, **rendering.timings}, adapters=self.of(prompt))

    def of(self, prompt: Prompt) -> tuple[Adapter, ...]:
        """The prompt's adapters with their sums, each once, an IP-Adapter's image encoder after it."""
        asked: list[Lora | ControlNet | IpAdapter] = [*prompt.loras, *prompt.controlnets, *prompt.ip_adapters]
        found = [Adapter(one.name, self._catalogue[one.name].kind, self._catalogue[one.name].sha256) for one in asked]
        found += [
            Adapter(one.name, "image_encoder", self._catalogue.encoder_of(one.name).sha256)
            for one in prompt.ip_adapters
        ]
        return tuple(dict.fromkeys(found))

    @contextmanager
    def on(self, base: StableDiffusionXLPipeline, prompt: Prompt, sources: Sources) -> Iterator[Fitted]:
        """Put the prompt's adapters on the model for as long as it is drawn; `Lacking` if one does not fit it."""
        with ExitStack() as stack:
            take = partial(self._take, stack.enter_context(self._kept.during_a_prompt()))
            for name in [one.name for one in prompt.loras]:
                take("lora", [name], partial(lora.load, base, name), partial(lora.drop, base, name))
            nets = [take("controlnet", [one.name], partial(control.load, base)) for one in prompt.controlnets]
            fitted = Fitted(
                parts={"controlnet": nets} if nets else {},
                arguments=control.arguments(prompt.controlnets) if nets else {},
                control_images=[sources[one.image] for one in prompt.controlnets],
                without_loras=partial(lora.without, base, prompt.loras) if prompt.loras else nullcontext,
            )
            if names := [one.name for one in prompt.ip_adapters]:
                encoder = take("image_encoder", names[:1], partial(ip.load_encoder, base))
                attention = take("ip_adapter", names, partial(ip.load, base, encoder))
                fitted.parts.update(ip.eyes(encoder))
                fitted.arguments["ip_adapter_image"] = [sources[one.image] for one in prompt.ip_adapters]
                stack.enter_context(ip.worn(base.unet, attention, [one.scale for one in prompt.ip_adapters]))
            stack.enter_context(lora.worn(base, prompt.loras))
            yield fitted

    def _take(
        self,
        take: Callable[..., Any],
        kind: str,
        names: Sequence[str],
        load: Callable[..., Any],
        drop: Callable[[], None] = lambda: None,
    ) -> Any:
        """What `load` makes of these adapters' files, now or earlier."""
        files: list[File] = [self._catalogue[name] for name in names]
        if kind == "image_encoder":
            files = [self._catalogue.encoder_of(name) for name in names]
        paths = [self._catalogue.path(file) for file in files]
        # Many have the same one.
        key = (kind, *(file.sha256 for file in files)) if kind == "image_encoder" else (kind, *names)

        def fitting() -> Any:
            try:
                with _quietly():
                    return load(*paths)
            except Exception as error:
                drop()
                if fault_of(error) or of_the_machine(error):
                    raise
                which = f"{kind} {' and '.join(names)}"
                log.warning("adapter.does_not_fit", adapter=which, error=first_line(error))
                # The files are those that were meant, so it is a fault of the installation, never of the request.
                raise Lacking(f"{which} does not fit this model: {_why(error)}") from error

        return take(key, sum(path.stat().st_size for path in paths), fitting, drop)


def _why(error: Exception) -> str:
    # The libraries say it as one of these, each in words for whoever called them.
    if isinstance(error, KeyError | RuntimeError | ValueError) and not isinstance(error, Misfit):
        return "its tensors are not named and sized as this model's"
    return first_line(error)


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the libraries log of it: that there are several LoRAs, say, or an error that they raise as well."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    before = [(logs, logs.get_verbosity()) for logs in (of_diffusers, of_transformers)]
    for logs, _ in before:
        logs.set_verbosity(CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config` attribute", UserWarning)
            yield
    finally:
        for logs, level in before:
            logs.set_verbosity(level)
