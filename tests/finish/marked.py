"""Files with a mark, made here: small pictures in every format, and certificates to sign them with."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Final

import c2pa
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import NameOID
from numpy.typing import NDArray
from PIL import Image

from function.demo.certificate import Issued, issue
from function.finish.credentials import Signer
from function.finish.png import png
from function.finish.xmp import PNG_KEYWORD, SourceType, packet

FORMATS: Final = ("png", "jpeg", "webp", "avif")


@cache
def issued() -> Issued:
    """A certificate that is valid now."""
    return issue()


@cache
def signer() -> Signer:
    """Who signs with it."""
    return Signer(issued().certificate, issued().key)


def noise(width: int = 24, height: int = 16, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encoded(format: str, pixels: NDArray[np.uint8], xmp: str | None = None) -> bytes:
    """A file of these pixels, with an XMP packet if there is one."""
    if format == "png":
        return png(pixels, {} if xmp is None else {PNG_KEYWORD: xmp})
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format, **({} if xmp is None else {"xmp": xmp.encode()}))
    return file.getvalue()


@cache
def signed(format: str, source: SourceType = SourceType.GENERATED) -> bytes:
    """A small file with all of its mark."""
    return signer().sign(encoded(format, noise(), packet(source)), f"image/{format}", source)


def reissued(key: CertificateIssuerPrivateKeyTypes, subject: x509.Name | None = None) -> Issued:
    """A certificate for another key, of this subject if it is given, with the same in it."""
    issuer = ec.generate_private_key(ec.SECP256R1())
    own, above = x509.load_pem_x509_certificates(issued().certificate)
    chain = []
    for old, public, named in (
        (own, key.public_key(), subject or own.subject),
        (above, issuer.public_key(), above.subject),
    ):
        builder = x509.CertificateBuilder(
            above.subject, named, public, 7, old.not_valid_before_utc, old.not_valid_after_utc
        )
        for extension in old.extensions:
            value = extension.value
            if isinstance(value, x509.SubjectKeyIdentifier):
                value = x509.SubjectKeyIdentifier.from_public_key(public)
            elif isinstance(value, x509.AuthorityKeyIdentifier):
                value = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key())
            builder = builder.add_extension(value, extension.critical)
        chain.append(builder.sign(issuer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Issued(b"".join(chain), private, chain[-1])


def signed_as(text: str) -> bytes:
    """A file that is signed as it should be, by a stranger who calls himself and his software this."""
    subject = x509.Name([x509.NameAttribute(oid, text) for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME)])
    key = ec.generate_private_key(ec.SECP256R1())
    his = reissued(key, subject)
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo("es256", his.certificate, his.key, None))
    made = {"action": "c2pa.created", "digitalSourceType": text}
    manifest = {
        "claim_generator_info": [{"name": text, "version": text}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [made]}}],
    }
    file = io.BytesIO()
    with c2pa.Builder(json.dumps(manifest), c2pa.Context.from_dict({}, signer=signer)) as builder:
        builder.sign("image/png", io.BytesIO(encoded("png", noise())), file)
    return file.getvalue()


def pixels_of(file: bytes) -> NDArray[np.uint8]:
    """What Pillow decodes."""
    with Image.open(io.BytesIO(file)) as picture:
        return np.asarray(picture)
