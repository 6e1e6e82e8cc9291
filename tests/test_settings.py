"""Settings: each from its variable, wrong ones told in a sentence, unknown ones with what was meant, secrets masked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from function.config import Settings, WrongSettings, unknown, variables
from tests.darkroom import REPOSITORY

DEFAULTS = Settings.from_environment({})

# Each variable, a value that is no default, and what becomes of it.
SET: dict[str, tuple[str, object]] = {
    "DARKROOM_IMAGE_BUCKET": ("pictures", "pictures"),
    "DARKROOM_PROMPT_BUCKETS": (" prompts , more,,", ("prompts", "more")),
    "DARKROOM_PROMPT_PREFIX": ("in/", "in/"),
    "DARKROOM_PROMPT_SUFFIX": (".json", ".json"),
    "DARKROOM_INPUT_BUCKETS": ("photos, masks", ("photos", "masks")),
    "DARKROOM_MAX_INPUT_FILE": ("4096", 4096),
    "DARKROOM_MAX_PROMPT_FILE": ("4096", 4096),
    "DARKROOM_MAX_PROMPTS": ("500", 500),
    "DARKROOM_MAX_EXPANDED": ("2000", 2000),
    "DARKROOM_MODEL": ("stabilityai/stable-diffusion-xl-base-1.0", "stabilityai/stable-diffusion-xl-base-1.0"),
    "DARKROOM_MODEL_REVISION": ("0" * 40, "0" * 40),
    "DARKROOM_MODEL_VARIANT": ("fp16", "fp16"),
    "DARKROOM_VAE": ("madebyollin/sdxl-vae-fp16-fix@abc", "madebyollin/sdxl-vae-fp16-fix@abc"),
    "DARKROOM_REFINER": ("owner/refiner@abc", "owner/refiner@abc"),
    "DARKROOM_DEVICE": ("cuda", "cuda"),
    "DARKROOM_DTYPE": ("bfloat16", "bfloat16"),
    "DARKROOM_ADAPTERS": ("adapters/adapters.json", "adapters/adapters.json"),
    "DARKROOM_ADAPTERS_KEPT": ("0", 0),
    "DARKROOM_ATTENTION": ("xformers", "xformers"),
    "DARKROOM_OFFLOAD": ("model", "model"),
    "DARKROOM_VAE_TILING": ("on", "on"),
    "DARKROOM_WARM_UP_STEPS": ("0", 0),
    "DARKROOM_MARK": ("c2pa", "c2pa"),
    "DARKROOM_C2PA_CERTIFICATE": ("certificate.pem", "certificate.pem"),
    "DARKROOM_C2PA_KEY": ("key.pem", "key.pem"),
    "DARKROOM_RENDER_LIMIT": ("60", 60.0),
    "DARKROOM_CHECK_STORE": ("true", True),
    "DARKROOM_LEASE": ("1.5", 1.5),
    "DARKROOM_SWEEP_INTERVAL": ("0.5", 0.5),
    "DARKROOM_HORIZON": ("3600", 3600.0),
    "DARKROOM_FORGOTTEN_AFTER": ("60", 60.0),
    "DARKROOM_REPUBLISH_AFTER": ("600", 600.0),
    "DARKROOM_UNTOLD_AFTER": ("90", 90.0),
    "DARKROOM_PUBLISH_AT_ONCE": ("4", 4),
    "DARKROOM_URL_EXPIRY": ("604800", 604_800),
    "DARKROOM_PUBLIC_URL": ("https://pictures.example/", "https://pictures.example/"),
    "DARKROOM_S3_PUBLIC_ENDPOINT": ("https://s3.example", "https://s3.example"),
    "DARKROOM_DESTINATIONS": (" team/art/, press,,", ("team/art", "press")),
    "DARKROOM_CACHE_CONTROL": ("no-store", "no-store"),
    "DARKROOM_TAGS": (
        f"team=art, note=a = b, empty=, lawsuit=1, {'n' * 128}={'v' * 256},",
        {"team": "art", "note": "a = b", "empty": "", "lawsuit": "1", "n" * 128: "v" * 256},
    ),
    "DARKROOM_SSE_KMS_KEY": (" alias/pictures\n", "alias/pictures"),
    "DARKROOM_METADATA": ("none", "none"),
    "DARKROOM_DOOR_TOKEN": ("a-secret\n", "a-secret"),
    "DARKROOM_GENERATE": ("true", True),
    "DARKROOM_SOURCE": ("/studio", "/studio"),
    "DARKROOM_LOG_FORMAT": ("json", "json"),
    "DARKROOM_DRAIN_GRACE": ("30", 30.0),
    "DARKROOM_HOST": ("127.0.0.1", "127.0.0.1"),
    "PORT": ("9090", 9090),
    "K_SINK": ("http://broker.example/default", "http://broker.example/default"),
    "K_CE_OVERRIDES": ('{"extensions": {"team": "art"}}', {"team": "art"}),
    "K_CA_CERTS": ("-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----"),
}

WRONG: dict[str, list[str]] = {
    "DARKROOM_IMAGE_BUCKET": [""],
    "DARKROOM_MAX_INPUT_FILE": ["0", "12 MiB"],
    "DARKROOM_MAX_PROMPT_FILE": ["0", "-1", "1 MiB", "1.5", ""],
    "DARKROOM_MAX_PROMPTS": ["0", "many"],
    "DARKROOM_MAX_EXPANDED": ["0", "1.5"],
    "DARKROOM_MODEL": [""],
    "DARKROOM_DEVICE": ["tpu", "CUDA", "cuda:0", ""],
    "DARKROOM_DTYPE": ["fp16", "float64", ""],
    "DARKROOM_ADAPTERS_KEPT": ["-1", "4 GiB"],
    "DARKROOM_ATTENTION": ["flash", ""],
    "DARKROOM_OFFLOAD": ["all", ""],
    "DARKROOM_VAE_TILING": ["true", ""],
    "DARKROOM_WARM_UP_STEPS": ["-1", "101"],
    "DARKROOM_MARK": ["xmp", ""],
    "DARKROOM_RENDER_LIMIT": ["0", "-1", "10m", "inf", "nan", ""],
    "DARKROOM_LEASE": ["0", "inf", "30s"],
    "DARKROOM_SWEEP_INTERVAL": ["0", "-30", "inf"],
    "DARKROOM_HORIZON": ["0", "7d", "inf"],
    "DARKROOM_FORGOTTEN_AFTER": ["0", "10m"],
    "DARKROOM_REPUBLISH_AFTER": ["0", "nan"],
    "DARKROOM_UNTOLD_AFTER": ["0", "1m"],
    "DARKROOM_PUBLISH_AT_ONCE": ["0", "257"],
    "DARKROOM_URL_EXPIRY": ["0", "604801", "1.5"],
    "DARKROOM_PUBLIC_URL": ["pictures.example", "s3://images", "https://"],
    "DARKROOM_S3_PUBLIC_ENDPOINT": ["s3.example:9000", "/s3"],
    "DARKROOM_DESTINATIONS": ["/", "a//b", "../a", "a/../b", "records", "images/team", "told/", "a b", "press,claims"],
    "DARKROOM_CACHE_CONTROL": ["no-store\nX-Other: 1", "é"],
    "DARKROOM_TAGS": [
        *("art", "=art", "a=b,a=c", "a=\u20ac", "a=b\nc", "aws:x=1", "AWS:x=1", "team=art,aws:=", f"{'a' * 129}=b"),
        *(f"a={'b' * 257}", ",".join(f"a{n}=b" for n in range(11))),
    ],
    "DARKROOM_SSE_KMS_KEY": ["alias/a\nX-Other: 1", "alias/a\x7f", "alias/\u00e9"],
    "DARKROOM_METADATA": ["some", "FULL", ""],
    "DARKROOM_DOOR_TOKEN": ["", "\n"],
    "DARKROOM_SOURCE": [""],
    "DARKROOM_LOG_FORMAT": ["text", "JSON"],
    "DARKROOM_DRAIN_GRACE": ["0", "nan"],
    "PORT": ["-1", "65536", "http", "tcp://10.0.0.1:80", ""],
    "K_SINK": ["broker.example", "ftp://broker.example"],
    "K_CE_OVERRIDES": [
        "{",
        "[]",
        "5",
        "null",
        '"a"',
        "not JSON",
        '{"extensions": [1]}',
        "[" * 100000,
        '{"a": NaN}',
        '{"extensions": "a"}',
        '{"extensions": {"a": 1}}',
        '{"extensions": {"a": null}}',
    ],
}

# What Kubernetes injects into every pod beside a Service named darkroom.
INJECTED = {
    "DARKROOM_SERVICE_HOST": "10.0.0.1",
    "DARKROOM_SERVICE_PORT": "80",
    "DARKROOM_SERVICE_PORT_HTTP": "80",
    "DARKROOM_PORT": "tcp://10.0.0.1:80",
    "DARKROOM_PORT_80_TCP": "tcp://10.0.0.1:80",
    "DARKROOM_PORT_80_TCP_PROTO": "tcp",
    "DARKROOM_PORT_80_TCP_PORT": "80",
    "DARKROOM_PORT_80_TCP_ADDR": "10.0.0.1",
}


def refusal(environment: Mapping[str, str]) -> str:
    """Why these settings cannot be used; fails if they can."""
    with pytest.raises(WrongSettings) as wrong:
        Settings.from_environment(environment)
    return str(wrong.value)


def plain(value: Any) -> object:
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


def test_the_table_knows_every_setting() -> None:
    assert SET.keys() == set(variables().values())
    assert list(variables()) == list(Settings.model_fields)


@pytest.mark.parametrize(("field", "variable"), variables().items())
def test_setting_comes_from_its_variable(field: str, variable: str) -> None:
    text, expected = SET[variable]
    settings = Settings.from_environment({variable: text})
    assert plain(getattr(settings, field)) == expected
    assert getattr(DEFAULTS, field) != expected, "a value that is the default proves nothing"
    assert settings.model_copy(update={field: getattr(DEFAULTS, field)}) == DEFAULTS, "it sets something else, too"


def test_all_at_once() -> None:
    settings = Settings.from_environment({variable: text for variable, (text, _) in SET.items()})
    values = {variable: plain(getattr(settings, field)) for field, variable in variables().items()}
    assert values == {variable: expected for variable, (_, expected) in SET.items()}


def test_nothing_has_to_be_set_and_strangers_are_ignored() -> None:
    assert Settings.from_environment({"PATH": "/bin", "K_SERVICE": "x", "AWS_REGION": "y"}) == DEFAULTS


def test_defaults_keep_the_chain_of_times() -> None:
    # Render limit < drain grace < Knative's timeoutSeconds; a claim may miss two beats.
    settings = DEFAULTS
    assert settings.render_limit < settings.drain_grace < 600
    assert settings.beat == pytest.approx(settings.lease / 3)
    assert settings.door_token is None
    assert settings.sink is None


@pytest.mark.parametrize(("variable", "text"), [(variable, text) for variable in WRONG for text in WRONG[variable]])
def test_wrong_value_is_told_in_one_sentence(variable: str, text: str) -> None:
    sentence = refusal({variable: text})
    assert sentence.startswith(f"{variable}: must ")
    assert "\n" not in sentence
    assert len(sentence) < 200


def test_every_wrong_variable_is_named_at_once() -> None:
    sentence = refusal({variable: texts[0] for variable, texts in WRONG.items()})
    assert [part.partition(":")[0] for part in sentence.split("; ")] == [
        variable for variable in variables().values() if variable in WRONG
    ]


@pytest.mark.parametrize(
    "variable",
    [
        "DARKROOM_MODEL_REVISION",
        "DARKROOM_MODEL_VARIANT",
        "DARKROOM_VAE",
        "DARKROOM_SSE_KMS_KEY",
        "DARKROOM_PUBLIC_URL",
        "DARKROOM_S3_PUBLIC_ENDPOINT",
        "K_SINK",
        "K_CA_CERTS",
        "K_CE_OVERRIDES",
        "DARKROOM_PROMPT_BUCKETS",
    ],
)
def test_empty_is_unset_where_manifests_leave_it_empty(variable: str) -> None:
    assert Settings.from_environment({variable: ""}) == DEFAULTS


@pytest.mark.parametrize(
    ("text", "extensions"),
    [
        ("", {}),
        (" \n", {}),
        ("{}", {}),
        ('{"extensions": {}}', {}),
        ('{"extensions": null}', {}),
        ('{"other": 1}', {}),
        ('{"extensions": {"team": "art", "stage": "caf\u00e9"}}', {"team": "art", "stage": "caf\u00e9"}),
    ],
)
def test_overrides_as_a_sink_binding_sets_them(text: str, extensions: dict[str, str]) -> None:
    assert Settings.from_environment({"K_CE_OVERRIDES": text}).ce_overrides == extensions


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion", "data", "time"])
def test_overrides_leave_alone_what_makes_an_outcome(name: str) -> None:
    assert refusal({"K_CE_OVERRIDES": json.dumps({"extensions": {"team": "art", name: "x"}})}).endswith(name)


def test_broken_overrides_are_told_with_an_example() -> None:
    assert refusal({"K_CE_OVERRIDES": "{"}) == ('K_CE_OVERRIDES: must be JSON such as {"extensions": {"team": "art"}}')


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("DARKROOM_MODLE", "DARKROOM_MODEL"),
        ("DARKROOM_PROMPT_BUCKET", "DARKROOM_PROMPT_BUCKETS"),
        ("DARKROOM_IMAGES_BUCKET", "DARKROOM_IMAGE_BUCKET"),
        ("DARKROOM_TOKEN", "DARKROOM_DOOR_TOKEN"),
        ("DARKROOM_PORT", "PORT"),
        ("DARKROOM_SINK", "K_SINK"),
        ("DARKROOM_K_SINK", "K_SINK"),
    ],
)
def test_unknown_name_is_told_with_the_nearest(name: str, meant: str) -> None:
    assert unknown({name: "x", "DARKROOM_MODEL": "y"}) == [f"{name} sets nothing; did you mean {meant}?"]


def test_unknown_name_without_a_near_one_is_told_alone() -> None:
    assert unknown({"DARKROOM_ZZZ": ""}) == ["DARKROOM_ZZZ sets nothing"]


def test_known_names_and_those_of_others_are_not_told() -> None:
    assert unknown(dict.fromkeys([*SET, "K_SERVICE", "AWS_REGION", "DARKROOMS", "MY_DARKROOM_MODEL"], "x")) == []


def test_what_a_service_named_darkroom_injects_is_told_and_sets_nothing() -> None:
    assert Settings.from_environment(INJECTED) == DEFAULTS
    sentences = unknown(INJECTED)
    assert [sentence.partition(" ")[0] for sentence in sentences] == sorted(INJECTED)
    assert not any(value in sentence for sentence in sentences for value in ("10.0.0.1", "tcp"))


def test_secrets_are_masked_wherever_settings_are_shown() -> None:
    settings = Settings.from_environment({variable: text for variable, (text, _) in SET.items()})
    shown = settings.shown()
    assert shown.keys() == SET.keys()
    assert set(shown["DARKROOM_DOOR_TOKEN"]) == {"*"}
    assert "a-secret" not in f"{shown} {settings} {settings!r}"
    assert DEFAULTS.shown()["DARKROOM_DOOR_TOKEN"] is None


def test_secret_is_not_echoed_when_something_else_is_wrong() -> None:
    assert "a-secret" not in refusal({"DARKROOM_DOOR_TOKEN": "a-secret", "PORT": "x"})


def test_what_is_shown_can_be_set() -> None:
    settings = Settings.from_environment({variable: text for variable, (text, _) in SET.items()})
    again = {variable: str(value) for variable, value in settings.shown().items() if value is not None}
    unmasked = {"DARKROOM_DOOR_TOKEN": "a-secret"}
    assert Settings.from_environment(again | unmasked) == settings


def darkroom_config(environment: Mapping[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    """`darkroom config` as a user runs it."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("DARKROOM_", "K_")) and k != "PORT"}
    return subprocess.run(
        [sys.executable, "-m", "function.cli", "config", *options],
        cwd=REPOSITORY,
        env=inherited | dict(environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_command_shows_settings_beside_what_kubernetes_injects() -> None:
    run = darkroom_config(INJECTED | {"DARKROOM_DOOR_TOKEN": "a-secret", "PORT": "9090"})
    assert run.returncode == 0, run.stderr
    lines = dict(line.split("=", 1) for line in run.stdout.splitlines())
    assert lines.keys() == SET.keys()
    assert (lines["PORT"], lines["DARKROOM_DOOR_TOKEN"], lines["K_SINK"]) == ("9090", "**********", "")
    assert "a-secret" not in run.stdout + run.stderr


def test_command_checks_names() -> None:
    run = darkroom_config({"DARKROOM_MODLE": "x"}, "--check")
    assert run.returncode == 1
    assert run.stderr == "Error: DARKROOM_MODLE sets nothing; did you mean DARKROOM_MODEL?\n"
    assert darkroom_config({}, "--check").returncode == 0


def test_command_tells_wrong_settings_in_one_line() -> None:
    run = darkroom_config({"DARKROOM_LEASE": "soon", "DARKROOM_DEVICE": "tpu"})
    assert run.returncode == 1
    (line,) = run.stderr.splitlines()
    assert line.startswith("Error: DARKROOM_DEVICE: must be ")
    assert "; DARKROOM_LEASE: must be a valid number" in line
    assert run.stdout == ""
