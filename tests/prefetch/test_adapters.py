"""A list of adapters into a folder: from the hub and from beside it, checked by its sums, the list itself last."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import safetensors.numpy

from function.render.adapters.catalogue import Catalogue
from function.render.fetching import LOCK
from tests.darkroom import sentence
from tests.prefetch.conftest import files_of, prefetch, started
from tests.prefetch.hub import COMMIT, Hub, serving

INK, EDGES, STYLE, EYES = (
    *("loras/ink.safetensors", "edges/diffusion_pytorch_model.safetensors"),
    *("style.safetensors", "eyes/model.safetensors"),
)


def weights(*names: str) -> bytes:
    return safetensors.numpy.save({name: np.zeros(1000, np.float32) for name in names})


# What the list calls them, which need not be what the hub does.
FILES: Final[Mapping[str, bytes]] = {
    INK: weights("unet.to_q.lora_A.weight"),
    EDGES: weights("conv_in.weight"),
    "edges/config.json": b'{"_class_name": "ControlNetModel"}',
    STYLE: weights("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"),
    EYES: weights("visual_projection.weight"),
    "eyes/config.json": b'{"architectures": ["CLIPVisionModelWithProjection"]}',
}
AT_HUB: Final = {EDGES: "canny/diffusion_pytorch_model.safetensors", STYLE: "sdxl/style.safetensors", EYES: EYES}


def entry(path: str) -> dict[str, Any]:
    place = {"hub": f"owner/adapters@{COMMIT}/{AT_HUB[path]}"} if path in AT_HUB else {}
    return {"path": path, "sha256": hashlib.sha256(FILES[path]).hexdigest(), **place}


@pytest.fixture
def entries() -> dict[str, dict[str, Any]]:
    return {
        "ink": {"kind": "lora"} | entry(INK),
        "edges": {"kind": "controlnet"} | entry(EDGES),
        "style": {"kind": "ip_adapter", "image_encoder": entry(EYES)} | entry(STYLE),
    }


def listed(entries: dict[str, dict[str, Any]], folder: Path) -> Path:
    """The list, in a folder of its own with what is not at the hub."""
    (folder / INK).parent.mkdir(parents=True, exist_ok=True)
    (folder / INK).write_bytes(FILES[INK])
    (folder / "adapters.json").write_text(json.dumps(entries))
    return folder / "adapters.json"


@pytest.fixture
def hub() -> Iterator[Hub]:
    there = {AT_HUB[path]: FILES[path] for path in AT_HUB}
    there |= {"canny/config.json": FILES["edges/config.json"], "eyes/config.json": FILES["eyes/config.json"]}
    with serving(Hub(there | {"README.md": b"# Adapters\n", "sdxl/other.bin": b"?"}, name="owner/adapters")) as hub:
        yield hub


def holds(folder: Path, file: Path) -> bool:
    """Whether the folder holds all adapters and the list and nothing else, and the renderer takes it."""
    Catalogue.read(folder / file.name).check_files()
    there = files_of(folder)
    assert there.pop(LOCK) == b""
    return there == {**FILES, file.name: file.read_bytes()}


def test_adapters_come_with_their_list_and_only_once(
    hub: Hub, tmp_path: Path, entries: dict[str, dict[str, Any]]
) -> None:
    file, folder = listed(entries, tmp_path / "list"), tmp_path / "adapters"
    said = prefetch(file, folder, hub=hub)
    assert (said.returncode, said.stdout) == (
        0,
        f"{folder} holds {file}, whole and checked; DARKROOM_ADAPTERS is {folder}/adapters.json\n",
    )
    assert holds(folder, file)
    assert len(hub.got()) == len(FILES) - 1

    hub.asked.clear()
    assert prefetch(file, folder, hub=hub).stdout.endswith("already, whole and unchanged: nothing to do\n")
    assert hub.asked == []
    # Where the list lies, too.
    assert "nothing to do" in prefetch(folder / "adapters.json", folder).stdout


def test_a_list_may_be_filled_where_it_lies_and_grow(
    hub: Hub, tmp_path: Path, entries: dict[str, dict[str, Any]]
) -> None:
    style = entries.pop("style")
    file = listed(entries, tmp_path)
    assert prefetch(file, tmp_path, hub=hub).returncode == 0
    assert STYLE not in files_of(tmp_path)
    hub.asked.clear()
    listed(entries | {"style": style}, tmp_path)
    assert prefetch(file, tmp_path, hub=hub).returncode == 0
    assert holds(tmp_path, file)
    assert {line.rpartition(COMMIT)[2] for line in hub.got()} == {
        "/sdxl/style.safetensors",
        f"/{EYES}",
        "/eyes/config.json",
    }


def test_what_was_put_into_the_folder_by_hand_may_be_listed(tmp_path: Path, entries: dict[str, dict[str, Any]]) -> None:
    folder = tmp_path / "adapters"
    listed({}, folder).unlink()
    file = tmp_path / "list.json"
    file.write_text(json.dumps({"ink": entries["ink"]}))
    assert prefetch(file, folder).returncode == 0
    Catalogue.read(folder / "list.json").check_files()
    (folder / INK).unlink()
    assert sentence(prefetch(file, folder)) == f"adapter ink: there is no {INK} in {tmp_path} or {folder}"


def test_what_was_broken_off_has_no_list_and_is_gone_on_with(
    hub: Hub, tmp_path: Path, entries: dict[str, dict[str, Any]]
) -> None:
    file, folder = listed(entries, tmp_path / "list"), tmp_path / "adapters"
    hub.stalls = AT_HUB[STYLE]
    with started(str(file), folder, hub) as process:
        assert hub.stalled.wait(180)
        process.send_signal(signal.SIGKILL)
        process.wait(180)
    there = files_of(folder).keys()
    assert there >= {INK, EDGES}
    assert there.isdisjoint({STYLE, "adapters.json"})
    hub.go_on.set()
    hub.asked.clear()
    assert prefetch(file, folder, hub=hub).returncode == 0
    assert holds(folder, file)
    assert not any("canny/diffusion" in line for line in hub.got())


def forged(hub: Hub, _entries: dict[str, dict[str, Any]]) -> None:
    hub.forged[AT_HUB[STYLE]] = FILES[STYLE][:-1] + b"?"


def forged_in_git(hub: Hub, _entries: dict[str, dict[str, Any]]) -> None:
    """The hub lists what it gives, and no sha256: the list's own is what counts."""
    hub.in_git = (AT_HUB[STYLE],)
    hub.files = {**hub.files, AT_HUB[STYLE]: FILES[STYLE][:-1] + b"?"}


def another_config(hub: Hub, _entries: dict[str, dict[str, Any]]) -> None:
    hub.forged["canny/config.json"] = b'{"_class_name": "ControlNetModeL"}'


def another_sum(_hub: Hub, entries: dict[str, dict[str, Any]]) -> None:
    entries["style"]["sha256"] = "0" * 64


def another_sum_beside(_hub: Hub, entries: dict[str, dict[str, Any]]) -> None:
    entries["ink"]["sha256"] = "0" * 64


def nowhere(hub: Hub, _entries: dict[str, dict[str, Any]]) -> None:
    hub.files = {name: content for name, content in hub.files.items() if name != AT_HUB[STYLE]}


def without_config(hub: Hub, _entries: dict[str, dict[str, Any]]) -> None:
    hub.files = {name: content for name, content in hub.files.items() if name != "canny/config.json"}


def outside(_hub: Hub, entries: dict[str, dict[str, Any]]) -> None:
    entries["style"]["path"] = "../style.safetensors"


def in_one_folder(_hub: Hub, entries: dict[str, dict[str, Any]]) -> None:
    entries["style"]["image_encoder"]["path"] = "edges/model.safetensors"


def another_kind(_hub: Hub, entries: dict[str, dict[str, Any]]) -> None:
    entries["style"] = {"kind": "lora"} | entry(STYLE)


def no_commit(_hub: Hub, entries: dict[str, dict[str, Any]]) -> None:
    entries["style"]["hub"] = "owner/adapters@main/sdxl/style.safetensors"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (forged, f"{STYLE} from {{list}} is not what is listed there, "),
        (forged_in_git, f"{STYLE} from {{list}} is not what is listed there, "),
        (another_config, "edges/config.json from {list} is not what is listed there, "),
        (another_sum, f"adapter style: sdxl/style.safetensors in owner/adapters at {COMMIT} has the sha256 "),
        (another_sum_beside, f"adapter ink: {INK} in {{folder}} or {{adapters}} has the sha256 "),
        (nowhere, f"adapter style: there is no sdxl/style.safetensors in owner/adapters at {COMMIT}"),
        (without_config, f"adapter edges: there is no canny/config.json in owner/adapters at {COMMIT}"),
        (outside, "adapter style: its path leads out of the list's folder"),
        (in_one_folder, "adapter style: its edges/config.json is another than one listed before it"),
        (another_kind, "adapter style: {adapters}/style.safetensors is no LoRA"),
        (no_commit, "adapters {list}: style.ip_adapter.hub: must be owner/name@commit/file, with the 40 hex digits"),
    ],
)
def test_what_is_not_what_the_list_says_is_told_in_one_sentence_and_no_list_comes(
    hub: Hub, tmp_path: Path, entries: dict[str, dict[str, Any]], fault: Any, expected: str
) -> None:
    fault(hub, entries)
    file, folder = listed(entries, tmp_path / "list"), tmp_path / "adapters"
    said = sentence(prefetch(file, folder, hub=hub))
    assert said.startswith(expected.format(list=file, folder=file.parent, adapters=folder))
    assert not (folder / "adapters.json").exists()


def test_a_models_folder_takes_no_adapters(hub: Hub, tmp_path: Path, entries: dict[str, dict[str, Any]]) -> None:
    file, folder = listed(entries, tmp_path / "list"), tmp_path / "model"
    folder.mkdir()
    (folder / "SHA256SUMS").touch()
    assert "holds a model" in sentence(prefetch(file, folder, hub=hub))
    assert hub.asked == []
    assert "cannot be read: No such file" in sentence(prefetch(tmp_path / "other.json", folder))
