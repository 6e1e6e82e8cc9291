"""What the doctor says of a sink that is there, by its status and its certificate."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.absent import absent
from tests.doctor.running import report


@contextmanager
def sink(status: int, certificate: Path | None = None) -> Iterator[str]:
    """The URL of a server that answers OPTIONS with this status, with TLS if it has a certificate."""

    class Door(BaseHTTPRequestHandler):
        def do_OPTIONS(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, certificate.with_suffix(".key"))
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[Path, Path]:
    """Two that have nothing to do with each other, of 127.0.0.1."""
    if shutil.which("openssl") is None:
        absent("openssl is not installed, and makes the certificates")
    made = tmp_path / "one.pem", tmp_path / "other.pem"
    for path in made:
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=sink"]
        there = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path.with_suffix(".key")), "-out", str(path)]
        subprocess.run(["openssl", "req", "-x509", *new, *there], check=True, capture_output=True)
    return made


def test_a_refusal_is_no_answer_to_whether_events_are_taken() -> None:
    with sink(403) as url:
        said = report({"K_SINK": url}, "sink")
    assert said.states("sink-answers") == {"unknown"}
    assert "answers OPTIONS with 403: it, or a proxy, may refuse events as well" in said.sentences("unknown")[0]


def test_certificates_of_the_binding_count_beside_those_of_the_machine(certificates: tuple[Path, Path]) -> None:
    one, other = certificates
    with sink(200, one) as url:
        machine = {"K_SINK": url, "K_CA_CERTS": other.read_text(), "SSL_CERT_FILE": str(one)}
        assert report(machine, "sink").states("sink-answers") == {"ok"}
        binding = {"K_SINK": url, "K_CA_CERTS": one.read_text()}
        assert report(binding, "sink").states("sink-answers") == {"ok"}
        neither = {"K_SINK": url, "K_CA_CERTS": other.read_text()}
        assert report(neither, "sink").wrong("sink-answers") == [f"the sink at {url} does not answer: SSLError"]
