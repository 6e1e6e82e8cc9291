"""What settings may be made of: text of the environment on its way to values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from events.envelope import decode_json

# What makes an outcome that outcome; SinkBinding's overrides are for extensions.
RESERVED: Final = frozenset(
    {"data", "datacontenttype", "dataschema", "id", "source", "specversion", "subject", "time", "type"}
    | {"batchid", "batchindex", "batchsize", "causationid", "expirytime", "retry"}
)

# As S3 documents what the names and values of an object's tags may hold; names that begin with aws: are its own.
_TAG_NAME: Final = re.compile(r"(?!aws:)[\w +\-=._:/@]{1,128}", re.IGNORECASE)
_TAG_VALUE: Final = re.compile(r"[\w +\-=._:/@]{0,256}")


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def _extensions(value: object) -> object:
    """The extensions in `K_CE_OVERRIDES`, which SinkBinding sets to JSON or to nothing."""
    if not isinstance(value, str):
        return value
    try:
        overrides = decode_json(value.encode()) if value.strip() else {}
    except ValueError:
        overrides = None
    if not isinstance(overrides, dict):
        raise ValueError('must be JSON such as {"extensions": {"team": "art"}}')  # noqa: TRY004  # pydantic's way
    extensions = overrides.get("extensions") or {}
    if isinstance(extensions, dict) and (reserved := RESERVED & extensions.keys()):
        raise ValueError(f"must not override {', '.join(sorted(reserved))}")
    return extensions


def _tags(value: object) -> object:
    pairs = [str(part).partition("=") for part in value] if isinstance(value := _split(value), tuple) else None
    if pairs is None:
        return value
    tags = {name.strip(): text.strip() for name, equals, text in pairs if equals}
    good = all(_TAG_NAME.fullmatch(name) and _TAG_VALUE.fullmatch(text) for name, text in tags.items())
    if not good or len(tags) < len(pairs) or len(tags) > 10:
        raise ValueError(
            "must be at most ten different tags as S3 takes them, such as team=art, project=x, and none named aws:"
        )
    return tags


Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Extensions = Annotated[Mapping[str, str], BeforeValidator(_extensions)]
Tags = Annotated[Mapping[str, str], BeforeValidator(_tags)]
