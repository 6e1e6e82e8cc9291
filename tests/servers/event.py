"""CloudEvents over HTTP, as what stands between the processes in a cluster reads and writes them."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote, unquote

STRUCTURED: Final = "application/cloudevents+json"
# HTTP binding, section 3.1.3.2: everything but these is percent-encoded in a header.
PLAIN: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
NO_EVENT: Final = (ValueError, AttributeError, TypeError)


@dataclass(frozen=True)
class Event:
    """A CloudEvent with its attributes as text and its data as bytes."""

    attributes: Mapping[str, str]
    data: bytes

    @classmethod
    def read(cls, headers: Mapping[str, str], body: bytes) -> Self:
        """The event in a message (`headers` in lower case), structured or binary; one of NO_EVENT if it is none."""
        if headers.get("content-type", "").startswith(STRUCTURED):
            sent: dict[str, Any] = json.loads(body)
            if "data_base64" in sent:
                body = base64.b64decode(sent.pop("data_base64"))
            else:
                body = json.dumps(sent.pop("data")).encode() if "data" in sent else b""
        else:
            sent = {name[3:]: unquote(value) for name, value in headers.items() if name.startswith("ce-")}
            sent["datacontenttype"] = headers.get("content-type")
        values = {name: value for name, value in sent.items() if value is not None}
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
        if not all(texts.get(name) for name in ("id", "source", "type")) or texts.get("specversion") != "1.0":
            raise ValueError("a required attribute is missing")
        return cls(texts, body)

    @property
    def headers(self) -> dict[str, str]:
        """The event's headers in binary mode."""
        texts = dict(self.attributes)
        media = {"content-type": texts.pop("datacontenttype")} if "datacontenttype" in texts else {}
        return media | {f"ce-{name}": quote(text, PLAIN) for name, text in texts.items()}

    @property
    def json(self) -> dict[str, Any]:
        """The event in its JSON form, its attributes as text."""
        return {**self.attributes, "data": json.loads(self.data)}
