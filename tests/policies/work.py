"""All the work of all identities, each by a real process with its own credentials, and every request that it made."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import urllib3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from events import IMAGE_COMPLETED, IMAGE_REQUESTED, PROMPTS_DROPPED
from events.request import ObjectRef, Request, from_object
from function import layout
from tests.backstops.house import STRUCTURED, House, dead, key, sentence
from tests.darkroom import darkroom, eventually
from tests.doctor.running import report
from tests.faults import CONDITION, Answered, Asked, Fault, Onward
from tests.faults.proxy import FaultProxy
from tests.policies.identity import Identity
from tests.servers.broker import Broker
from tests.servers.event import Event

GOOD: Final = {"prompt": "a red star on a white background"}
BAD: Final = {"promt": "a red star"}
# What is asked of a bucket, other than what is in it.
OF_BUCKETS: Final = {
    "lifecycle": "s3:GetLifecycleConfiguration",
    "notification": "s3:GetBucketNotification",
    "versioning": "s3:GetBucketVersioning",
    "location": "s3:GetBucketLocation",
}


@dataclass(frozen=True)
class Made:
    """A request to the store, with whose access key it was signed, and how it was answered."""

    access_key: str
    method: str
    name: str  # of the bucket or, after a slash, of an object in it
    asks: frozenset[str]  # the words of the query
    conditional: bool
    status: int

    @property
    def needs(self) -> list[tuple[str, str]]:
        """The actions that AWS asks for, and of what."""
        bucket, _, object_key = self.name.partition("/")
        if not object_key:
            assert self.method in ("GET", "HEAD"), self
            setting = next((action for word, action in OF_BUCKETS.items() if word in self.asks), None)
            return [(setting or "s3:ListBucket", bucket)]
        if self.method != "GET":
            return [({"PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}[self.method], self.name)]
        reads = ("s3:GetObjectVersion" if "versionId" in self.asks else "s3:GetObject", self.name)
        # Who may not list is answered 403 by AWS, where MinIO answers 404 all the same.
        return [reads, ("s3:ListBucket", bucket)] if self.status == 404 else [reads]


@dataclass
class Watch:
    """Writes down each request that passes through a proxy."""

    made: list[Made] = field(default_factory=list)

    def __call__(self, asked: Asked, onward: Onward) -> Answered:
        answered = onward(asked)
        url = urlsplit(asked.path)
        if url.path.startswith("/minio/admin/"):
            # Not S3's: the doctor asks it for targets, and does without where it is refused.
            assert answered.status == 403, "no policy here grants it"
            return answered
        query = parse_qs(url.query, keep_blank_values=True)
        signed = re.search(r"Credential=([^/]+)/", asked.headers.get("authorization", ""))
        access_key = signed[1] if signed else query["X-Amz-Credential"][0].partition("/")[0]
        name = unquote(url.path).strip("/")
        conditional = asked.headers.get(CONDITION) == "*"
        self.made.append(Made(access_key, asked.method, name, frozenset(query), conditional, answered.status))
        return answered


def put_days_ago(house: House, name: str, body: Mapping[str, Any], days: int) -> None:
    """Put an object that is old already, which MinIO does for its owner."""
    modified = datetime.now(UTC) - timedelta(days=days)
    headers = {"x-minio-source-mtime": modified.strftime("%Y-%m-%dT%H:%M:%SZ")}
    server = house.server
    request = AWSRequest("PUT", f"{server.endpoint}/{house.images}/{name}", headers, json.dumps(body).encode())
    S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", "us-east-1").add_auth(request)
    answer = urllib3.request("PUT", str(request.url), body=request.body, headers=dict(request.headers.items()))
    assert answer.status == 200, answer.data


def do_all(house: House, who: Mapping[str, Identity]) -> list[Made]:
    """Every identity does all of its work on the buckets of the house; what they asked of the store for it."""
    watch = Watch()
    with FaultProxy(house.server) as proxy, proxy.injecting(Fault(watch)), Broker() as broker:
        at_the_proxy = {"AWS_ENDPOINT_URL_S3": proxy.url, "K_SINK": broker.url}
        environments = {name: one.environment | at_the_proxy for name, one in who.items()}
        broker.trigger(
            PROMPTS_DROPPED, house.process("intake", DARKROOM_CHECK_STORE="true", **environments["intake"]).url
        )
        broker.trigger(IMAGE_REQUESTED, house.drawing("render", **environments["render"]).url, at_once=1)
        file, request = drop(house, "two.jsonl", GOOD, BAD)
        announce(broker, file)
        eventually(lambda: len(house.objects("results/")) == 2 and broker.idle, "both prompts have their results")
        open_image(completed(broker))
        # Once more, and of no version: now intake finds the record, and leaves the result again.
        announce(broker, replace(file, version=None))
        eventually(lambda: all(one["done"] for one in house.objects("files/").values()), "the file is done")
        open_image(result(house, file))
        announce(broker, ObjectRef(house.prompts, "gone.json", etag="0"))

        house.server.client.delete_object(Bucket=house.images, Key=layout.told(request.key))
        drop(house, "forgotten.json", GOOD)
        command(
            house, "sweep", DARKROOM_FORGOTTEN_AFTER="0.001", DARKROOM_UNTOLD_AFTER="0.001", **environments["sweep"]
        )
        open_image(result(house, file))
        eventually(
            lambda: len(house.objects("results/")) == 4 and broker.idle, "what was forgotten or gone has its result"
        )

        archive = house.process("archive", **environments["archive"])
        assert archive.post("/", json.dumps(dead("dead")).encode(), {"content-type": STRUCTURED}).status == 202
        operator = environments["operator"]
        command(house, "replay", "--archive", **operator)
        eventually(lambda: layout.record(key("dead")) in house.objects("records/"), "the letter has its record")
        command(house, "retry", key("dead"), **operator)
        command(house, "status", f"{house.prompts}/two.jsonl", **operator)
        missing = darkroom("status", f"{house.prompts}/gone.json", **house.settings | operator)
        assert sentence(missing).startswith("there is no object"), "and not that it may not be read"
        of_operator = ("--identity", "operator")
        seen = report(house.settings | operator, "buckets", "notification", options=of_operator)
        assert seen.sentences("unknown") == []
        command(house, "check-store", "--racers", "4", "--keys", "2", **operator)
        eventually(lambda: broker.idle, "all is drawn")
        assert broker.dead == []
    return watch.made


def drop(house: House, name: str, *prompts: object) -> tuple[ObjectRef, Request]:
    """Put a prompt file of versions into the bucket; its first request has an attempt that is over, and old."""
    client = house.server.client
    client.put_bucket_versioning(Bucket=house.prompts, VersioningConfiguration={"Status": "Enabled"})
    body = "\n".join(json.dumps(prompt) for prompt in prompts)
    put = client.put_object(Bucket=house.prompts, Key=name, Body=body)
    file = ObjectRef(house.prompts, name, put["VersionId"], put["ETag"])
    request = from_object(file, 0, prompts[0])
    spared = {"owner": "another", "prompt_hash": request.prompt_hash, "ended": "StoreDown", "counts": False}
    put_days_ago(house, layout.claim(request.key, 1), spared, days=2)
    return file, request


def announce(broker: Broker, file: ObjectRef) -> None:
    event = {"specversion": "1.0", "id": "1", "source": "/tests", "type": PROMPTS_DROPPED}
    event |= {"datacontenttype": "application/json"}
    sent = json.dumps(event | {"data": {"object": file.as_data()}}).encode()
    assert broker.publish(Event.read({"content-type": STRUCTURED}, sent)) == 202


def completed(broker: Broker) -> Any:
    """What render said when its picture was there."""
    event = next(event for event in broker.accepted if event.attributes["type"] == IMAGE_COMPLETED)
    return event.json["data"]


def result(house: House, file: ObjectRef) -> Any:
    return json.loads(house.read(layout.result(file, 0)))["data"]


def open_image(data: Any) -> None:
    """Follow the URL in an outcome, as anybody may."""
    opened = urllib3.request("GET", data["images"][0]["url"])
    assert (opened.status, opened.headers["content-type"]) == (200, "image/png")


def command(house: House, *arguments: str, **environment: str) -> None:
    done = darkroom(*arguments, **house.settings | environment)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
