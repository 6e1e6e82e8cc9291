"""A certificate that the demo makes itself: it shows how files are signed, and nobody should trust it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORGANISATION: Final = "Darkroom demo, not to be trusted"
CERTIFICATE, KEY, AUTHORITY = "certificate.pem", "key.pem", "authority.pem"

_LIFE: Final = timedelta(days=30)
_USES: Final = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


@dataclass(frozen=True)
class Issued:
    """PEM: a certificate with those that lead to its authority, the key, and the authority by itself."""

    certificate: bytes
    key: bytes
    authority: bytes

    def write(self, folder: Path) -> None:
        """Put each into a file of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CERTIFICATE).write_bytes(self.certificate)
        (folder / AUTHORITY).write_bytes(self.authority)
        (folder / KEY).touch(mode=0o600)
        (folder / KEY).write_bytes(self.key)


def issue(begins: datetime | None = None, life: timedelta = _LIFE) -> Issued:
    """A new certificate of a new authority, whose own key is thrown away."""
    begins = begins or datetime.now(UTC) - timedelta(minutes=5)
    dates = begins, begins + life
    issuer_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    issuer, subject = _name("authority"), _name("signer")
    issuer_id = x509.SubjectKeyIdentifier.from_public_key(issuer_key.public_key())
    authority = (
        _begun(issuer, issuer, issuer_key.public_key(), *dates)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_only("key_cert_sign"), critical=True)
        .add_extension(issuer_id, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    certificate = (
        _begun(subject, issuer, key.public_key(), *dates)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_only("digital_signature"), critical=True)
        # One of the purposes that C2PA allows to a signer.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    own, above = certificate.public_bytes(pem), authority.public_bytes(pem)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Issued(own + above, private, above)


def _only(use: str) -> x509.KeyUsage:
    uses = dict.fromkeys(_USES, False)
    return x509.KeyUsage(**{**uses, use: True})


def _name(what: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Darkroom demo {what}"),
        ]
    )


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
