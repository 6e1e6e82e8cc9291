"""What a fuzzer sends: damaged events of every dialect, hostile prompts, broken JSON, and HTTP that is none."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from hypothesis import strategies as st

from events import IMAGE_REQUESTED, PROMPTS_DROPPED
from events.envelope import BATCH, STRUCTURED, media_type
from tests.events.test_dialects_mutations import bytes_mutated, header_mutated, sent

REQUIRED: Final = ("specversion", "id", "source", "type")
# So few that most of what is well-formed was sent before, and costs no render.
IDS: Final = 40
# What Hypothesis finds to put where a text, a number or an object is wanted.
HOSTILE: Final = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=60),
    st.floats(),
    st.integers(),
    st.recursive(
        st.none() | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
)
FIELDS: Final = ("prompt", "negative_prompt", "width", "height", "seed", "num_images", "num_inference_steps", "promt")


@dataclass(frozen=True)
class Input:
    """A request as its bytes, and what is known about its answer.

    `canary` stands somewhere in it. `cut`: it ends before it is whole. `follows`: bytes come behind its end, so that
    nobody can say where the next one begins. `refused`: as a CloudEvent it lacks an attribute, whatever else it is.
    """

    raw: bytes
    path: str
    canary: str
    cut: bool = False
    follows: bool = False
    refused: bool = False
    coding: bool = False


def an_input(luck: Random, hostile: Any, paths: tuple[str, ...], token: str, prompts: str) -> Input:
    """One of all of them, to one of `paths`; `prompts` is the name of a bucket with prompt files."""
    canary = f"{luck.getrandbits(64):016x}"
    path = luck.choice(paths)
    make = luck.choices([damaged, event, garbage, dropped], [60, 20, 12, 3])[0]
    headers, body = make(luck, hostile, canary, prompts)
    if luck.random() < 0.3:
        body = marked(body, canary, luck)
    lines = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    if token and luck.random() < 0.9:
        lines.append((b"authorization", b"Bearer " + token.encode()))
    lines.append((b"x-canary", canary.encode()))
    if luck.random() < 0.1:
        lines.insert(luck.randrange(len(lines)), odd_header(luck, canary))
    return framed(luck, path, canary, [(name, value) for name, value in lines if is_header(name, value)], body)


def is_header(name: bytes, value: bytes) -> bool:
    """Whether it is one header: not more of them, and not the end of them all."""
    return bool(name) and not {*b"\r\n"} & {*name, *value}


def damaged(luck: Random, _hostile: Any, _canary: str, _prompts: str) -> tuple[dict[str, str], bytes]:
    """A message of any dialect with one to three things done to it."""
    return sent(luck)


def event(luck: Random, hostile: Any, canary: str, _prompts: str) -> tuple[dict[str, str], bytes]:
    """A request of our own, in any mode, with a hostile value in it."""
    data: dict[str, Any] = {"prompt": "a red star", luck.choice(FIELDS): hostile, "num_images": 1}
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"{luck.randrange(IDS)}" if luck.random() < 0.95 else canary,
        "source": "/fuzz",
        "type": luck.choice([IMAGE_REQUESTED, IMAGE_REQUESTED, PROMPTS_DROPPED, "com.example.other"]),
    }
    name = luck.choice([*attributes, "time", "subject", "correlationid", "partitionkey", "batchindex", "dataschema"])
    match luck.randrange(4):
        case 0:
            attributes[name] = hostile
        case 1:
            attributes.pop(name, None)
        case _:
            pass
    mode = luck.randrange(4)
    if mode == 0:
        return {"content-type": STRUCTURED}, encoded(attributes | {"data": data})
    if mode == 1:
        many = [attributes | {"id": f"{number}", "data": data} for number in range(luck.randrange(4))]
        return {"content-type": BATCH}, encoded(many)
    headers = {f"ce-{each}": value if isinstance(value, str) else repr(value) for each, value in attributes.items()}
    if luck.random() < 0.3:
        headers = header_mutated(headers, luck)
    return headers | {"content-type": luck.choice(["application/json", "application/json", "text/plain"])}, encoded(
        data
    )


def garbage(luck: Random, hostile: Any, canary: str, prompts: str) -> tuple[dict[str, str], bytes]:
    """A well-formed event but for its body, which is what no JSON should be."""
    good = encoded({"prompt": "a red star", "negative_prompt": canary})
    depth = luck.choice([10, 65, 1000, 100_000])
    digits = b"9" * luck.choice([20, 400, 5000])
    body = luck.choice(
        [
            b"[" * depth,
            b"[" * depth + b"]" * depth,
            b'{"prompt":' * (depth // 10) + b"1" + b"}" * (depth // 10),
            b'{"prompt": "a", "seed": %s}' % digits,
            b'{"prompt": "a", "guidance_scale": 1e%s}' % digits[:4],
            b'{"prompt": "a", "guidance_scale": %s}' % luck.choice([b"NaN", b"Infinity", b"-Infinity", b"-0", b"0x1"]),
            b'{"prompt": "a", "prompt": "b", "prompt": %s}' % encoded(hostile),
            b'{"prompt": "\\ud800"}',
            b'{"\\udfff": "a", "prompt": "\\ud83d"}',
            b'{"prompt": "\\u0000"}',
            b'{"prompt": "\xff\xfe"}',
            b"\xef\xbb\xbf" + good,
            good.decode().encode("utf-16"),
            gzip.compress(good),
            b"--b\r\nContent-Disposition: form-data; name=prompt\r\n\r\na\r\n--b--",
            b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
            encoded({"prompt": "x" * luck.choice([4000, 4001, 100_000])}),
            encoded({"matrix": {"seed": list(range(luck.choice([2, 200])))}, "prompt": "a {{seed}}"}),
            encoded({"prompts": [{"prompt": "a"}] * luck.choice([0, 1, 2, 300])}),
            encoded(hostile),
            b"",
            bytes_mutated(good, luck),
        ]
    )
    types = ("application/json", STRUCTURED, BATCH, "", "application/x-www-form-urlencoded", "multipart/form-data")
    headers = {"content-type": luck.choice(types), "ce-id": f"{luck.randrange(IDS)}", "ce-source": f"/{prompts}"}
    headers |= {"ce-specversion": "1.0", "ce-type": luck.choice([IMAGE_REQUESTED, "dev.knative.kafka.event"])}
    if luck.random() < 0.1:
        headers["content-encoding"] = luck.choice(["gzip", "br", "identity"])
    return headers, body


def dropped(luck: Random, _hostile: Any, _canary: str, prompts: str) -> tuple[dict[str, str], bytes]:
    """The announcement of one of the prompt files."""
    named = {"bucket": prompts, "key": file_name(luck.randrange(FILES))}
    headers = {"ce-id": "f", "ce-source": "/fuzz", "ce-specversion": "1.0", "ce-type": PROMPTS_DROPPED}
    return headers | {"content-type": "application/json"}, encoded({"object": named})


FILES: Final = 60
_WRITTEN: Final = {
    "json": b'{"prompts": [{"prompt": "a red star", "seed": 1}, "b"], "matrix": {"width": [512, 1024]}}',
    "jsonl": b'{"prompt": "a red star"}\n{"prompt": "b", "seed": 7}\n',
    "yaml": b"defaults: &d {width: 512}\nprompts:\n  - {prompt: a red star, <<: *d}\n  - prompt: b\n",
    "csv": b'prompt,seed,width\na red star,1,512\n"b, c",2,1024\n',
    "txt": b"a red star\n# a remark\nb\n",
}


def file_name(number: int) -> str:
    return f"fuzz/{number}.{list(_WRITTEN)[number % len(_WRITTEN)]}"


def file_body(number: int) -> bytes:
    """A prompt file, sound or damaged."""
    luck, body = Random(number), list(_WRITTEN.values())[number % len(_WRITTEN)]
    for _ in range(luck.randrange(4)):
        body = bytes_mutated(body, luck)
    return body


def encoded(value: Any) -> bytes:
    """JSON as Python writes it: NaN and lone surrogates among it."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def marked(body: bytes, canary: str, luck: Random) -> bytes:
    """The body with the canary behind a quotation mark, so that it begins a text or a name, or anywhere."""
    quotes = [at for at, byte in enumerate(body) if byte == 0x22]
    at = luck.choice(quotes) + 1 if quotes and luck.random() < 0.8 else luck.randrange(len(body) + 1)
    return body[:at] + canary.encode() + body[at:]


def odd_header(luck: Random, canary: str) -> tuple[bytes, bytes]:
    name = luck.choice([b"x-odd", b"ce-odd", b"ce-id", b"content-type", b"x odd", b"x\x00", b"ce-\xe9", b"host", b"te"])
    value = luck.choice(
        [b"\xff\xfe", b"\x00", b"\t", b"x" * 3000, canary.encode() + b"\xe9", "é".encode(), b'"\\"', b"%"]
    )
    return name, value


FRAMES: Final = ("length", "chunked", "short", "long", "twice", "coding", "bad length", "bad chunk", "head", "expect")


def framed(luck: Random, path: str, canary: str, lines: list[tuple[bytes, bytes]], body: bytes) -> Input:
    """The bytes of the request; one in twenty is HTTP that is none."""
    frame = luck.choices(FRAMES, [800, 160, 4, 4, 4, 4, 4, 4, 12, 4])[0]
    method, target = b"POST", path.encode()
    length = [(b"content-length", b"%d" % len(body))]
    cut = follows = coding = False
    match frame:
        case "chunked" | "bad chunk" | "coding":
            length = [(b"transfer-encoding", b"chunked")]
            size = luck.choice([1 + len(body) // 3, len(body) or 1])
            pieces = [body[at : at + size] for at in range(0, len(body), size)]
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
            if frame == "bad chunk":
                body, cut, follows = (
                    luck.choice([b"zz\r\n", b"-1\r\n", b"5;\x00\r\n", b"ffffffffffffffff\r\n"]) + body,
                    True,
                    True,
                )
            if frame == "coding":
                length, coding, follows = [(b"transfer-encoding", luck.choice([b"gzip, chunked", b"x"]))], True, True
        case "short":
            length, cut = [(b"content-length", b"%d" % (len(body) + 10))], True
        case "long":
            follows = bool(body)
            length = [(b"content-length", b"%d" % (len(body) // 2))]
        case "twice":
            length, follows = [*length, (b"content-length", b"1")], True
        case "bad length":
            length, follows = [(b"content-length", luck.choice([b"-1", b"x", b"1e3", b"9" * 30, b"+5", b""]))], True
            cut = True
        case "head":
            method = luck.choice([b"GET", b"PUT", b"post", b"OPTIONS", b"P" + canary.encode(), b"\xff", b"PRI"])
            target = luck.choice(
                [target, b"/" + canary.encode(), b"*", b"//", b"/%ff", b"http://[" + canary.encode(), b"/\xe9"]
            )
            cut, follows = True, True
        case "expect" if body:
            # Without a body nobody may expect this (RFC 9110, section 10.1.1), and waitress waits for one.
            length.append((b"expect", b"100-continue"))
        case _:
            pass
    head = b"\r\n".join([method + b" " + target + b" HTTP/1.1", *(b"%s: %s" % line for line in [*lines, *length])])
    refused = frame in ("length", "chunked") and path == "/" and lacks_attributes(lines)
    return Input(head + b"\r\n\r\n" + body, path, canary, cut, follows, refused, coding)


def lacks_attributes(lines: list[tuple[bytes, bytes]]) -> bool:
    """Whether the headers are those of a binary event, one of whose required attributes is not sent."""
    headers: dict[str, str] = {}
    for name, value in lines:
        # A header that comes again goes on where it ended: RFC 9110, section 5.3.
        known = name.decode("latin-1").lower()
        before = [headers[known]] if known in headers else []
        headers[known] = ", ".join([*before, value.decode("latin-1").strip()])
    if media_type(headers).startswith("application/cloudevents"):
        return False
    return any(not headers.get(f"ce-{name}") for name in REQUIRED)
