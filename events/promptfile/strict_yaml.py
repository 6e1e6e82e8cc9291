"""YAML as far as it says what JSON can say: the core schema of version 1.2, and nothing that refers or multiplies."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from events.envelope import MAX_NESTING
from events.prompt import Fault
from events.promptfile.written import InvalidPromptFile

# libyaml, which comes with PyYAML's wheels, is many times faster than PyYAML's own parser.
FASTEST: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# YAML 1.2.2, section 10.3.2. PyYAML resolves as 1.1 does, to which `no` is false and 12:30 is 750.
NULL: Final = re.compile(r"null|Null|NULL|~|")
BOOLEAN: Final = re.compile(r"true|True|TRUE|false|False|FALSE")
INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
# Digits: far from those that Python refuses to write.
LONGEST_INTEGER: Final = 1000
TAG_DIRECTIVE: Final = re.compile("^%TAG", re.MULTILINE)
QUOTED: Final = re.compile("'([^']*)'")
SURROGATE: Final = re.compile("[\ud800-\udfff]")


def decode_yaml(text: str, loader: Any = FASTEST) -> object:
    """The JSON value in a YAML document, None also where there is none; `InvalidPromptFile` names the line."""
    if tag := TAG_DIRECTIVE.search(text):
        # libyaml compares each with all before it, so that a file of them would take its square.
        line = text.count("\n", 0, tag.start()) + 1
        raise InvalidPromptFile([Fault(f"line {line}", "tags are not known")])
    try:
        return _document(yaml.parse(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        # PyYAML's own parser repeats what it met; libyaml repeats single characters at most.
        problem = QUOTED.sub(
            lambda found: found[0] if len(found[1]) == 1 else "what is there", error.problem or "it cannot be read"
        )
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}" if mark else ""
        raise InvalidPromptFile([Fault(where, f"is not YAML: {problem}")]) from None
    except yaml.YAMLError:
        raise InvalidPromptFile([Fault("", "the file holds a character that YAML does not allow")]) from None


def _document(events: Iterator[Any]) -> object:
    value, documents = None, 0
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if documents:
                raise _refusal(event, "only one document is read; put the prompts into a list")
            value, documents = _value(next(events), events, MAX_NESTING), 1
    return value


def _value(event: Any, events: Iterator[Any], levels: int) -> object:
    if isinstance(event, yaml.AliasEvent):
        raise _refusal(event, "aliases are not followed; what prompts have in common goes into `defaults`")
    if event.tag is not None:
        raise _refusal(event, "tags are not known; a text that looks like something else goes into quotes")
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event)
    if not levels:
        raise _refusal(event, "there are too many lists and mappings in each other")
    if isinstance(event, yaml.SequenceStartEvent):
        values = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            values.append(_value(event, events, levels - 1))
        return values
    mapping: dict[str, object] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        name = _value(event, events, levels - 1)
        if not isinstance(name, str):
            raise _refusal(event, "a field's name must be text; put it into quotes")
        if name in mapping:
            raise _refusal(event, "there are two fields of this name")
        mapping[name] = _value(next(events), events, levels - 1)
    return mapping


def _scalar(event: Any) -> object:
    text: str = event.value
    plain, _ = event.implicit
    if not plain:
        if SURROGATE.search(text):
            raise _refusal(event, "half of a surrogate pair is no character")
        return text
    if NULL.fullmatch(text):
        return None
    if BOOLEAN.fullmatch(text):
        return text.lower() == "true"
    if INTEGER.fullmatch(text):
        if len(text) > LONGEST_INTEGER:
            raise _refusal(event, "a number is too large")
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if NO_NUMBER.fullmatch(text) or (FLOAT.fullmatch(text) and math.isinf(float(text))):
        raise _refusal(event, "infinity and NaN are no numbers of JSON")
    return float(text) if FLOAT.fullmatch(text) else text


def _refusal(event: Any, message: str) -> InvalidPromptFile:
    return InvalidPromptFile([Fault(f"line {event.start_mark.line + 1}", message)])
