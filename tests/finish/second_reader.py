"""A second reader of Content Credentials in a PNG, which shares no code with the one that wrote them.

After the specification (C2PA 2.2, 8 to 13; RFC 9052, 4.4): the file's hash, those of the statements, and the signature.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from function.finish.cbor import item


@dataclass(frozen=True)
class Read:
    """What the file says, all of it proven."""

    certificate: x509.Certificate
    claim: dict[str, Any]
    actions: list[dict[str, Any]]


def read(file: bytes) -> Read:
    """Check every hash and the signature; an AssertionError where one is wrong."""
    store = b"".join(body for kind, body in _chunks(file) if kind == b"caBX")
    found = dict(_leaves(store, ()))
    (manifest,) = {path[:2] for path in found if len(path) > 1}
    claim, _ = item(found[(*manifest, "c2pa.claim.v2")][1], 0)
    for listed in [*claim["created_assertions"], *claim.get("gathered_assertions", [])]:
        name = listed["url"].rsplit("/", 1)[-1]
        whole, _ = found[(*manifest, "c2pa.assertions", name)]
        assert hashlib.sha256(whole).digest() == listed["hash"], name
    data, _ = item(found[(*manifest, "c2pa.assertions", "c2pa.hash.data")][1], 0)
    assert hashlib.sha256(_without(file, data["exclusions"])).digest() == data["hash"], "the file was changed"
    actions, _ = item(found[(*manifest, "c2pa.assertions", "c2pa.actions.v2")][1], 0)
    return Read(
        _signer(found[(*manifest, "c2pa.signature")][1], found[(*manifest, "c2pa.claim.v2")][1]),
        claim,
        actions["actions"],
    )


def _signer(signature: bytes, claim: bytes) -> x509.Certificate:
    """The certificate whose key signed the claim."""
    (protected, _, payload, raw), _ = item(signature, 0)
    assert payload is None
    headers, _ = item(protected, 0)
    assert headers[1] == -7, "ES256"
    chain = headers[33]
    certificate = x509.load_der_x509_certificate(chain[0] if isinstance(chain, list) else chain)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    to_be_signed = b"\x84" + _text("Signature1") + _bytes(protected) + _bytes(b"") + _bytes(claim)
    r, s = (int.from_bytes(half, "big") for half in (raw[:32], raw[32:]))
    key.verify(encode_dss_signature(r, s), to_be_signed, ec.ECDSA(hashes.SHA256()))
    return certificate


def _text(text: str) -> bytes:
    return bytes([0x60 + len(text)]) + text.encode()


def _bytes(body: bytes) -> bytes:
    return (bytes([0x40 + len(body)]) if len(body) < 24 else b"\x59" + struct.pack(">H", len(body))) + body


def _without(file: bytes, exclusions: list[dict[str, int]]) -> bytes:
    (gap,) = exclusions
    return file[: gap["start"]] + file[gap["start"] + gap["length"] :]


def _chunks(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    stream = io.BytesIO(file[8:])
    while head := stream.read(8):
        size, kind = struct.unpack(">I4s", head)
        yield kind, stream.read(size)
        stream.read(4)


def _leaves(boxes: bytes, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], tuple[bytes, bytes]]]:
    """Each superbox that holds no other, by the labels that lead to it: all in it, and its last box's content."""
    while boxes:
        size, kind = struct.unpack_from(">I4s", boxes)
        inside, boxes = boxes[8:size], boxes[size:]
        assert kind == b"jumb"
        (described,) = struct.unpack_from(">I", inside)
        label = inside[25 : inside.index(b"\0", 25)].decode()
        content = inside[described:]
        if content[4:8] == b"jumb":
            yield from _leaves(content, (*path, label))
        else:
            yield (*path, label), (inside, content[8:])
