"""The demo: an S3 server and Darkroom as real processes, three prompts dropped, three pictures out."""

from __future__ import annotations

import json
import secrets
import shutil
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from botocore.exceptions import ClientError
from PIL import Image
from tqdm import tqdm

from events.request import ObjectRef
from function import layout
from function.demo import certificate
from function.demo.process import Child, free_ports, plain_environment
from function.demo.seaweedfs import SeaweedFS, Webhook

PROMPTS: Final[Mapping[str, Mapping[str, Any]]] = {
    "red-circle.json": {"prompt": "a red circle on a blue background", "num_inference_steps": 20, "seed": 7},
    "yellow-star.json": {"prompt": "a yellow star on a purple background", "num_inference_steps": 20, "seed": 4},
    "white-ring.json": {"prompt": "a white ring on a green background", "num_inference_steps": 20, "seed": 6},
}
REPOSITORY: Final = Path(__file__).parents[2]
MODEL: Final = "models/shapes"
PATIENCE: Final = 300.0


def run(folder: Path, *, keep: bool) -> int:
    """Play the demo in `folder`; with `keep`, stay until interrupted. Nothing is left running."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    if data.exists() and not (data / "s3").is_dir():
        raise click.ClickException(f"{data} is there already and is not the demo's; name another --folder")
    shutil.rmtree(data, ignore_errors=True)
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    token = secrets.token_hex(16)
    signing = data.resolve() / "c2pa"
    webhook = Webhook(f"{url}/drop", token)
    with (
        _steps(4 + len(PROMPTS)) as step,
        SeaweedFS(data / "s3", ["prompts", "images"], webhook) as store,
    ):
        step("the S3 server is up")
        certificate.issue().write(signing)
        environment = store.environment | {
            "DARKROOM_PROMPT_BUCKETS": "prompts",
            "DARKROOM_IMAGE_BUCKET": "images",
            "DARKROOM_MODEL": MODEL,
            "DARKROOM_DOOR_TOKEN": token,
            "DARKROOM_MARK": "c2pa",
            "DARKROOM_C2PA_CERTIFICATE": str(signing / certificate.CERTIFICATE),
            "DARKROOM_C2PA_KEY": str(signing / certificate.KEY),
            "DARKROOM_HOST": "127.0.0.1",
            "PORT": str(port),
        }
        darkroom = _darkroom(data, environment)
        try:
            step("darkroom is up and loads its model")
            darkroom.wait_until_ready(lambda: _ready(url), seconds=PATIENCE, retry_on=(urllib.error.URLError, OSError))
            step("the model is loaded")
            for name, prompt in PROMPTS.items():
                store.client.put_object(Bucket="prompts", Key=name, Body=json.dumps(prompt).encode())
            step("three prompt files are in the bucket")
            events = [_outcome(store, name, step, darkroom.log) for name in PROMPTS]
            pictures = [_fetch(event, folder) for event in events]
            _contact_sheet(pictures, folder / "contact-sheet.png")
        except BaseException:
            darkroom.stop()
            raise
        for event in events:
            click.echo(json.dumps(event, indent=2))
        click.echo("\n".join(f"wrote {path}" for path in [*pictures, folder / "contact-sheet.png"]))
        authority = data / "c2pa" / certificate.AUTHORITY
        click.echo(f"Who signed them, how they were made: darkroom verify --trust {authority} {pictures[0]}")
        try:
            if keep:
                _stay(store.environment | {"URL": url, "TOKEN": token})
        finally:
            darkroom.stop(grace=60)
    return 0


@contextmanager
def _steps(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar on a terminal, a line per step elsewhere."""
    bar = tqdm(total=total, desc="demo", disable=not sys.stderr.isatty())

    def step(what: str) -> None:
        bar.update()
        bar.set_postfix_str(what)
        if bar.disable:
            click.echo(what, err=True)

    try:
        yield step
    finally:
        bar.close()


def _darkroom(folder: Path, environment: Mapping[str, str]) -> Child:
    return Child(
        "darkroom",
        [sys.executable, "-m", "function.cli", "serve"],
        folder=REPOSITORY,
        log=folder.resolve() / "darkroom.log",
        environment=plain_environment() | dict(environment),
    )


def _ready(url: str) -> None:
    # Past any proxy of the environment, which knows nothing of this machine's ports.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{url}/health/readiness", timeout=5):
        pass


def _outcome(store: SeaweedFS, name: str, step: Callable[[str], None], log: Path) -> dict[str, Any]:
    """Wait for the outcome of a dropped file where any user would look for it."""
    deadline = time.monotonic() + PATIENCE
    key = layout.result(ObjectRef("prompts", name), 0)
    while True:
        try:
            event: dict[str, Any] = json.load(store.client.get_object(Bucket="images", Key=key)["Body"])
        except ClientError:
            if time.monotonic() > deadline:
                raise click.ClickException(f"no outcome for {name} after {PATIENCE:.0f} s; see {log}") from None
            time.sleep(0.1)
            continue
        step(f"{name}: {event['type'].rsplit('.', 1)[-1]}")
        if "images" not in event["data"]:
            raise click.ClickException(f"{name} failed: {event['data']['message']}")
        return event


def _fetch(event: Mapping[str, Any], folder: Path) -> Path:
    name = Path(event["data"]["source_object"]["key"]).stem
    path = folder / f"{name}.png"
    with urllib.request.urlopen(event["data"]["images"][0]["url"], timeout=30) as answer:  # noqa: S310  # our own URL
        path.write_bytes(answer.read())
    return path


def _contact_sheet(pictures: list[Path], path: Path) -> None:
    opened = [Image.open(picture) for picture in pictures]
    margin, side = 8, opened[0].width
    sheet = Image.new("RGB", (margin + len(opened) * (side + margin), side + 2 * margin), "white")
    for index, picture in enumerate(opened):
        sheet.paste(picture, (margin + index * (side + margin), margin))
    sheet.save(path)


def _stay(environment: Mapping[str, str]) -> None:
    exports = " ".join(f"{name}={value}" for name, value in environment.items())
    click.echo(
        f"""
Darkroom listens at {environment["URL"]}. Drop the next prompt in any of these ways:

  export {exports}
  python -c "import boto3; boto3.client('s3').put_object(Bucket='prompts', Key='next.json', \\
      Body=b'{{\\"prompt\\": \\"a cyan cross on a black background\\"}}')"
  aws s3 cp next.json s3://prompts/
  curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
      -d '{{"prompt": "a green star on a white background"}}' $URL/drop

Outcomes of files are at s3://images/results/prompts/. Press Ctrl-C to stop everything."""
    )
    signals = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    signal.sigwait(signals)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
