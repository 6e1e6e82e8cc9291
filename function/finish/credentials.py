"""Content Credentials (C2PA): a signed statement in the file of who made it, how, and out of which bytes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from function import __version__
from function.config import WrongSettings, variables
from function.errors import Unmarked
from function.finish.png import png
from function.finish.xmp import SourceType

CERTIFICATE, KEY = (variables()[field] for field in ("c2pa_certificate", "c2pa_key"))

_SOFTWARE: Final = {"name": "Darkroom", "version": __version__}
# A thumbnail would be the larger part of what is written. Nothing is fetched, neither here nor by whoever reads it.
_SETTINGS: Final = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"remote_manifest_fetch": False}}
_CURVES: Final = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


class Signer:
    """Signs files with one certificate, which is made ready once."""

    def __init__(
        self, certificates: bytes, key: bytes, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        """Raises `WrongSettings` for what cannot sign, found out by signing."""
        own, private = _certificate(certificates), _private_key(key)
        if own.public_key() != private.public_key():
            raise WrongSettings(f"the key in {KEY} is not that of the first certificate in {CERTIFICATE}")
        self.subject = own.subject.rfc4514_string()
        self._from, self._until = own.not_valid_before_utc, own.not_valid_after_utc
        self._clock = clock
        try:
            self.check()
        except Unmarked as impossible:
            raise WrongSettings(f"{CERTIFICATE}: {impossible}") from None
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        try:
            signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(_algorithm(private), certificates, pem, None))
            self._context = c2pa.Context.from_dict(_SETTINGS, signer=signer)
            self._try()
        except (c2pa.C2paError, Unmarked) as error:
            raise WrongSettings(f"{CERTIFICATE} cannot sign Content Credentials: {error}") from None

    @classmethod
    def of_files(cls, certificates: Path, key: Path) -> Self:
        """Of PEM files: the certificate and then those that lead from it to an authority; and the key."""
        return cls(_read(CERTIFICATE, certificates), _read(KEY, key))

    def check(self) -> None:
        """Raises `Unmarked` while the certificate is not valid."""
        now = self._clock()
        if now < self._from:
            raise Unmarked(f"the certificate is not valid before {self._from:%Y-%m-%d %H:%M} UTC")
        if now > self._until:
            raise Unmarked(f"the certificate was valid until {self._until:%Y-%m-%d %H:%M} UTC")

    def sign(self, body: bytes, media_type: str, source: SourceType) -> bytes:
        """The file with its Content Credentials; `Unmarked` when that fails."""
        signed = io.BytesIO()
        try:
            with c2pa.Builder(_manifest(source), self._context) as builder:
                builder.sign(media_type, io.BytesIO(body), signed)
        except c2pa.C2paError as error:
            raise Unmarked(f"the file could not be signed: {error}") from error
        return signed.getvalue()

    def _try(self) -> None:
        import numpy as np

        self.sign(png(np.zeros((1, 1, 3), np.uint8)), "image/png", SourceType.GENERATED)


def _manifest(source: SourceType) -> str:
    made: dict[str, Any] = {
        "action": "c2pa.created",
        "digitalSourceType": str(source),
        "softwareAgent": _SOFTWARE,
        "when": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    return json.dumps(
        {
            "claim_generator_info": [_SOFTWARE],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [made]}}],
        }
    )


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WrongSettings(f"{name} names {path}, which cannot be read: {error.strerror}") from None


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        raise WrongSettings(f"{CERTIFICATE} must name a file with certificates in PEM") from None


def _private_key(pem: bytes) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except TypeError:
        raise WrongSettings(f"{KEY} must name a key that no password protects") from None
    except ValueError:
        raise WrongSettings(f"{KEY} must name a file with a private key in PEM") from None


def _algorithm(key: PrivateKeyTypes) -> str:
    match key:
        case ec.EllipticCurvePrivateKey() if key.curve.name in _CURVES:
            return _CURVES[key.curve.name]
        case ed25519.Ed25519PrivateKey():
            return "ed25519"
        case rsa.RSAPrivateKey():
            return "ps256"
    raise WrongSettings(f"{KEY} must be a key for ES256, ES384, ES512, PS256 or Ed25519")
