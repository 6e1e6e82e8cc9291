"""`darkroom verify`: what holds is valid, and nothing that was changed is."""

from __future__ import annotations

import http.server
import io
import os
import random
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from function import __version__
from function.cli import main
from function.demo.certificate import issue
from function.finish import framing
from function.finish.verification import State, Verifier
from function.finish.xmp import SourceType, packet
from tests.darkroom import darkroom
from tests.finish.marked import FORMATS, encoded, issued, noise, signed, signed_as, signer

CHAOS = os.environ.get("DARKROOM_CHAOS") == "full"
RAN_OUT = Path(__file__).with_name("signed-by-a-certificate-that-ran-out.png")


def flipped(file: bytes, at: int, bits: int) -> bytes:
    changed = bytearray(file)
    changed[at] ^= bits
    return bytes(changed)


@pytest.mark.chaos
@pytest.mark.parametrize("format", FORMATS)
def test_a_flipped_byte_anywhere_fails(format: str) -> None:
    """Anywhere; and in a slice of it, all of what readers of C2PA let pass, which our own check mostly finds alone."""
    file, verify, draw = signed(format), Verifier(), random.Random(format)
    assert verify(file).state is State.VALID
    framing.check(file, f"image/{format}")
    padding, frame = padding_of(file), frame_of(file)
    assert len(padding) + len(frame) > 1000
    places = range(len(file)) if CHAOS else [*padding, *frame, *draw.sample(range(len(file)), 60)]
    passed = []
    for at in places:
        # To every other value where some are as good elsewhere: names, sizes and numbers.
        for bits in range(1, 256) if at in frame else (draw.randrange(1, 256),):
            changed = flipped(file, at, bits)
            forged = {changed, summed(changed)} - {file} if format == "png" else {changed}
            framed = (one for one in forged if not misframed(one, f"image/{format}"))
            if any(verify(one).state is State.VALID for one in framed):
                passed.append((at, bits))
    assert passed == []


def summed(file: bytes) -> bytes:
    """The PNG with the checksums that its chunks should have, as whoever forges it would leave it."""
    at, whole = 8, bytearray(file)
    while (end := at + 8 + int.from_bytes(file[at : at + 4], "big")) + 4 <= len(file):
        whole[end : end + 4] = zlib.crc32(file[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(whole)


def misframed(file: bytes, media_type: str) -> bool:
    try:
        framing.check(file, media_type)
    except framing.Misframed:
        return True
    return False


def padding_of(file: bytes) -> range:
    """The signature's padding, and its empty payload behind that."""
    pad = file.index(b"cpad\x59") + 6
    return range(pad + 1, pad + 2 + int.from_bytes(file[pad - 1 : pad + 1], "big"))


def frame_of(file: bytes) -> set[int]:
    """What the signature's padding is called and said to be, and the labels and sizes of boxes that nobody signs."""
    pad = file.index(b"cpad\x59")
    places = {*range(pad, pad + 7), *around(file)}
    for label in (b"c2pa.assertions", b"c2pa.claim.v2", b"c2pa.signature"):
        at = file.index(b"\x03" + label + b"\0")
        # Before it are the size and kind of the description, its type, and a box with the size of all.
        places |= {*range(at - 32, at - 24), *range(at, at + 1 + len(label))}
    return places


def around(file: bytes) -> Iterable[int]:
    """What nobody signs of what the format puts around the manifest."""
    if (box := file.find(b"caBX")) > 0:
        checksum = box + 4 + int.from_bytes(file[box - 4 : box], "big")
        return range(checksum, checksum + 4)
    if (segment := file.find(b"JP\x02\x11")) > 0:
        return range(segment, segment + 16)
    if (chunk := file.find(b"C2PA")) > 0:
        return range(chunk, chunk + 12)
    purpose = file.index(b"manifest\0")
    # The file's own type, too.
    return (*range(int.from_bytes(file[:4], "big")), *range(purpose - 4, purpose + 17))


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_cut_off_or_put_behind_fails(format: str) -> None:
    file, verify = signed(format), Verifier()
    for changed in (file[:-1], file[: len(file) // 2], file[:30], file + b"\0", file + file):
        assert verify(changed).state is not State.VALID


@pytest.mark.parametrize(
    ("kind", "body"),
    [(b"free", b"PK\5\6" + bytes(18)), (b"skip", b"\0"), (b"free", b""), (b"ftyp", b"avif\0\0\0\0" + b"avifmif1" * 9)],
    ids=["zip", "skip", "empty", "type"],
)
def test_an_avif_with_a_box_that_nobody_signed_fails_wherever_it_is(kind: bytes, body: bytes) -> None:
    """Readers of C2PA let those pass that are behind all others."""
    file, verify = signed("avif"), Verifier()
    box = (8 + len(body)).to_bytes(4, "big") + kind + body
    for at in places_between_boxes(file):
        assert verify(file[:at] + box + file[at:]).state is not State.VALID, at
    assert verify(file + box).reasons == ("there is a box in the file that is none of a picture's",)


def places_between_boxes(file: bytes) -> list[int]:
    """Where the boxes begin, and where the last of them ends."""
    places = [0]
    while places[-1] < len(file):
        places.append(places[-1] + int.from_bytes(file[places[-1] : places[-1] + 4], "big"))
    assert len(places) == 5
    return places


@pytest.mark.parametrize("colours", ["4:4:4", "4:2:2", "4:2:0", "4:0:0"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("moves", [False, True], ids=["still", "moves"])
def test_an_avif_of_any_kind_is_valid_and_of_no_other(colours: str, mode: str, *, moves: bool) -> None:
    """Of any that Pillow writes; the file's type, which nobody signs, is that of what is in it."""
    file = io.BytesIO()
    first, second = (Image.fromarray(noise(seed=seed)).convert(mode) for seed in range(2))
    first.save(file, "avif", subsampling=colours, save_all=moves, append_images=[second] if moves else [])
    picture = signer().sign(file.getvalue(), "image/avif", SourceType.GENERATED)
    assert (b"moov" in picture) == moves
    assert Verifier()(picture).state is State.VALID
    told, other = (b"avis", b"avif") if moves else (b"avif", b"avis")
    verdict = Verifier()(picture.replace(told, other, 1))
    assert verdict.reasons == ("the file does not say that it is AVIF as libavif does",)


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_was_saved_again_is_not_signed(format: str) -> None:
    again = io.BytesIO()
    with Image.open(io.BytesIO(signed(format))) as picture:
        picture.save(again, format)
    verdict = Verifier()(again.getvalue())
    assert (verdict.state, verdict.reasons) == (State.UNSIGNED, ("there are no Content Credentials in it",))


def test_the_manifest_of_another_file_is_not_its_own() -> None:
    """As when metadata is copied from one file to another."""
    other = signer().sign(
        encoded("png", noise(seed=1), packet(SourceType.GENERATED)), "image/png", SourceType.GENERATED
    )
    at, length = signed("png").index(b"caBX") - 4, other.index(b"caBX") - 4
    assert at == length
    (size,) = {int.from_bytes(file[at : at + 4], "big") + 12 for file in (signed("png"), other)}
    verdict = Verifier()(other[:at] + signed("png")[at : at + size] + other[at + size :])
    assert verdict.state is State.BROKEN
    assert verdict.reasons == ("the picture or what is said beside it was changed after it was signed",)


def test_trust_is_for_those_whose_authority_is_named() -> None:
    verdicts = [Verifier(anchors)(signed("png")) for anchors in (None, authority(), issue().authority.decode())]
    assert [verdict.state for verdict in verdicts] == [State.VALID] * 3
    assert [verdict.trusted for verdict in verdicts] == [None, True, False]


def authority() -> str:
    return issued().authority.decode()


def test_a_broken_file_is_not_trusted() -> None:
    assert Verifier(authority())(flipped(signed("png"), -20, 1)).trusted is False


def test_a_certificate_that_ran_out_proves_nothing_any_more() -> None:
    verdict = Verifier()(RAN_OUT.read_bytes())
    assert verdict.state is State.BROKEN
    assert verdict.reasons == ("the signer's certificate is not valid now, and nothing proves that it was then",)


def test_what_is_elsewhere_is_not_fetched() -> None:
    asked: list[str] = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the standard library's name
            asked.append(self.path)
            self.send_error(404)

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/manifest.c2pa"
        said = packet(SourceType.GENERATED).replace(
            'rdf:about=""', f'rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="{url}"'
        )
        verdict = Verifier()(encoded("png", noise(), said))
        server.shutdown()
    assert asked == []
    assert verdict.state is State.UNSIGNED
    assert verdict.reasons == ("its Content Credentials are elsewhere, and nothing is fetched",)


def test_verifying_loads_nothing_that_draws_or_serves() -> None:
    program = "import sys, function.finish.verification; print(sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "'function.finish.framing'" in run.stdout
    for name in ("torch", "diffusers", "flask", "boto3"):
        assert f"'{name}'" not in run.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file of each kind, and authorities."""
    (tmp_path / "signed.png").write_bytes(signed("png"))
    (tmp_path / "edited.jpg").write_bytes(flipped(signed("jpeg"), -20, 1))
    (tmp_path / "plain.webp").write_bytes(encoded("webp", noise(), packet(SourceType.COMPOSITE)))
    (tmp_path / "hello.txt").write_text("hello")
    issued().write(tmp_path / "ours")
    issue().write(tmp_path / "theirs")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "ends"),
    [
        (["signed.png"], 0),
        (["--trust", "ours/authority.pem", "signed.png", "signed.png"], 0),
        (["--trust", "theirs/authority.pem", "signed.png"], 1),
        (["signed.png", "edited.jpg"], 1),
        (["plain.webp"], 1),
        (["hello.txt"], 1),
        ([], 2),
        (["missing.png"], 2),
        (["--trust", "hello.txt", "signed.png"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_the_command_ends_with(folder: Path, arguments: list[str], ends: int) -> None:
    given = [argument if argument.startswith("--") else str(folder / argument) for argument in arguments]
    run = CliRunner().invoke(main, ["verify", *given])
    assert run.exit_code == ends, run.output
    assert isinstance(run.exception, SystemExit | None)


def test_the_command_says_who_how_and_why(folder: Path) -> None:
    good, edited, plain = (str(folder / name) for name in ("signed.png", "edited.jpg", "plain.webp"))
    told = darkroom("verify", "--trust", str(folder / "ours/authority.pem"), good, edited, plain).stdout
    assert told.startswith(
        f"{good}: valid\n"
        "  signer  Darkroom demo signer, Darkroom demo, not to be trusted (trusted)\n"
        f"  source  {SourceType.GENERATED}\n"
        f"  made    with Darkroom {__version__}, 20"
    )
    assert f"{edited}: not valid\n  why     the picture or what is said beside it was changed after" in told
    assert told.endswith(
        f"{plain}: not signed\n"
        "  why     there are no Content Credentials in it\n"
        f"  xmp     {SourceType.COMPOSITE}, which anyone can write\n"
    )


def test_a_strangers_names_forge_no_line_and_move_no_cursor(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2Jb.png"
    path.write_bytes(signed_as("You\n  signer  You (trusted)\x1b[2J\u202e"))
    name = "You\\n  signer  You (trusted)\\x1b[2J\\u202e"
    told = darkroom("verify", str(path))
    assert told.returncode == 0, told.stderr
    head, signer, source, made = told.stdout.splitlines()
    assert head == f"{tmp_path}/a\\x1b[2Jb.png: valid"
    assert signer == f"  signer  {name}, {name} (--trust says whether to trust that)"
    assert source == f"  source  {name}"
    assert made.startswith(f"  made    with {name} {name}")
    seen = CliRunner().invoke(main, ["inspect", str(path)]).stdout
    assert seen.splitlines()[2] == f"  signed   by {name}, {name}; valid"
