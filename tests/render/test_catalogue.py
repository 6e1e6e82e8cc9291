"""Which adapters there are, and what is wrong with a list or with a file, told before it is used."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from events.prompt import validate
from function.errors import Lacking
from function.render.adapters.catalogue import Catalogue
from function.render.adapters.kept import Kept
from function.render.weights import ModelUnavailable

PICTURE = "s3://inputs/a.png"
AT_HUB = f"owner/name@{'0' * 40}/ink.safetensors"
Entries = dict[str, dict[str, Any]]


@pytest.fixture
def folder(installed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(installed.parent, tmp_path / "adapters"))


def changed(folder: Path, change: Callable[[Entries], Any]) -> Path:
    file = folder / "adapters.json"
    entries: Entries = json.loads(file.read_text())
    change(entries)
    file.write_text(json.dumps(entries))
    return file


def test_what_is_installed_is_found_whole(installed: Path) -> None:
    Catalogue.read(installed).check_files()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"loras": [{"name": "ink"}, {"name": "chalk"}]},
            r"loras\.1\.name: .* none of that name; there are ink, oil\.v1, a,",
        ),
        ({"loras": [{"name": "edges"}]}, r"loras\.0\.name: "),
        ({"controlnets": [{"name": "ink", "image": PICTURE}]}, r"controlnets\.0\.name: .*; there are edges, depth$"),
        ({"ip_adapters": [{"name": "x", "image": PICTURE}]}, r"ip_adapters\.0\.name: .*; there are style, parts$"),
    ],
    ids=str,
)
def test_what_is_not_installed_is_refused_with_what_is(installed: Path, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Lacking, match=sentence):
        Catalogue.read(installed).check(validate({"prompt": "a star"} | fields))


def test_without_a_list_there_is_nothing(installed: Path) -> None:
    prompt = validate({"prompt": "a star", "loras": [{"name": "ink"}]})
    Catalogue.read(installed).check(prompt)
    with pytest.raises(Lacking, match=r"there are none$"):
        Catalogue().check(prompt)


def test_ip_adapters_with_different_eyes_are_refused_together(folder: Path) -> None:
    def with_another(change: dict[str, str]) -> Catalogue:
        return Catalogue.read(changed(folder, lambda entries: entries["style"]["image_encoder"].update(change)))

    both = [{"name": "style", "image": PICTURE}, {"name": "parts", "image": PICTURE}]
    with_another({"path": "./image_encoder/model.safetensors"}).check(validate({"prompt": "a", "ip_adapters": both}))
    catalogue = with_another({"sha256": "0" * 64})
    with pytest.raises(Lacking, match="different image encoders"):
        catalogue.check(validate({"prompt": "a star", "ip_adapters": both}))
    catalogue.check(validate({"prompt": "a star", "ip_adapters": both[:1]}))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "Invalid JSON"),
        ('{"ink": {"kind": "lora"}}', "ink.lora.path: Field required"),
        ('{"ink": {"kind": "hypernet"}}', "ink: Input tag 'hypernet'"),
        ('{"../ink": {"kind": "lora"}}', "../ink"),
        ('{"ink": {"kind": "lora", "path": "a.safetensors", "sha256": "00"}}', "ink.lora.sha256: must be a sha256"),
        ('{"ink": {"kind": "lora", "path": "ink.ckpt"}}', "ink.lora.path: must be a *.safetensors; other formats can"),
    ],
)
def test_a_list_that_cannot_be_read_says_where(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "adapters.json"
    file.write_text(text)
    with pytest.raises(ModelUnavailable) as refusal:
        Catalogue.read(file)
    assert sentence in str(refusal.value)
    with pytest.raises(ModelUnavailable, match="cannot be read: No such file"):
        Catalogue.read(tmp_path / "other.json")


def _flip(file: Path) -> None:
    body = bytearray(file.read_bytes())
    body[-1] ^= 1
    file.write_bytes(bytes(body))


def _rename_tensors(file: Path, old: str, new: str) -> None:
    from safetensors.torch import load_file, save_file

    save_file({name.replace(old, new): tensor for name, tensor in load_file(file).items()}, file)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda folder: _flip(folder / "ink.safetensors"), r"adapter ink: .* has the sha256 [0-9a-f]{64}; write that"),
        (lambda folder: (folder / "oil.safetensors").unlink(), r"adapter oil\.v1: .* cannot be read"),
        (lambda folder: (folder / "oil.safetensors").write_bytes(b"\x80\x04pickle"), r"adapter oil\.v1: .* is no LoRA"),
        (lambda folder: _rename_tensors(folder / "ink.safetensors", "lora_A", "dora_scale"), "more than a plain LoRA"),
        (lambda folder: (folder / "edges" / "config.json").unlink(), r"adapter edges: .* no config\.json"),
        (
            lambda folder: (folder / "edges" / "config.json").write_text('{"_class_name": "ControlNetUnionModel"}'),
            "adapter edges: .* _class_name is not ControlNetModel",
        ),
        (
            lambda folder: _flip(folder / "depth" / "diffusion_pytorch_model.safetensors"),
            "adapter depth: .* the sha256",
        ),
        (lambda folder: _flip(folder / "image_encoder" / "model.safetensors"), "adapter style: .* the sha256"),
        (
            lambda folder: _rename_tensors(folder / "style.safetensors", "image_proj.proj.", "image_proj.norm."),
            "adapter style: .* for a face's measures",
        ),
        (
            lambda folder: changed(folder, lambda entries: entries["ink"].update(path="i.safetensors", hub=AT_HUB)),
            r"adapter ink: .*/i\.safetensors cannot be read: No such .*; `darkroom prefetch` of the list fetches it$",
        ),
    ],
)
def test_a_file_that_is_not_what_the_list_says_is_refused(
    folder: Path, harm: Callable[[Path], Any], sentence: str
) -> None:
    harm(folder)
    with pytest.raises(ModelUnavailable, match=sentence):
        Catalogue.read(folder / "adapters.json").check_files()


def test_what_was_used_last_stays_as_far_as_there_is_room() -> None:
    loaded: list[str] = []
    dropped: list[str] = []
    kept = Kept(room=10)

    def prompt(*wanted: tuple[str, int]) -> None:
        with kept.during_a_prompt() as take:
            for name, size in wanted:
                take(name, size, partial(loaded.append, name), partial(dropped.append, name))

    prompt(("a", 4), ("b", 4))
    prompt(("a", 4))
    assert (loaded, dropped) == (["a", "b"], [])
    # b has waited longer than a.
    prompt(("c", 4))
    assert dropped == ["b"]
    # More than there is room for: all of it for the prompt, and after it what was used last and fits.
    prompt(("c", 4), ("d", 9))
    assert (loaded, dropped) == (["a", "b", "c", "d"], ["b", "a", "c"])
    prompt(("d", 9))
    assert loaded == ["a", "b", "c", "d"]


def test_what_a_prompt_has_taken_stays_to_its_end() -> None:
    dropped: list[str] = []
    with Kept(room=0).during_a_prompt() as take:
        for name in ("a", "b"):
            take(name, 1, lambda: None, partial(dropped.append, name))
        assert dropped == []
    assert dropped == ["a", "b"]


def test_what_cannot_be_loaded_is_not_kept() -> None:
    kept = Kept(room=10)

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), kept.during_a_prompt() as take:
        take("a", 1, fail)
    with kept.during_a_prompt() as take:
        assert take("a", 1, lambda: "loaded") == "loaded"
