"""Content Credentials: what is signed, by what keys, and what is refused before anything is drawn."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import c2pa
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

from function import __version__
from function.config import Settings, WrongSettings
from function.demo.certificate import ORGANISATION, Issued, issue
from function.errors import Unmarked
from function.finish.credentials import Signer
from function.finish.marking import Marker, marker_for
from function.finish.verification import State, Verifier
from function.finish.xmp import SourceType, packet, source_type
from tests.finish import second_reader
from tests.finish.marked import FORMATS, encoded, issued, noise, pixels_of, reissued, signed, signer

PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


@pytest.mark.parametrize("source", SourceType)
@pytest.mark.parametrize("format", FORMATS)
def test_a_signed_file_says_who_made_it_and_how(format: str, source: SourceType) -> None:
    verdict = Verifier(issued().authority.decode())(signed(format, source))
    assert (verdict.state, verdict.trusted, verdict.reasons) == (State.VALID, True, ())
    assert verdict.signer == f"Darkroom demo signer, {ORGANISATION}"
    assert (verdict.source_type, verdict.xmp) == (source, source)
    assert verdict.made_with == f"Darkroom {__version__}"


@pytest.mark.parametrize("format", FORMATS)
def test_signing_changes_no_pixel_and_adds_little(format: str) -> None:
    plain = encoded(format, noise(), packet(SourceType.GENERATED))
    assert np.array_equal(pixels_of(signed(format)), pixels_of(plain))
    assert source_type(signed(format)) == SourceType.GENERATED
    assert len(signed(format)) - len(plain) < 4096


def test_the_manifest_has_a_creation_and_no_thumbnail() -> None:
    with c2pa.Reader("image/png", io.BytesIO(signed("png"))) as reader:
        told = json.loads(reader.json())
    manifest = told["manifests"][told["active_manifest"]]
    (assertion,) = manifest["assertions"]
    (made,) = assertion["data"]["actions"]
    assert made["action"] == "c2pa.created"
    assert made["digitalSourceType"] == SourceType.GENERATED
    assert made["softwareAgent"] == {"name": "Darkroom", "version": __version__}
    assert "thumbnail" not in manifest


def test_a_reader_that_shares_nothing_with_the_writer_finds_every_hash_and_the_signature_right() -> None:
    read = second_reader.read(signed("png"))
    assert read.certificate == x509.load_pem_x509_certificates(issued().certificate)[0]
    assert [made["action"] for made in read.actions] == ["c2pa.created"]
    assert read.claim["claim_generator_info"]["name"] == "Darkroom"


def test_that_reader_finds_a_changed_file() -> None:
    changed = bytearray(signed("png"))
    changed[-20] ^= 1
    with pytest.raises(AssertionError, match="the file was changed"):
        second_reader.read(bytes(changed))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["ES384", "ES512", "Ed25519", "PS256"],
)
def test_every_kind_of_key_that_c2pa_knows_signs(key: CertificateIssuerPrivateKeyTypes) -> None:
    other = reissued(key)
    file = Signer(other.certificate, other.key).sign(encoded("png", noise()), "image/png", SourceType.GENERATED)
    assert Verifier(other.authority.decode())(file).trusted


def test_a_key_as_openssl_writes_it_signs() -> None:
    key = serialization.load_pem_private_key(issued().key, None)
    old = key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    assert b"BEGIN EC PRIVATE KEY" in old
    Signer(issued().certificate, old)


def encrypted() -> bytes:
    key = serialization.load_pem_private_key(issued().key, None)
    return key.private_bytes(PEM, PKCS8, serialization.BestAvailableEncryption(b"secret"))


def without_purpose() -> Issued:
    """A certificate that is for nothing in particular: an authority's own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, now - timedelta(1), now + timedelta(1))
    own = builder.sign(key, hashes.SHA256()).public_bytes(PEM)
    return Issued(own, key.private_bytes(PEM, PKCS8, serialization.NoEncryption()), own)


PURPOSELESS = without_purpose()
KOBLITZ = reissued(ec.generate_private_key(ec.SECP256K1()))
REFUSED: dict[str, tuple[bytes, bytes, str]] = {
    "no certificate": (b"hello", issued().key, "DARKROOM_C2PA_CERTIFICATE must name a file with certificates in PEM"),
    "no key": (issued().certificate, b"hello", "DARKROOM_C2PA_KEY must name a file with a private key in PEM"),
    "a password": (issued().certificate, encrypted(), "DARKROOM_C2PA_KEY must name a key that no password protects"),
    "another's key": (issued().certificate, issue().key, "the key in DARKROOM_C2PA_KEY is not that of the first"),
    "a curve that C2PA does not know": (KOBLITZ.certificate, KOBLITZ.key, "must be a key for ES256, ES384"),
    "a certificate that is for no signing": (PURPOSELESS.certificate, PURPOSELESS.key, "cannot sign Content Cred"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_cannot_sign_is_refused_at_once(why: str) -> None:
    certificate, key, says = REFUSED[why]
    with pytest.raises(WrongSettings, match=says):
        Signer(certificate, key)


@pytest.mark.parametrize(
    ("begins", "says"), [(-40, "the certificate was valid until"), (10, "the certificate is not valid before")]
)
def test_a_certificate_out_of_its_time_is_refused(begins: int, says: str) -> None:
    other = issue(datetime.now(UTC) + timedelta(days=begins))
    with pytest.raises(WrongSettings, match=says):
        Signer(other.certificate, other.key)


def test_a_certificate_that_runs_out_later_is_found_before_anything_is_drawn() -> None:
    now = [datetime.now(UTC)]
    one = Signer(issued().certificate, issued().key, clock=lambda: now[0])
    one.check()
    now[0] += timedelta(days=31)
    with pytest.raises(Unmarked, match="was valid until"):
        one.check()


def test_what_is_no_picture_is_not_signed() -> None:
    with pytest.raises(Unmarked, match="could not be signed"):
        signer().sign(b"hello", "image/png", SourceType.GENERATED)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """The variables that name a certificate and its key."""
    issued().write(tmp_path)
    names = {"DARKROOM_C2PA_CERTIFICATE": "certificate.pem", "DARKROOM_C2PA_KEY": "key.pem"}
    return {variable: str(tmp_path / name) for variable, name in names.items()}


def marker(**environment: str) -> Marker:
    return marker_for(Settings.from_environment(environment))


def test_by_default_there_is_xmp_and_with_a_certificate_a_signature(files: dict[str, str]) -> None:
    body = encoded("png", noise())
    plain, signing, silent = marker(), marker(**files), marker(**files, DARKROOM_MARK="none")
    assert plain.xmp(SourceType.GENERATED) == packet(SourceType.GENERATED) == signing.xmp(SourceType.GENERATED)
    assert silent.xmp(SourceType.GENERATED) is None
    assert plain(body, "image/png", SourceType.GENERATED) == body == silent(body, "image/png", SourceType.GENERATED)
    assert Verifier()(signing(body, "image/png", SourceType.GENERATED)).state is State.VALID
    for one in (plain, signing, silent):
        one.check()


@pytest.mark.parametrize(
    ("left_out", "mark", "says"),
    [
        ("DARKROOM_C2PA_.*", "c2pa", "DARKROOM_MARK is c2pa, and DARKROOM_C2PA_CERTIFICATE and DARKROOM_C2PA_KEY are"),
        ("DARKROOM_C2PA_KEY", "auto", "DARKROOM_C2PA_KEY is not set"),
        ("DARKROOM_C2PA_CERTIFICATE", "c2pa", "DARKROOM_C2PA_CERTIFICATE is not set"),
    ],
)
def test_half_of_what_signing_needs_is_refused(files: dict[str, str], left_out: str, mark: str, says: str) -> None:
    # What is set to nothing is not set.
    given = {variable: "" if re.fullmatch(left_out, variable) else path for variable, path in files.items()}
    with pytest.raises(WrongSettings, match=says):
        marker(**given, DARKROOM_MARK=mark)


def test_a_file_that_is_not_there_is_named(files: dict[str, str]) -> None:
    Path(files["DARKROOM_C2PA_KEY"]).unlink()
    with pytest.raises(WrongSettings, match=r"DARKROOM_C2PA_KEY names .*key\.pem, which cannot be read: No such file"):
        marker(**files)
