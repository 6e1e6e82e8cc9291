"""CPU time from a decoded tensor to a stored object: ours against the plain way, in one interleaved run.

`python -m tests.render.bench_encode [PAIRS]` needs the extras `render` and `demo`.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import boto3
import numpy as np
import torch
from diffusers.image_processor import VaeImageProcessor
from numpy.typing import NDArray
from PIL import Image

from events.request import Request, key_of
from function import layout
from function.bucket.images import Images
from function.demo.s3server import S3Server
from function.demo.seaweedfs import SeaweedFS
from function.finish import File, Finished
from function.finish.png import png
from function.render import Model
from function.render.pixels import pixels_of
from tests.store.real import s3_store


@dataclass
class Side:
    """CPU milliseconds of each run: until the file is there, and until it is stored; and the last file as stored."""

    encoding: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    stored: bytes = b""


def photo(size: int) -> torch.Tensor:
    """A decoded tensor (1, 3, size, size) like that of a photo: gradients, soft blobs and noise of sigma 2 of 255."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0 : 1 : 1j * size, 0 : 1 : 1j * size]
    picture = np.stack([0.5 + 0.3 * x - 0.2 * y, 0.4 + 0.3 * y, 0.6 - 0.3 * x * y])
    for _ in range(40):
        centre_x, centre_y, width = random.uniform((0, 0, 0.02), (1, 1, 0.17))
        blob = np.exp(-((x - centre_x) ** 2 + (y - centre_y) ** 2) / (2 * width**2))
        picture += blob * random.uniform(-0.4, 0.4, (3, 1, 1))
    picture += random.normal(0, 2 / 255, picture.shape)
    return torch.from_numpy((picture * 2 - 1).astype(np.float32))[None]


def measured(
    server: S3Server, bucket: str, size: int, pairs: int, encode: Callable[[NDArray[np.uint8]], bytes] = png
) -> tuple[Side, Side]:
    """Ours and the plain way, taking turns, on one thread; the first pair warms up and is not counted."""
    decoded = photo(size)
    plain_client = _client(server)
    images = Images(s3_store(server.environment, bucket))

    def ours_put(key: str, body: bytes) -> None:
        images.keep(Request("/bench", key, None), 0, Finished((File(body, size, size),), 0, "0" * 64), Model("bench"))

    def plain_put(key: str, body: bytes) -> None:
        plain_client.put_object(Bucket=bucket, Key=key, Body=body)

    ours, plain = Side(), Side()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for pair in range(pairs + 1):
            _run(ours, f"ours/{pair}.png", lambda: encode(pixels_of(decoded)[0]), ours_put)
            _run(plain, f"plain/{pair}.png", lambda: _plain_png(decoded), plain_put)
    finally:
        torch.set_num_threads(threads)
    last = {"ours": layout.image(key_of("/bench", f"ours/{pairs}.png"), 0), "plain": f"plain/{pairs}.png"}
    for side, name in ((ours, "ours"), (plain, "plain")):
        del side.encoding[0], side.whole[0]
        side.stored = plain_client.get_object(Bucket=bucket, Key=last[name])["Body"].read()
    return ours, plain


def pixels_in(file: bytes) -> NDArray[np.uint8]:
    """What Pillow decodes."""
    return np.asarray(Image.open(io.BytesIO(file)))


def _run(side: Side, key: str, encode: Callable[[], bytes], put: Callable[[str, bytes], None]) -> None:
    start = time.process_time()
    body = encode()
    encoded = time.process_time()
    put(key, body)
    side.encoding.append((encoded - start) * 1e3)
    side.whole.append((time.process_time() - start) * 1e3)


def _plain_png(decoded: torch.Tensor) -> bytes:
    file = io.BytesIO()
    VaeImageProcessor().postprocess(decoded, output_type="pil")[0].save(file, "PNG")
    return file.getvalue()


def _client(server: S3Server) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
    )


def main(pairs: int = 20, size: int = 1024) -> None:
    """Print medians, ratios and sizes."""
    with tempfile.TemporaryDirectory() as folder, SeaweedFS(Path(folder), ["images"]) as server:
        ours, plain = measured(server, "images", size, pairs)
    assert np.array_equal(pixels_in(ours.stored), pixels_in(plain.stored)), "the pixels differ"
    print(f"{size}x{size}, {pairs} pairs, median CPU ms (user + system) of this process; pixels equal")
    print(f"{'':8}{'encode':>10}{'+ upload':>10}{'bytes':>12}")
    for name, side in (("ours", ours), ("plain", plain)):
        print(f"{name:8}{median(side.encoding):10.1f}{median(side.whole):10.1f}{len(side.stored):12,}")
    encoding = median(plain.encoding) / median(ours.encoding)
    whole = median(plain.whole) / median(ours.whole)
    print(f"{'ratio':8}{encoding:9.1f}x{whole:9.1f}x{len(ours.stored) / len(plain.stored):11.3f}x")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
