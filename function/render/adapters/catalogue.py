"""Which adapters are installed: a JSON file lists them by name, each with its kind, its files and their sha256.

    {
      "ink": {"kind": "lora", "path": "loras/ink.safetensors", "sha256": "…"},
      "edges": {"kind": "controlnet", "path": "edges/diffusion_pytorch_model.safetensors", "sha256": "…"},
      "style": {"kind": "ip_adapter", "path": "ip-adapter_sdxl.safetensors", "sha256": "…",
                "image_encoder": {"path": "image_encoder/model.safetensors", "sha256": "…"}}
    }

Paths begin at the file's own folder. A `config.json` lies beside a ControlNet's weights, and an image encoder's. A file
may name its place at the hub, `"hub": "owner/name@<commit>/<file>"`, which `darkroom prefetch` alone makes use of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from events.prompt import Prompt
from events.prompt.adapters import Name
from events.prompt.sources import Sum
from function.errors import Lacking
from function.render import Model
from function.render.adapters.files import Kind, complaint
from function.render.weights import ModelUnavailable

# A refusal names so many of what there is.
_NAMED: Final = 50
_AT_HUB: Final = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)@(?P<commit>[0-9a-f]{40})/(?P<file>.+)")


def _is_weights(path: str) -> str:
    if not path.endswith(".safetensors"):
        raise ValueError("must be a *.safetensors; other formats can run code and are never read")
    return path


def _is_at_hub(place: str) -> str:
    if not _AT_HUB.fullmatch(place):
        raise ValueError("must be owner/name@commit/file, with the 40 hex digits of the commit")
    return place


class File(BaseModel):
    """A file of weights, and what it must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    path: Annotated[str, AfterValidator(_is_weights)]
    sha256: Sum
    hub: Annotated[str, AfterValidator(_is_at_hub)] | None = None

    @property
    def at_hub(self) -> tuple[Model, str] | None:
        """Whose file it is at the hub, and its name there; None if it is nobody's."""
        parts = _AT_HUB.fullmatch(self.hub or "")
        return parts and (Model(parts["repo"], parts["commit"]), parts["file"])


class LoraFile(File):
    """A LoRA."""

    kind: Literal["lora"]


class ControlNetFile(File):
    """A ControlNet, its config.json beside it."""

    kind: Literal["controlnet"]


class IpAdapterFile(File):
    """An IP-Adapter, and the image encoder that it was trained with."""

    kind: Literal["ip_adapter"]
    image_encoder: File


Entry = Annotated[LoraFile | ControlNetFile | IpAdapterFile, Field(discriminator="kind")]
_LISTED: Final = TypeAdapter(dict[Name, Entry])


class Catalogue:
    """The adapters that are installed, by name; without a file, none."""

    def __init__(self, folder: Path | None = None, entries: Mapping[str, Entry] | None = None) -> None:
        self._folder = folder or Path()
        self._entries = dict(entries or {})

    @classmethod
    def read(cls, file: Path) -> Self:
        """The catalogue in `file`; `ModelUnavailable` says what is wrong with it. No file of weights is read."""
        try:
            entries = _LISTED.validate_json(file.read_bytes())
        except OSError as error:
            raise ModelUnavailable(f"adapters {file} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            rows = error.errors(include_url=False, include_input=False)
            where = ".".join(map(str, rows[0]["loc"]))
            message = rows[0]["msg"].removeprefix("Value error, ")
            raise ModelUnavailable(f"adapters {file}: {f'{where}: ' if where else ''}{message}") from None
        return cls(file.parent, entries)

    def check_files(self) -> None:
        """Read every file to its end; `ModelUnavailable` where one is not what the catalogue says."""
        for name, file, kind in self.files():
            if wrong := complaint(self.path(file), kind, file.sha256):
                away = file.hub and not self.path(file).exists()
                mend = "; `darkroom prefetch` of the list fetches it" if away else ""
                raise ModelUnavailable(f"adapter {name}: {self.path(file)} {wrong}{mend}")

    def check(self, prompt: Prompt) -> None:
        """Raise `Lacking`, which says what there is, if the prompt names an adapter that there is not."""
        for kind, field in (("lora", "loras"), ("controlnet", "controlnets"), ("ip_adapter", "ip_adapters")):
            there = [name for name, entry in self._entries.items() if entry.kind == kind]
            for index, asked in enumerate(getattr(prompt, field)):
                if asked.name not in there:
                    raise Lacking(f"{field}.{index}.name: this installation has none of that name; {_said(there)}")
        encoders = {self.encoder_of(asked.name).sha256 for asked in prompt.ip_adapters}
        if len(encoders) > 1:
            raise Lacking("ip_adapters: these look at pictures with different image encoders; use one at a time")

    def within(self, folder: Path) -> Self:
        """The same list, its files in another folder."""
        return type(self)(folder, self._entries)

    def path(self, file: File) -> Path:
        return self._folder / file.path

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def encoder_of(self, name: str) -> File:
        """What looks at pictures for an IP-Adapter."""
        entry = self._entries[name]
        if not isinstance(entry, IpAdapterFile):
            raise KeyError(name)
        return entry.image_encoder

    def files(self) -> Iterator[tuple[str, File, Kind]]:
        """Every file of weights, with its adapter's name; one may come more than once."""
        for name, entry in self._entries.items():
            yield name, entry, entry.kind
            if isinstance(entry, IpAdapterFile):
                yield name, entry.image_encoder, "image_encoder"


def _said(names: Iterable[str]) -> str:
    first = list(names)[:_NAMED]
    return f"there {'is' if len(first) == 1 else 'are'} {', '.join(first)}" if first else "there are none"
