"""The prompt: what a user asks to be drawn, in diffusers' own words."""

from __future__ import annotations

from events.prompt.delivery import Output
from events.prompt.fields import Prompt
from events.prompt.hashing import canonical, prompt_hash
from events.prompt.sources import Input
from events.prompt.validation import MAX_FAULTS, Fault, InvalidPrompt, faults_of, sentence, validate

__all__ = [
    "MAX_FAULTS",
    "Fault",
    "Input",
    "InvalidPrompt",
    "Output",
    "Prompt",
    "canonical",
    "faults_of",
    "prompt_hash",
    "sentence",
    "validate",
]
