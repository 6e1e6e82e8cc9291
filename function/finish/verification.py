"""Verification: whether a file is as its signer left it, who that was, and what he says of how it was made."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import c2pa

from function.finish import framing, xmp

# Nothing that a file names is fetched.
_SETTINGS: Final[Mapping[str, Any]] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
_MAGIC: Final = {
    "image/png": (0, b"\x89PNG\r\n\x1a\n"),
    "image/jpeg": (0, b"\xff\xd8\xff"),
    "image/webp": (8, b"WEBP"),
    "image/avif": (4, b"ftypavi"),
}
# What readers of C2PA call it, and what it means; other failures are told in their words.
_MEANINGS: Final = {
    "assertion.dataHash.mismatch": "the picture or what is said beside it was changed after it was signed",
    "assertion.bmffHash.mismatch": "the picture or what is said beside it was changed after it was signed",
    "assertion.hashedURI.mismatch": "a statement in the manifest was changed after it was signed",
    "claimSignature.mismatch": "the signature is not that of the signer",
    "signingCredential.expired": "the signer's certificate is not valid now, and nothing proves that it was then",
}
_UNTRUSTED: Final = "signingCredential.untrusted"


class State(Enum):
    """What became of a file since it was signed."""

    VALID = "valid"
    BROKEN = "not valid"
    UNSIGNED = "not signed"


@dataclass(frozen=True)
class Verdict:
    """What a file says of itself, and whether that holds; `trusted` is None if no authority was named to ask."""

    state: State
    reasons: tuple[str, ...] = ()
    signer: str | None = None
    trusted: bool | None = None
    source_type: str | None = None
    made_with: str | None = None
    when: str | None = None
    xmp: str | None = None
    """The digital source type that the XMP states, which is signed only where the file is."""


@dataclass(frozen=True)
class Verifier:
    """Judges files; `anchors` are certificates in PEM of the authorities that are trusted."""

    anchors: str | None = None
    _context: c2pa.Context = field(init=False)

    def __post_init__(self) -> None:
        """Raises ValueError for anchors that are no certificates."""
        trust = {"trust": {"trust_anchors": self.anchors}} if self.anchors is not None else {}
        try:
            context = c2pa.Context.from_dict({**_SETTINGS, **trust})
        except c2pa.C2paError as error:
            raise ValueError(str(error)) from None
        object.__setattr__(self, "_context", context)

    def __call__(self, file: bytes) -> Verdict:
        """The verdict on a file; one that is no picture is not signed."""
        media_type = next((kind for kind, (at, magic) in _MAGIC.items() if file[at:].startswith(magic)), None)
        if media_type is None:
            return Verdict(State.UNSIGNED, ("this is no PNG, JPEG, WebP or AVIF",))
        stated = xmp.source_type(file)
        try:
            with c2pa.Reader(media_type, io.BytesIO(file), context=self._context) as reader:
                found = json.loads(reader.json())
        except c2pa.C2paError as error:
            state, reason = _unreadable(str(error))
            return Verdict(state, (reason,), xmp=stated)
        return self._verdict(found, file, media_type, stated)

    def _verdict(self, found: Mapping[str, Any], file: bytes, media_type: str, stated: str | None) -> Verdict:
        # A manifest whose signature cannot be read is missing here.
        manifest = found["manifests"].get(found["active_manifest"], {})
        codes = {status["code"] for status in found.get("validation_status", [])}
        reasons = tuple(_reasons(found)) if found["validation_state"] == "Invalid" else ()
        if not reasons:
            try:
                framing.check(file, media_type)
            except framing.Misframed as flaw:
                reasons = (str(flaw),)
        signature = manifest.get("signature_info", {})
        made = next(_actions(manifest), {})
        return Verdict(
            State.BROKEN if reasons else State.VALID,
            reasons,
            signer=", ".join(filter(None, (signature.get("common_name"), signature.get("issuer")))) or None,
            trusted=None if self.anchors is None else _UNTRUSTED not in codes and not reasons,
            source_type=made.get("digitalSourceType"),
            made_with=" ".join(_software(manifest)) or None,
            when=signature.get("time") or made.get("when"),
            xmp=stated,
        )


def _unreadable(said: str) -> tuple[State, str]:
    if said.startswith("ManifestNotFound"):
        return State.UNSIGNED, "there are no Content Credentials in it"
    if said.startswith("Remote: must fetch"):
        return State.UNSIGNED, "its Content Credentials are elsewhere, and nothing is fetched"
    return State.BROKEN, f"its Content Credentials cannot be read: {said}"


def _reasons(found: Mapping[str, Any]) -> Iterator[str]:
    failures = [status for status in found.get("validation_status", []) if status["code"] != _UNTRUSTED]
    for status in failures:
        yield _MEANINGS.get(status["code"]) or f"{status['code']}: {status.get('explanation', '')}"
    if not failures:
        yield "its Content Credentials are not valid"


def _actions(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The actions that made the picture; the first is how it began."""
    for assertion in manifest.get("assertions", []):
        if assertion["label"].startswith("c2pa.actions"):
            yield from assertion["data"]["actions"]


def _software(manifest: Mapping[str, Any]) -> Iterator[str]:
    for generator in manifest.get("claim_generator_info", [])[:1]:
        yield from filter(None, (generator.get("name"), generator.get("version")))
