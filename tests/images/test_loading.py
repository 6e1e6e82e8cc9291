"""Images come to the cluster whole once, and then only what is new of them."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import pytest

from tests.images.loading import NotLoaded, load

# Like podman's `save`: it writes an image, read from image.json as a list of layers, beside what is there. And like
# docker's, all of it to its standard output; with --containerd in an index in the index, beside an attestation and what
# is elsewhere.
BUILDER = """#!{python}
import hashlib, json, pathlib, sys, tarfile, tempfile
podman, name = "--output" in sys.argv, sys.argv[-1]
layout = pathlib.Path(sys.argv[sys.argv.index("--output") + 1] if podman else tempfile.mkdtemp(dir="{folder}"))
(layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
def put(content):
    digest = hashlib.sha256(content).hexdigest()
    path = layout / "blobs" / "sha256" / digest
    if path.exists():
        size = path.stat().st_size
    else:
        size = path.write_bytes(content)
    return {{"digest": "sha256:" + digest, "size": size}}
layers = json.loads(pathlib.Path("{folder}/image.json").read_text())
parts = {{"config": put(name.encode()), "layers": [put(layer.encode()) for layer in layers]}}
image = put(json.dumps(parts).encode())
(layout / "blobs" / "sha256" / image["digest"][7:]).write_bytes(json.dumps(parts).encode())
image["annotations"] = {{"org.opencontainers.image.ref.name": name}}
if "--containerd" in sys.argv:
    attestation = put(b"{{}}") | {{"platform": {{"architecture": "unknown", "os": "unknown"}}}}
    image = put(json.dumps({{"manifests": [attestation, {{"digest": "sha256:elsewhere"}}, image]}}).encode())
(layout / "index.json").write_text(json.dumps({{"manifests": [image]}}))
if not podman:
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:
        for path in layout.rglob("*"):
            tar.add(path, path.relative_to(layout).as_posix(), recursive=False)
"""
# Like a node's store: it keeps what comes, and unpacks only what it has all of.
NODE = """
import json, pathlib, sys, tarfile
store = pathlib.Path(sys.argv[1])
with (store.parent / "calls").open("a") as calls:
    calls.write("called")
with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as tar:
    for member in tar:
        (store / pathlib.Path(member.name).name).write_bytes(tar.extractfile(member).read())
for image in json.loads((store / "index.json").read_text())["manifests"]:
    assert image["annotations"]["io.containerd.image.name"].startswith("dev.local/")
    for part in json.loads((store / image["digest"][7:]).read_text())["layers"]:
        if not (store / part["digest"][7:]).exists():
            sys.exit("content digest " + part["digest"] + ": not found")
        assert (store / part["digest"][7:]).stat().st_size == part["size"]
"""
NAME = "dev.local/darkroom-test:local"


class Room:
    """A builder with an image, and a node."""

    def __init__(self, folder: Path, program: str) -> None:
        self.folder = folder
        self.node = folder / "node"
        self.node.mkdir()
        (folder / program).write_text(BUILDER.format(python=sys.executable, folder=folder))
        (folder / program).chmod(0o755)

    def builds(self, *layers: str) -> None:
        (self.folder / "image.json").write_text(json.dumps(layers))

    def load(self, cluster: str = "one") -> int:
        command = [sys.executable, "-c", NODE, str(self.node)]
        return load([NAME], command, cluster=cluster, layout=self.folder / "layout")

    def holds(self, *layers: str) -> bool:
        return all((self.node / hashlib.sha256(layer.encode()).hexdigest()).read_text() == layer for layer in layers)

    def empty(self) -> None:
        for path in self.node.iterdir():
            path.unlink()


@pytest.fixture(params=["podman", "docker", "docker --containerd"])
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Room:
    monkeypatch.setenv("BUILDER", f"{tmp_path}/{request.param}")
    return Room(tmp_path, request.param.split()[0])


TORCH, CODE, NEWER = "t" * 3_000_000, "c" * 10_000, "n" * 10_000


def test_only_what_is_new_is_sent(room: Room) -> None:
    room.builds(TORCH, CODE)
    assert room.load() > len(TORCH)
    assert room.holds(TORCH, CODE)
    assert room.load() < len(CODE), "nothing is new"
    room.builds(TORCH, NEWER)
    assert len(NEWER) < room.load() < len(TORCH)
    assert room.holds(TORCH, NEWER)
    room.builds(TORCH, CODE)
    assert room.load() < len(CODE), "what it was before is there as well"


def test_what_was_sent_takes_no_room_here(room: Room) -> None:
    room.builds(TORCH, CODE)
    room.load()
    used = sum(path.stat().st_blocks * 512 for path in (room.folder / "layout" / "blobs").rglob("*") if path.is_file())
    assert used < len(TORCH) / 10


def test_another_cluster_gets_all(room: Room) -> None:
    room.builds(TORCH, CODE)
    room.load()
    room.empty()
    assert room.load("two") > len(TORCH)
    assert room.holds(TORCH, CODE)
    assert (room.folder / "calls").read_text() == "called" * 2, "all of it at once"


def test_a_node_that_has_forgotten_gets_all_again(room: Room) -> None:
    room.builds(TORCH, CODE)
    room.load()
    room.empty()
    room.builds(TORCH, NEWER)
    assert room.load() > len(TORCH)
    assert room.holds(TORCH, NEWER)


def test_a_command_that_fails_is_told_with_its_words(room: Room) -> None:
    room.builds(CODE)
    with pytest.raises(NotLoaded, match=r"^sh -c .* ended with 3: there is no such node$"):
        load([NAME], ["sh", "-c", "echo there is no such node; exit 3"], cluster="one", layout=room.folder / "layout")


def test_a_builder_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 5\n")
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("BUILDER", str(tmp_path / "docker"))
    with pytest.raises(NotLoaded, match=f"^{tmp_path}/docker save {NAME} ended with 5 and gave no OCI image"):
        load([NAME], ["cat"], cluster="one", layout=tmp_path / "layout")
