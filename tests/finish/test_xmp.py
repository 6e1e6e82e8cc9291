"""What files say in XMP of how they came to be, and who else reads it."""

from __future__ import annotations

import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from function.finish.xmp import SourceType, packet, source_type
from tests.finish.conftest import Exiftool
from tests.finish.marked import FORMATS, encoded, noise, signed

EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
TERM = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.mark.parametrize("source", SourceType)
@pytest.mark.parametrize("format", FORMATS)
def test_each_format_says_how_it_came_to_be(format: str, source: SourceType) -> None:
    assert source_type(encoded(format, noise(), packet(source))) == source


def test_the_terms_are_iptcs() -> None:
    assert SourceType.GENERATED == TERM
    assert TERM.replace("trained", "compositeWithTrained") == SourceType.COMPOSITE


def test_the_packet_is_xml_in_its_namespaces() -> None:
    inside = packet(SourceType.GENERATED).split("?>", 1)[1].rsplit("<?xpacket", 1)[0]
    (stated,) = ET.fromstring(inside).iter(f"{{{EXT}}}DigitalSourceType")  # noqa: S314  # our own
    assert stated.text == TERM


def test_exiftool_reads_it_in_each_format(exiftool: Exiftool, tmp_path: Path) -> None:
    for name in FORMATS:
        (tmp_path / f"picture.{name}").write_bytes(signed(name))
    found = exiftool(tmp_path, "-G1", "-n", "-XMP:all", "-FileType", "-Warning")
    assert len(found) == len(FORMATS)
    for told in found:
        assert told["XMP-iptcExt:DigitalSourceType"] == TERM, told
        assert not [name for name in told if "Warning" in name], told


@pytest.mark.parametrize(
    "written",
    [
        f'<rdf:Description Iptc4xmpExt:DigitalSourceType="{TERM}"/>',
        f"<rdf:Description x:DigitalSourceType = '{TERM}' />",
        f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{TERM}"/>',
        f"<Iptc4xmpExt:DigitalSourceType>\n  {TERM}\n</Iptc4xmpExt:DigitalSourceType>",
    ],
)
def test_other_writers_ways_are_read(written: str) -> None:
    assert source_type(encoded("png", noise(), written)) == TERM


@pytest.mark.parametrize("between", ["", " resource"])
def test_a_packet_of_names_without_a_value_is_read_in_no_time(between: str) -> None:
    """Of processor time: this much would take seconds by the square of its length, and even its length alone would."""
    for size in (150_000, 15_000_000):
        name = f" DigitalSourceType{between}"
        file = encoded("webp", noise(), name * (size // len(name)))
        before = time.process_time()
        assert source_type(file) is None
        assert time.process_time() - before < 0.5, size


@pytest.mark.parametrize("file", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", encoded("png", noise()), signed("png")[:200]])
def test_what_states_nothing_states_nothing(file: bytes) -> None:
    assert source_type(file) is None
