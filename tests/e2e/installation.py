"""Darkroom as it stands in the cluster, and what a user sees of it: its buckets, its broker, its pods."""

from __future__ import annotations

import base64
import json
import math
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import boto3
import urllib3
from botocore.config import Config

from events import IMAGE_COMPLETED, IMAGE_FAILED, IMAGE_REQUESTED, PROMPTS_DROPPED
from events.request import ObjectRef, from_object, key_of
from function.demo.process import plain_environment
from tests.contract.validate import validated
from tests.darkroom import REPOSITORY, without_urls
from tests.e2e.cluster import Cluster, until
from tests.e2e.forward import Forward
from tests.e2e.listener import Heard, Listener, listening
from tests.e2e.namespaces import DARKROOM

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PROMPTS, IMAGES = "prompts", "images"
REGION: Final = "us-east-1"
SOURCE: Final = "/e2e"
OUTCOMES: Final = (IMAGE_COMPLETED, IMAGE_FAILED)
# Seconds: a cold start on a machine that has other things to do, and a picture after it.
PATIENCE: Final = 600.0
PROMPT: Final = {"prompt": "a red star on a white background", "num_inference_steps": 20}
# The most that a prompt may ask for.
MOST_STEPS, MOST_IMAGES = 150, 16


@dataclass(frozen=True)
class Sent:
    """A request by its event's id, and by the name of its claims, images and record."""

    id: str
    key: str

    @classmethod
    def new(cls) -> Self:
        """One that nobody has sent yet."""
        name = new_id()
        return cls(name, key_of(SOURCE, name))


class Installation:
    """What `knative/overlays/local` has put into the cluster, and a listener behind its broker."""

    def __init__(self, cluster: Cluster, listener: Listener, minio: Forward, broker: Forward) -> None:
        self.cluster = cluster
        self.listener = listener
        self._minio = minio
        self._broker = broker
        self._http = urllib3.PoolManager(retries=False, timeout=PATIENCE, maxsize=64)

    @cached_property
    def keys(self) -> dict[str, str]:
        """What opens the store to the pods."""
        (secret,) = [each["data"] for each in self.cluster.every("secrets") if "AWS_ACCESS_KEY_ID" in each["data"]]
        return {name: base64.b64decode(value).decode() for name, value in secret.items()}

    @property
    def environment(self) -> dict[str, str]:
        """What a command of ours needs to work on this installation from here, as its operator would have it."""
        places = {"AWS_ENDPOINT_URL_S3": self._minio.url, "AWS_REGION": REGION, "K_SINK": self.ingress}
        return self.keys | places | {"DARKROOM_IMAGE_BUCKET": IMAGES, "DARKROOM_PROMPT_BUCKETS": PROMPTS}

    @property
    def s3(self) -> S3Client:
        """The store, with the keys that the pods have, by a way that is open just now."""
        return client(self._minio.url, self.keys["AWS_ACCESS_KEY_ID"], self.keys["AWS_SECRET_ACCESS_KEY"])

    def darkroom(self, *arguments: str) -> str:
        """What a command of ours says, given on this machine."""
        done = subprocess.run(
            [sys.executable, "-m", "function.cli", *arguments],
            cwd=REPOSITORY,
            env=plain_environment() | self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"darkroom {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    @property
    def image(self) -> str:
        """Intake's image, which has python3 in it."""
        return image_of(self.cluster)

    def drop(self, name: str, prompt: object) -> Sent:
        """Put a file with one prompt into the prompt bucket."""
        put = self.s3.put_object(Bucket=PROMPTS, Key=name, Body=json.dumps(prompt).encode())
        request = from_object(ObjectRef(PROMPTS, name, etag=put["ETag"]), 0, prompt)
        return Sent(request.id, request.key)

    def request(self, prompt: object = PROMPT) -> Sent:
        """Publish a request with an id of its own to the broker."""
        sent = Sent.new()
        status = self.publish(sent, json.dumps(prompt).encode())
        assert status == 202, f"the broker answered {status}"
        return sent

    def publish(self, sent: Sent, data: bytes) -> int:
        """What the broker's ingress answers to a request with this data, which need not be the JSON that it says."""
        headers = {"ce-specversion": "1.0", "ce-id": sent.id, "ce-source": SOURCE, "ce-type": IMAGE_REQUESTED}
        # A connection that was idle may be closed just now, and no POST is repeated behind a test's back.
        headers |= {"content-type": "application/json", "connection": "close"}
        return self._http.request("POST", self.ingress, body=data, headers=headers).status

    @property
    def ingress(self) -> str:
        """Where the broker takes events, seen from this machine."""
        return f"{self._broker.url}/{DARKROOM.namespace}/darkroom"

    def told(self, key: str) -> list[Heard]:
        """Every telling of the request's outcome so far, each as the published schemas promise it."""
        outcomes = [each for kind in OUTCOMES for each in self.listener.heard(type=kind)]
        told = sorted((each for each in outcomes if each["data"]["key"] == key), key=lambda each: each.at)
        for each in told:
            validated(ours(each.event))
        return told

    def settled(self) -> set[str]:
        """The keys of all requests of which an outcome was heard."""
        return {each["data"]["key"] for kind in OUTCOMES for each in self.listener.heard(type=kind)}

    def outcome(self, key: str, times: int = 1, *, letters: int = 0, within: float = PATIENCE) -> Heard:
        """The first telling of the outcome, once there are so many, which all say the same.

        Fails at once if the request dies; `letters` of its dead letters are known.
        """

        def heard() -> list[Heard] | None:
            told = self.told(key)
            if len(told) >= times:
                return told
            assert len(self.dead(key)) <= letters, f"{key} died: {self.read(self.dead(key)[-1])!r}"
            return None

        told = until(heard, f"the listener hears the outcome of {key} {times} times", within)
        assert len({json.dumps(without_urls(ours(each.event)), sort_keys=True) for each in told}) == 1
        return told[0]

    def announced(self, name: str) -> list[Heard]:
        """Each time that an object of this name was announced, once it was."""

        def heard() -> list[Heard]:
            dropped = self.listener.heard(type=PROMPTS_DROPPED)
            return [each for each in dropped if each["data"]["object"]["key"] == name]

        return until(heard, f"the listener hears that {name} was dropped", PATIENCE)

    def read(self, name: str) -> bytes:
        """An object of the image bucket."""
        return self.s3.get_object(Bucket=IMAGES, Key=name)["Body"].read()

    def names(self, prefix: str) -> list[str]:
        """The names of what lies there in the image bucket."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=IMAGES, Prefix=prefix)
        return [row["Key"] for page in pages for row in page.get("Contents", ())]

    def attempts(self, key: str) -> list[str | None]:
        """How each attempt at a request ended, None for one that runs or died; each is a render that was begun."""
        numbers = sorted(int(name.rpartition("/")[2]) for name in self.names(f"claims/{key}/"))
        return [json.loads(self.read(f"claims/{key}/{number}")).get("ended") for number in numbers]

    def dead(self, key: str) -> list[str]:
        """The names of the request's dead letters."""
        return self.names(f"dead/{key}/")

    def pods(self) -> list[dict[str, Any]]:
        """The pods of render that nobody has asked to end."""
        return self.cluster.running("serving.knative.dev/service=render")

    def refusals(self, error: str) -> int:
        """How many deliveries the pods of render that are there now have refused for this reason."""
        logs = [self.cluster.run("logs", pod["metadata"]["name"], "--container=user-container") for pod in self.pods()]
        return sum(log.stdout.count(f'"error": "{error}"') for log in logs)

    def asleep(self, within: float = PATIENCE) -> None:
        """Return when render has no pod any more."""
        until(lambda: not self.pods(), "render goes to zero", within)

    @cached_property
    def pace(self) -> float:
        """Seconds that one denoising step of one small picture takes here at best."""
        data = [self.outcome(self.request().key)["data"] for _ in range(3)]
        return min(float(each["timings"]["denoise"]) / int(each["prompt"]["num_inference_steps"]) for each in data)

    def lasting(self, seconds: float) -> dict[str, Any]:
        """A prompt whose render takes at least about so long here: by more pictures, and larger ones if need be."""
        images = max(2, math.ceil(seconds / (self.pace * MOST_STEPS)))
        side = 128
        while images > MOST_IMAGES:
            side, images = side * 2, math.ceil(images / 4)
        size = {"width": side, "height": side, "num_images": images}
        return {"prompt": "a blue ring on a yellow background", "num_inference_steps": MOST_STEPS} | size


@cache
def client(url: str, name: str, secret: str) -> S3Client:
    """A client of the store at this URL."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=name,
        aws_secret_access_key=secret,
        region_name=REGION,
        config=Config(signature_version="s3v4", proxies={}),
    )


def image_of(cluster: Cluster, service: str = "intake") -> str:
    """The image that a Knative Service of ours runs."""
    image: str = cluster.read("ksvc", service)["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def new_id() -> str:
    return secrets.token_hex(8)


def ours(event: dict[str, Any]) -> dict[str, Any]:
    """The event without what Knative adds to it on its way."""
    return {name: value for name, value in event.items() if not name.startswith("knative")}


@contextmanager
def standing(cluster: Cluster, folder: Path) -> Iterator[Installation]:
    """What stands in the cluster, with ways into it."""
    eventing = Cluster("knative-eventing")
    with (
        listening(cluster, "darkroom", image_of(cluster), folder) as listener,
        Forward(cluster, "minio", 9000, folder) as minio,
        Forward(eventing, "broker-ingress", 80, folder) as broker,
    ):
        yield Installation(cluster, listener, minio, broker)
