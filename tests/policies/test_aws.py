"""What knative/policies/README.md makes on AWS, run as written with stand-ins for programs, is what is needed there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from botocore import xform_name
from botocore.session import get_session

from tests.darkroom import REPOSITORY
from tests.docs.test_readme import RUN, blocks
from tests.manifests.conftest import Kustomize
from tests.manifests.rendering import Rendering, find_kustomize
from tests.policies.identity import FOLDER, IDENTITIES, document, several
from tests.stores import running

PAGE: Final = (FOLDER / "README.md").read_text("utf-8")
COMMANDS: Final = [block.text for block in blocks(PAGE.partition("## On AWS")[2].partition("## On MinIO")[0])]
ROLE: Final = "eks.amazonaws.com/role-arn"
# Nothing of this stands in a file: where it comes out, it was put in.
ACCOUNT, REGION, IMAGES, PROMPTS = "444455556666", "ap-south-2", "our-images", "our-prompts"
ISSUER: Final = f"oidc.eks.{REGION}.amazonaws.com/id/0123456789ABCDEF"
QUEUE: Final = f"arn:aws:sqs:{REGION}:{ACCOUNT}:darkroom-prompts"
CHOSEN: Final = {"eu-west-1": REGION, "example-darkroom-images": IMAGES, "example-darkroom-prompts": PROMPTS}
LEFT_OVER: Final = re.compile("111122223333|EXAMPLE|:::images|:::prompts|" + "|".join(CHOSEN))
# Options of the command line itself, and of no operation.
ITS_OWN: Final = {"query", "output"}

# Each call becomes a file: the program's name and its words, with a NUL after each.
STAND_IN: Final = f"""#!/bin/sh
printf '%s\\0' "${{0##*/}}" "$@" >"$(mktemp "$CALLS/XXXXXXXX")"
case "${{0##*/}} $1 $2" in
  "aws sts get-caller-identity") echo {ACCOUNT} ;;
  "aws eks describe-cluster") echo https://{ISSUER} ;;
  "kubectl apply --kustomize") "$KUSTOMIZE" build "$3" >"$APPLIED" ;;
esac
"""


@dataclass(frozen=True)
class Made:
    """What the page's commands asked the programs for, and what they put into the cluster."""

    calls: list[list[str]]
    applied: Rendering

    def of(self, *words: str) -> list[dict[str, str]]:
        """The options of every call that begins so."""
        return [options(call) for call in self.calls if call[: len(words)] == list(words)]

    @property
    def trusts(self) -> dict[str, Any]:
        """Who may take each role that was made, by the role's name."""
        made = self.of("aws", "iam", "create-role")
        assert len({one["role-name"] for one in made}) == len(made), "made twice"
        return {one["role-name"]: json.loads(one["assume-role-policy-document"]) for one in made}

    @property
    def accounts(self) -> dict[str, str]:
        """The ServiceAccount in the cluster that names each role, as `namespace:name`."""
        found = {}
        for account in self.applied.kind("ServiceAccount"):
            if arn := account["metadata"].get("annotations", {}).get(ROLE):
                assert arn.startswith(f"arn:aws:iam::{ACCOUNT}:role/")
                assert arn not in found, "two share a role"
                found[arn.rpartition("/")[2]] = f"{account['metadata']['namespace']}:{account['metadata']['name']}"
        return found


def options(call: list[str]) -> dict[str, str]:
    """All of a call from its first option on."""
    words = call[next(at for at, word in enumerate(call) if word.startswith("--")) :]
    # `--fix` is the doctor's, and has no value.
    words = [word for word in words if word != "--fix"]
    return {name.removeprefix("--"): value for name, value in zip(words[::2], words[1::2], strict=True)}


@pytest.fixture(scope="module", autouse=True)
def kustomize() -> Iterator[Kustomize]:
    yield from running(Kustomize())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """All commands of the page in one shell, as their reader runs them, with names of his own in the first line."""
    folder = tmp_path_factory.mktemp("aws")
    programs, calls = folder / "programs", folder / "calls"
    programs.mkdir()
    calls.mkdir()
    for name in ("aws", "darkroom", "kubectl"):
        (programs / name).write_text(STAND_IN, "utf-8")
        (programs / name).chmod(0o755)
    checkout = folder / "checkout"
    shutil.copytree(REPOSITORY / "knative", checkout / "knative")
    first, _, rest = "\n".join(COMMANDS).partition("\n")
    for shown, chosen in CHOSEN.items():
        assert shown in first
        first = first.replace(shown, chosen)
    run = subprocess.run(
        [*RUN["sh"], f"{first}\n{rest}"],
        cwd=checkout,
        env=os.environ
        | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "CALLS": str(calls)}
        | {"KUSTOMIZE": str(find_kustomize()), "APPLIED": str(folder / "applied.yaml")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    called = [path.read_text("utf-8").split("\0")[:-1] for path in calls.iterdir()]
    return Made(called, Rendering.of((folder / "applied.yaml").read_text("utf-8")))


def test_every_example_is_replaced_by_what_is_chosen(made: Made) -> None:
    said = [word for call in made.calls for word in call] + [json.dumps(thing) for thing in made.applied.objects]
    assert [word for word in said if LEFT_OVER.search(word)] == []


def test_every_call_of_aws_is_one_that_aws_has(made: Made) -> None:
    called = {(call[1], call[2], *options(call)) for call in made.calls if call[0] == "aws"}
    assert {service for service, *_ in called} == {"eks", "iam", "s3api", "sqs", "sts"}
    for service, name, *given in called:
        model = get_session().get_service_model("s3" if service == "s3api" else service)
        operations = {xform_name(operation, "-"): operation for operation in model.operation_names}
        shape = model.operation_model(operations[name]).input_shape
        takes = {xform_name(member, "-") for member in shape.members} if shape else set()
        assert set(given) - ITS_OWN <= takes, (service, name)


def test_a_role_can_be_taken_by_its_own_service_account_alone(made: Made) -> None:
    assert made.trusts.keys() == made.accounts.keys()
    for role, account in made.accounts.items():
        (statement,) = made.trusts[role]["Statement"]
        assert statement["Effect"] == "Allow"
        assert statement["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"}
        assert statement["Action"] == "sts:AssumeRoleWithWebIdentity"
        # Without the audience any token of the account would do, without the subject any account's.
        asked = {f"{ISSUER}:aud": "sts.amazonaws.com", f"{ISSUER}:sub": f"system:serviceaccount:{account}"}
        assert statement["Condition"] == {"StringEquals": asked}
    (provider,) = made.of("aws", "iam", "create-open-id-connect-provider")
    assert provider == {"url": f"https://{ISSUER}", "client-id-list": "sts.amazonaws.com"}


def test_every_role_has_the_policy_of_its_name_and_every_policy_a_role(made: Made) -> None:
    put = made.of("aws", "iam", "put-role-policy")
    granted = {one["role-name"]: json.loads(one["policy-document"]) for one in put}
    assert len(granted) == len(put)
    assert granted.keys() == made.trusts.keys()
    buckets = {f"darkroom-{name}": document(name, IMAGES, PROMPTS) for name in IDENTITIES}
    assert {role: policy for role, policy in granted.items() if role != "darkroom-queue"} == buckets


def test_every_pod_that_uses_the_store_has_a_role_and_no_key(made: Made) -> None:
    using = [pod for pod in made.applied.pods() if "configMapRef" in json.dumps(pod.spec)]
    assert "Job/prefetch" not in {pod.name for pod in using}, "it is given no settings"
    accounts = {f"{pod.owner['metadata']['namespace']}:{pod.spec['serviceAccountName']}" for pod in using}
    # The queue's pod is made by Knative.
    assert {*accounts, "darkroom-queue:queue"} == set(made.accounts.values())
    assert [pod.name for pod in using if "darkroom-s3" in json.dumps(pod.spec)] == []


def test_the_queue_takes_messages_from_s3_alone_and_only_of_the_prompt_bucket(made: Made) -> None:
    (queue,) = made.of("aws", "sqs", "create-queue")
    # In the words of the command line, which takes what is between the quotes as it is.
    held = re.fullmatch("Policy='([^']*)'", queue["attributes"])
    assert held
    (statement,) = json.loads(held[1])["Statement"]
    assert statement.pop("Sid")
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": QUEUE,
        # Of both: a bucket that is given up may come to be another's under the same name.
        "Condition": {
            "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{PROMPTS}"},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        },
    }


def test_the_one_queue_is_what_is_made_told_of_read_and_granted(made: Made) -> None:
    (source,) = made.applied.kind("IntegrationSource")
    aws = source["spec"]["aws"]
    assert (aws["sqs"]["arn"], aws["sqs"]["region"]) == (QUEUE, REGION)
    (queue,) = made.of("aws", "sqs", "create-queue")
    assert queue["queue-name"] == QUEUE.rpartition(":")[2]
    (doctor,) = made.of("darkroom", "doctor")
    assert doctor["arn"] == QUEUE
    reader = f"{source['metadata']['namespace']}:{aws['auth']['serviceAccountName']}"
    (role,) = [role for role, account in made.accounts.items() if account == reader]
    (put,) = [one for one in made.of("aws", "iam", "put-role-policy") if one["role-name"] == role]
    (statement,) = json.loads(put["policy-document"])["Statement"]
    assert (statement["Effect"], statement["Resource"]) == ("Allow", QUEUE)
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage"} <= set(several(statement["Action"]))
    assert not [action for action in statement["Action"] if re.search("Send|Purge|Set|Add|DeleteQueue", action)]


def test_the_buckets_are_those_of_the_manifests_and_the_image_bucket_has_its_policy(made: Made) -> None:
    data = made.applied.get("ConfigMap/darkroom")["data"]
    assert (data["DARKROOM_IMAGE_BUCKET"], data["DARKROOM_PROMPT_BUCKETS"], data["AWS_REGION"]) == (
        IMAGES,
        PROMPTS,
        REGION,
    )
    (policy,) = made.of("aws", "s3api", "put-bucket-policy")
    assert (policy["bucket"], json.loads(policy["policy"])) == (IMAGES, document("image-bucket", IMAGES))
    (rules,) = made.of("aws", "s3api", "put-bucket-lifecycle-configuration")
    assert rules["bucket"] == IMAGES
    assert (REPOSITORY / rules["lifecycle-configuration"].removeprefix("file://")).samefile(FOLDER / "lifecycle.json")
