"""From a hub into a folder: what is needed, checked, once; whatever goes wrong is told, and gone on with."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
from pathlib import Path

import pytest
from huggingface_hub.constants import DOWNLOAD_CHUNK_SIZE

from function.render.fetching import LOCK
from function.render.manifest import MANIFEST, ORIGIN, mismatch, runnable
from tests.darkroom import sentence
from tests.prefetch.conftest import files_of, prefetch, started
from tests.prefetch.hub import COMMIT, OTHER, TAIL, TOKEN, Hub

MODEL = f"owner/shapes@{COMMIT}"
UNET = "unet/diffusion_pytorch_model.safetensors"
VOCABULARY = "tokenizer/vocab.json"


def holds(folder: Path, shapes: dict[str, bytes]) -> bool:
    """Whether the folder holds these files, their manifest, and but for where they come from no other."""
    there = files_of(folder)
    listed = {line[66:]: line[:64] for line in there.pop(MANIFEST, b"").decode().splitlines()}
    assert json.loads(there.pop(ORIGIN))["revision"] == COMMIT
    assert there.pop(LOCK) == b""
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in shapes.items()}
    return there == shapes and listed == sums and mismatch(folder) is None and runnable(folder) is None


def test_what_the_renderer_needs_comes_with_its_manifest_and_only_once(
    hub: Hub, tmp_path: Path, shapes: dict[str, bytes]
) -> None:
    folder = tmp_path / "models" / "shapes"
    said = prefetch(MODEL, folder, hub=hub)
    assert (said.returncode, said.stdout) == (
        0,
        f"{folder} holds {MODEL}, whole and checked; its sums are in {MANIFEST}\n",
    )
    assert holds(folder, shapes)
    assert len(hub.got()) == len(shapes)

    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    hub.asked.clear()
    again = prefetch(MODEL, folder, hub=hub)
    assert (again.returncode, again.stdout) == (
        0,
        f"{folder} holds {MODEL} already, whole and unchanged: nothing to do\n",
    )
    assert hub.asked == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_a_variant_comes_where_there_is_one(hub: Hub, tmp_path: Path, shapes: dict[str, bytes]) -> None:
    assert prefetch(MODEL, tmp_path, hub=hub, DARKROOM_MODEL_VARIANT="fp16").returncode == 0
    half = UNET.replace(".safetensors", ".fp16.safetensors")
    expected = {name: content for name, content in shapes.items() if name != UNET} | {half: hub.files[half]}
    assert holds(tmp_path, expected)
    said = prefetch(MODEL, tmp_path / "other", "--variant", "fp8", hub=hub)
    assert (
        sentence(said) == "model owner/shapes has no weights of the variant fp8: leave the variant out or name another"
    )


@pytest.mark.parametrize("fault", ["cuts", "resets"])
def test_a_connection_that_breaks_in_mid_file(hub: Hub, tmp_path: Path, shapes: dict[str, bytes], fault: str) -> None:
    """Cut off, the file is gone on with; reset, it is fetched again."""
    getattr(hub, fault)[UNET] = 1
    assert prefetch(MODEL, tmp_path, hub=hub).returncode == 0
    assert holds(tmp_path, shapes)
    asked = [line.partition("=")[2] for line in hub.got() if UNET in line]
    block = DOWNLOAD_CHUNK_SIZE
    assert TAIL < len(shapes[UNET]) - block < block
    assert asked == (["", f"{block}-"] if fault == "cuts" else ["", ""])


def test_a_hub_that_is_away_for_a_moment(hub: Hub, tmp_path: Path, shapes: dict[str, bytes]) -> None:
    hub.away = 1
    assert prefetch(MODEL, tmp_path, hub=hub).returncode == 0
    assert holds(tmp_path, shapes)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_broken_off_is_not_taken_for_whole_and_gone_on_with(
    hub: Hub, tmp_path: Path, shapes: dict[str, bytes], how: signal.Signals
) -> None:
    hub.stalls = UNET
    with started(MODEL, tmp_path, hub) as process:
        assert hub.stalled.wait(180)
        process.send_signal(how)
        assert process.wait(180) == (1 if how == signal.SIGTERM else -how)
    assert not (tmp_path / MANIFEST).exists()
    assert mismatch(tmp_path) == "is only half there: let `darkroom prefetch` end, or run it again"
    there = files_of(tmp_path).keys() & shapes.keys()
    assert VOCABULARY in there
    assert UNET not in there

    hub.go_on.set()
    hub.asked.clear()
    assert prefetch(MODEL, tmp_path, hub=hub).returncode == 0
    assert holds(tmp_path, shapes)
    assert len(hub.got()) == len(shapes) - len(there)


@pytest.mark.parametrize(("name", "in_git"), [(UNET, ()), (UNET, (UNET,)), (VOCABULARY, ())])
def test_what_is_not_what_the_hub_lists(
    hub: Hub, tmp_path: Path, shapes: dict[str, bytes], name: str, in_git: tuple[str, ...]
) -> None:
    """By its sha256 where it is in git LFS, by git's own sum where it is not, weights too."""
    hub.in_git = in_git
    hub.forged[name] = shapes[name][:-1] + bytes([shapes[name][-1] ^ 1])
    said = prefetch(MODEL, tmp_path, hub=hub)
    assert sentence(said).startswith(f"{name} from owner/shapes is not what is listed there, {len(shapes[name])} bytes")
    assert not (tmp_path / name).exists()
    assert not (tmp_path / MANIFEST).exists()
    hub.forged.clear()
    assert prefetch(MODEL, tmp_path, hub=hub).returncode == 0
    assert holds(tmp_path, shapes)


def test_a_folder_that_was_damaged_is_mended(hub: Hub, tmp_path: Path, shapes: dict[str, bytes]) -> None:
    assert prefetch(MODEL, tmp_path, hub=hub).returncode == 0
    with (tmp_path / UNET).open("r+b") as file:
        file.write(b"?")
    (tmp_path / VOCABULARY).unlink()
    hub.asked.clear()
    assert prefetch(MODEL, tmp_path, hub=hub).returncode == 0
    assert holds(tmp_path, shapes)
    assert {line.partition(COMMIT)[2] for line in hub.got()} == {f"/{UNET}", f"/{VOCABULARY}"}


def test_a_vae(hub: Hub, tmp_path: Path, shapes: dict[str, bytes]) -> None:
    vae = {name.removeprefix("vae/"): content for name, content in shapes.items() if name.startswith("vae/")}
    hub.files = vae | {"sdxl_vae.safetensors": b"?", "diffusion_pytorch_model.bin": b"?", "preprocessor.json": b"{}"}
    assert prefetch(MODEL, tmp_path, hub=hub).returncode == 0
    assert holds(tmp_path, vae)


def test_a_refiner(hub: Hub, tmp_path: Path, shapes: dict[str, bytes]) -> None:
    """It names no first text encoder, so that none is fetched."""
    index = json.loads(shapes["model_index.json"]) | {"_class_name": "StableDiffusionXLImg2ImgPipeline"}
    index |= {part: [None, None] for part in ("text_encoder", "tokenizer")}
    others = ("text_encoder/", "tokenizer/")
    refiner = {name: content for name, content in shapes.items() if not name.startswith(others)}
    refiner["model_index.json"] = json.dumps(index).encode()
    hub.files = {**hub.files, **refiner}
    assert prefetch(MODEL, tmp_path, hub=hub).returncode == 0
    assert holds(tmp_path, refiner)


def test_a_token_opens_what_asks_for_one(hub: Hub, tmp_path: Path, shapes: dict[str, bytes]) -> None:
    hub.gated = True
    said = prefetch(MODEL, tmp_path, hub=hub)
    page = f"{hub.url}/owner/shapes"
    gated = f"model owner/shapes is gated: accept its terms at {page}, and set HF_TOKEN to a token of that account"
    assert sentence(said) == gated
    assert sentence(prefetch(MODEL, tmp_path, hub=hub, HF_TOKEN="hf_of-another")) == gated  # noqa: S106  # opens nothing
    opened = prefetch(MODEL, tmp_path, hub=hub, HF_TOKEN=TOKEN)
    assert opened.returncode == 0
    assert holds(tmp_path, shapes)
    assert TOKEN not in opened.stdout + opened.stderr


def private(hub: Hub) -> None:
    hub.private = True


def renamed(hub: Hub) -> None:
    hub.name = "owner/circles"


def rewritten(hub: Hub) -> None:
    hub.commits = (OTHER,)


def another_kind(hub: Hub) -> None:
    hub.files = {**hub.files, "model_index.json": b'{"_class_name": "FluxPipeline"}'}


def without_sums(hub: Hub) -> None:
    hub.knows_little = True


def garbled(hub: Hub) -> None:
    hub.files = {**hub.files, "model_index.json": b"{"}


def pickled(hub: Hub) -> None:
    hub.files = {name.replace(".safetensors", ".bin"): content for name, content in hub.files.items()}


def without_scheduler(hub: Hub) -> None:
    hub.files = {name: content for name, content in hub.files.items() if not name.startswith("scheduler/")}


def of_one_file(hub: Hub) -> None:
    hub.files = {"shapes.safetensors": b"everything in one file"}


def of_another_time(hub: Hub) -> None:
    hub.files = {"config.json": b'{"_class_name": "UNet2DConditionModel"}', **hub.files}
    hub.files = {name: content for name, content in hub.files.items() if name != "model_index.json"}


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (
            private,
            "is not at {url}, or not for everybody: check the name, and if it is private set HF_TOKEN to a token",
        ),
        (
            renamed,
            "is not at {url}, or not for everybody: check the name, and if it is private set HF_TOKEN to a token",
        ),
        (
            rewritten,
            "has no commit 0123456789abcdef0123456789abcdef01234567; {url}/owner/shapes/commits/main lists those",
        ),
        (another_kind, "is a FluxPipeline; only a StableDiffusionXLPipeline can be used"),
        (without_sums, "so nobody could tell whether it came whole: fetch it by other means, and have prefetch copy"),
        (garbled, "has a model_index.json that is broken"),
        (pickled, "has no *.safetensors in text_encoder; other formats can run code and stay where they are"),
        (without_scheduler, "lacks scheduler, named in its model_index.json"),
        (of_one_file, "has no model_index.json: it is not in diffusers' layout"),
        (
            of_another_time,
            "has no model_index.json and is a UNet2DConditionModel; only a StableDiffusionXLPipeline or an",
        ),
    ],
)
def test_what_cannot_be_had_is_told_in_one_sentence(hub: Hub, tmp_path: Path, fault: object, expected: str) -> None:
    assert callable(fault)
    fault(hub)
    said = prefetch(MODEL, tmp_path, hub=hub)
    assert expected.format(url=hub.url) in sentence(said)
    assert not (tmp_path / MANIFEST).exists()
    # Nothing large came before it was sure.
    assert not list(tmp_path.rglob("*.safetensors"))


def refused(said: subprocess.CompletedProcess[str], *parts: str) -> bool:
    return all(part in sentence(said) for part in parts)


def test_a_mirrors_password_is_not_shown(hub: Hub, tmp_path: Path, shapes: dict[str, bytes]) -> None:
    mirror = hub.url.replace("//", "//user:secret@")
    hub.gated = True
    for model, endpoint in (
        (MODEL, mirror),
        (f"owner/nothing@{COMMIT}", mirror),
        (f"owner/shapes@{'9' * 40}", mirror),
        ("owner/shapes", mirror),
        (MODEL, "http://user:secret@127.0.0.1:9"),
    ):
        said = prefetch(model, tmp_path, HF_ENDPOINT=endpoint)
        assert endpoint.replace("user:secret@", "") in sentence(said)
        assert "secret" not in said.stdout + said.stderr
    hub.gated = False
    for hub.wrong in (404, 302):
        said = prefetch(MODEL, tmp_path, HF_ENDPOINT=mirror)
        assert hub.url in sentence(said)
        assert "secret" not in said.stdout + said.stderr
    hub.wrong = 0
    assert prefetch(MODEL, tmp_path, HF_ENDPOINT=mirror).returncode == 0
    assert holds(tmp_path, shapes)


def test_a_hub_that_nobody_reaches(tmp_path: Path) -> None:
    assert refused(prefetch(MODEL, tmp_path), "http://127.0.0.1:9 cannot be reached or broke off (", "HTTPS_PROXY")
    assert refused(prefetch(MODEL, tmp_path, HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE is set")


@pytest.mark.parametrize(
    "endpoint", ["", "user:secret@mirror", "https://user:secret#1@mirror", "https://user:secret/1@m"]
)
def test_a_mirror_whose_url_is_none(tmp_path: Path, endpoint: str) -> None:
    said = prefetch(MODEL, tmp_path, HF_ENDPOINT=endpoint)
    assert sentence(said).startswith("HF_ENDPOINT must be a URL such as https://huggingface.co; in a password %2F")
    assert "secret" not in said.stdout + said.stderr


@pytest.mark.parametrize(
    ("at", "given"), [("", "none was given"), ("@main", "'main' was given"), ("@", "'' was given")]
)
def test_a_model_needs_its_commit(tmp_path: Path, at: str, given: str) -> None:
    said = prefetch(f"owner/shapes{at}", tmp_path / "folder")
    assert refused(
        said, given, "40 hex digits", "`git ls-remote http://127.0.0.1:9/owner/shapes main` prints the newest"
    )
    assert not (tmp_path / "folder").exists()


def test_a_folder_that_holds_something_else_is_left_alone(hub: Hub, tmp_path: Path, shapes: dict[str, bytes]) -> None:
    other = f"owner/shapes@{OTHER}"
    assert prefetch("owner/nothing@" + COMMIT, tmp_path, hub=hub).returncode == 1
    assert prefetch(MODEL, tmp_path, hub=hub).returncode == 0, "a name that was wrong spoils no folder"
    assert refused(
        prefetch(other, tmp_path, hub=hub), f"folder {tmp_path} holds another model, ", COMMIT, "or empty it"
    )
    assert holds(tmp_path, shapes)
    (tmp_path / "unet" / "mine.safetensors").touch()
    assert refused(prefetch(MODEL, tmp_path, hub=hub), "holds unet/mine.safetensors, which is no part of this model")
    (tmp_path / "unet" / "mine.safetensors").rename(tmp_path / "unet" / "mine.py")
    assert refused(prefetch(MODEL, tmp_path, hub=hub), f"folder {tmp_path} holds unet/mine.py: files of the kinds ")

    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "letter.txt").touch()
    assert refused(
        prefetch(MODEL, strange, hub=hub), "holds letter.txt, which prefetch did not put there: name another"
    )
