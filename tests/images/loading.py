"""Images from the builder to a cluster's node: whole the first time, and then only the layers that are new.

`python -m tests.images.loading NAME…`; E2E_LOAD is the command that takes an archive on its standard input, such as
`ctr --namespace k8s.io images import -`, where the node is a container (kind) behind `docker exec --interactive NODE`.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
LAYOUT: Final = ROOT / ".cache" / "images"
SMALL: Final = 1 << 20  # more than any manifest, which is read again
_NAME: Final = "io.containerd.image.name"
_REF: Final = "org.opencontainers.image.ref.name"


class NotLoaded(Exception):
    """The images did not get there; says why."""


def load(names: Sequence[str], command: Sequence[str], *, cluster: str, layout: Path = LAYOUT) -> int:
    """Bring images to where `command` puts them, and return how many bytes that took; `NotLoaded` if it fails.

    `layout` keeps what was sent to `cluster`, of large files only their sizes: the builder takes them for saved, and
    they are not sent again.
    """
    sent = _sent(layout, cluster)
    if not sent:
        shutil.rmtree(layout, ignore_errors=True)
    try:
        return _send(names, command, layout, cluster, sent)
    except NotLoaded:
        if not sent:
            raise
    # A node whose disk is full forgets images: all of it once more.
    shutil.rmtree(layout)
    return _send(names, command, layout, cluster, set())


def _sent(layout: Path, cluster: str) -> set[str]:
    try:
        noted = json.loads((layout / "sent.json").read_bytes())
    except FileNotFoundError:
        return set()
    return set(noted["blobs"]) if noted["cluster"] == cluster else set()


def _send(names: Sequence[str], command: Sequence[str], layout: Path, cluster: str, sent: set[str]) -> int:
    images = {name: _save(name, layout) for name in names}
    blobs = {digest for image in images.values() for digest in _parts(layout, image)}
    new = sorted(blobs - sent)
    size = _pipe(layout, images, new, command)
    (layout / "sent.json").write_text(json.dumps({"cluster": cluster, "blobs": sorted(sent | blobs)}))
    for digest in new:
        path = _blob(layout, digest)
        if (length := path.stat().st_size) > SMALL:
            os.truncate(path, 0)
            os.truncate(path, length)
    return size


def _save(name: str, layout: Path) -> dict[str, Any]:
    """Have the builder put an image into `layout`, an OCI one, and return the descriptor of its manifest."""
    layout.mkdir(parents=True, exist_ok=True)
    program = shlex.split(_output(["sh", str(ROOT / "tests" / "images" / "builder.sh")]))
    kind = Path(program[0]).name
    if kind == "docker":
        return _unpack([*program, "save", name], layout)
    if kind == "buildah":
        _output([*program, "push", "--quiet", name, f"oci:{layout}:{name}"])
    else:
        _output([*program, "save", "--quiet", "--uncompressed", "--format", "oci-dir", "--output", str(layout), name])
    images: list[dict[str, Any]] = json.loads((layout / "index.json").read_bytes())["manifests"]
    return next(image for image in images if image.get("annotations", {}).get(_REF) == name)


def _unpack(command: Sequence[str], layout: Path) -> dict[str, Any]:
    """What docker, from 25 on, writes as a stream, without what is there already."""
    index: dict[str, Any] = {}
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE) as docker,
        suppress(tarfile.ReadError),
        tarfile.open(fileobj=docker.stdout, mode="r|") as tar,
    ):
        for member in tar:
            content = tar.extractfile(member)
            path = layout / member.name
            if member.name == "index.json" and content:
                index = json.load(content)
            elif member.name.startswith("blobs/sha256/") and content and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.with_suffix(".part").open("wb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
                path.with_suffix(".part").rename(path)
    if docker.returncode or not index:
        raise NotLoaded(f"{shlex.join(command)} ended with {docker.returncode} and gave no OCI image; docker 25 does")
    return _image(layout, index)


def _image(layout: Path, index: dict[str, Any]) -> dict[str, Any]:
    """The descriptor of the image in an index, or in an index in it, which docker's containerd store writes."""
    # Beside it may be what was built for other machines, without its content, and attestations, of no platform.
    for found in index["manifests"]:
        named = found.get("platform", {}).get("architecture") != "unknown"
        if named and (path := _blob(layout, found["digest"])).exists():
            inner = json.loads(path.read_bytes())
            return _image(layout, inner) if "manifests" in inner else found
    raise NotLoaded("docker saved an index without an image in it")


def _parts(layout: Path, image: dict[str, Any]) -> Iterator[str]:
    """The digests that an image consists of."""
    yield image["digest"]
    manifest = json.loads(_blob(layout, image["digest"]).read_bytes())
    for part in [manifest["config"], *manifest["layers"]]:
        yield part["digest"]


def _pipe(layout: Path, images: dict[str, dict[str, Any]], blobs: Iterable[str], command: Sequence[str]) -> int:
    """Send an archive with these blobs to the command, as it is made, and return its size."""
    index = {
        "schemaVersion": 2,
        "manifests": [{**image, "annotations": {_NAME: name, _REF: name}} for name, image in images.items()],
    }
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said) as loader,
    ):
        assert loader.stdin is not None
        size = 0
        with suppress(BrokenPipeError), loader.stdin, tarfile.open(fileobj=loader.stdin, mode="w|") as tar:
            for name, content in (("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index)):
                body = json.dumps(content).encode()
                about = tarfile.TarInfo(name)
                about.size = len(body)
                tar.addfile(about, io.BytesIO(body))
            for digest in blobs:
                tar.add(_blob(layout, digest), f"blobs/sha256/{digest.partition(':')[2]}")
            size = tar.offset
        if loader.wait():
            said.seek(0)
            reason = said.read().decode(errors="replace").strip()
            raise NotLoaded(f"{shlex.join(command)} ended with {loader.returncode}: {reason}")
    return size


def _blob(layout: Path, digest: str) -> Path:
    return layout / "blobs" / "sha256" / digest.partition(":")[2]


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotLoaded(f"{shlex.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()


def main(names: Sequence[str]) -> None:
    if not names or "E2E_LOAD" not in os.environ:
        sys.exit(str(__doc__))
    began = time.monotonic()
    try:
        cluster = _output(["kubectl", "get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}"])
        size = load(names, shlex.split(os.environ["E2E_LOAD"]), cluster=cluster)
    except NotLoaded as error:
        sys.exit(str(error))
    print(f"{', '.join(names)}: {size / 1e6:.1f} MB to the cluster in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
