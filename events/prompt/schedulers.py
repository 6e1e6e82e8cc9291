"""The schedulers that a prompt may name, what each can be told, and what A1111's names for them mean."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from events.prompt.field_group import FieldGroup

# Each says where the steps lie, so that there is one of them at most.
SIGMAS: Final = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
_SPACED: Final = frozenset({*SIGMAS, "timestep_spacing"})


class SchedulerConfig(FieldGroup):
    """What a scheduler is told beside the model's own settings for it; each class takes only some of these."""

    use_karras_sigmas: bool | None = Field(None, description="steps closer together towards the end, as Karras et al.")
    use_exponential_sigmas: bool | None = Field(None, description="steps whose noise falls exponentially")
    use_beta_sigmas: bool | None = Field(None, description="steps closer together at both ends, as Lee et al.")
    timestep_spacing: Literal["linspace", "leading", "trailing"] | None = Field(
        None, description="where the steps lie; trailing begins at pure noise, as models for few steps want it"
    )
    algorithm_type: Literal["dpmsolver++", "sde-dpmsolver++"] | None = Field(
        None, description="with sde- noise is added in each step"
    )
    solver_order: Literal[1, 2, 3] | None = Field(None, description="how many steps back it looks")
    solver_type: Literal["midpoint", "heun"] | None = Field(None, description="how a step of the second order is made")

    def told(self) -> dict[str, Any]:
        """What was given."""
        return self.model_dump(exclude_none=True)


@dataclass(frozen=True, slots=True)
class Kind:
    """What one of diffusers' classes takes: settings, lists of steps, how many at most, whether it begins midway."""

    settings: frozenset[str] = frozenset()
    timesteps: bool = False
    sigmas: bool = False
    most_steps: int | None = None
    midway: bool = True


# Not among them: those that are a model's own or none (EDM's, for a UNet that was trained with them), the one whose
# noise no seed repeats (DPMSolverSDE, of torchsde), and those of other pipelines.
KINDS: Final[Mapping[str, Kind]] = {
    "DDIMScheduler": Kind(frozenset({"timestep_spacing"})),
    "DDPMScheduler": Kind(frozenset({"timestep_spacing"}), timesteps=True),
    "DEISMultistepScheduler": Kind(_SPACED | {"solver_order"}),
    "DPMSolverMultistepScheduler": Kind(_SPACED | {"algorithm_type", "solver_order", "solver_type"}, timesteps=True),
    "DPMSolverSinglestepScheduler": Kind(
        frozenset({*SIGMAS, "algorithm_type", "solver_order", "solver_type"}), timesteps=True
    ),
    "EulerAncestralDiscreteScheduler": Kind(frozenset({"timestep_spacing"})),
    "EulerDiscreteScheduler": Kind(_SPACED, timesteps=True, sigmas=True),
    "HeunDiscreteScheduler": Kind(_SPACED, timesteps=True),
    "KDPM2AncestralDiscreteScheduler": Kind(_SPACED),
    "KDPM2DiscreteScheduler": Kind(_SPACED),
    # These two choose among the steps that a model was distilled with.
    "LCMScheduler": Kind(timesteps=True, most_steps=50),
    # Midway, diffusers reckons with steps before the first that were never made.
    "LMSDiscreteScheduler": Kind(_SPACED, midway=False),
    "PNDMScheduler": Kind(frozenset({"timestep_spacing"})),
    "TCDScheduler": Kind(timesteps=True, most_steps=50),
    # Its other solver_type, bh1, gives NaN where the noise ends at 0.
    "UniPCMultistepScheduler": Kind(_SPACED | {"solver_order"}),
}

_DPM: Final = {"algorithm_type": "dpmsolver++", "solver_order": 2, "solver_type": "midpoint"}
_SDE: Final = _DPM | {"algorithm_type": "sde-dpmsolver++"}

_SAMPLERS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "DDIM": ("DDIMScheduler", {}),
    "DPM++ 2M": ("DPMSolverMultistepScheduler", _DPM),
    "DPM++ 2M SDE": ("DPMSolverMultistepScheduler", _SDE),
    "DPM++ 2M SDE Heun": ("DPMSolverMultistepScheduler", _SDE | {"solver_type": "heun"}),
    "DPM++ 3M SDE": ("DPMSolverMultistepScheduler", _SDE | {"solver_order": 3}),
    "DPM++ SDE": ("DPMSolverSinglestepScheduler", _SDE),
    "DPM2": ("KDPM2DiscreteScheduler", {}),
    "DPM2 a": ("KDPM2AncestralDiscreteScheduler", {}),
    "Euler": ("EulerDiscreteScheduler", {}),
    "Euler a": ("EulerAncestralDiscreteScheduler", {}),
    "Heun": ("HeunDiscreteScheduler", {}),
    "LCM": ("LCMScheduler", {}),
    "LMS": ("LMSDiscreteScheduler", {}),
    "PLMS": ("PNDMScheduler", {}),
    "UniPC": ("UniPCMultistepScheduler", {}),
}
_SCHEDULES: Final = dict(zip(("", " Karras", " Exponential", " Beta"), (None, *SIGMAS), strict=True))


def _names_of_a1111() -> dict[str, tuple[str, Mapping[str, Any]]]:
    names: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for sampler, (kind, told) in _SAMPLERS.items():
        if KINDS[kind].settings.issuperset(SIGMAS):
            for schedule, chosen in _SCHEDULES.items():
                names[sampler + schedule] = kind, {**{name: name == chosen for name in SIGMAS}, **told}
        else:
            names[sampler] = kind, told
    return names


# Each name, as diffusers and as A1111 has it, with the class and what that is told.
NAMES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {name: (name, {}) for name in KINDS} | _names_of_a1111()


def _known(name: str) -> str:
    if name not in NAMES:
        small = {known.lower(): known for known in NAMES}
        near = [small[found] for found in difflib.get_close_matches(name[:100].lower(), small, n=5, cutoff=0.5)]
        if near:
            raise ValueError(f"there is no such scheduler; did you mean {' or '.join(near)}?")
        raise ValueError(f"there is no such scheduler; there are {', '.join((*KINDS, *_SAMPLERS))}")
    return name


SchedulerName = Annotated[str, Field(json_schema_extra={"enum": list(NAMES)}), AfterValidator(_known)]


def settled(name: str, config: SchedulerConfig | None) -> tuple[str, dict[str, Any]]:
    """The class that `name` means, and all that it is told: what the name implies, and `config` over it."""
    kind, implied = NAMES.get(name, (name, {}))
    given = config.told() if config else {}
    return kind, {**implied, **given}


def misfit(kind: str, told: Mapping[str, Any]) -> str | None:
    """Why a scheduler of this class cannot be told that, for the field `scheduler_config`; None if it can."""
    takes = KINDS.get(kind, Kind())
    if foreign := [name for name in told if name not in takes.settings]:
        return f"{kind} has no {' and no '.join(foreign)}; {_having(takes.settings)}"
    sigmas = _sigmas(told)
    return f"{_list(sigmas)} exclude each other" if len(sigmas) > 1 else None


def unlisted(kind: str, what: Literal["timesteps", "sigmas"], told: Mapping[str, Any]) -> str | None:
    """Why a scheduler of this class takes no list of `what`; None if it does."""
    if not getattr(KINDS.get(kind, Kind()), what):
        takers = [name for name, takes in KINDS.items() if getattr(takes, what)]
        return f"{kind} takes none; {_list(takers)} {'do' if len(takers) > 1 else 'does'}"
    if sigmas := _sigmas(told):
        return f"says where the steps lie, as {sigmas[0]} does; give one of them"
    return None


def too_many(kind: str, steps: int) -> str | None:
    """Why a scheduler of this class cannot take so many steps; None if it can."""
    most = KINDS.get(kind, Kind()).most_steps
    return f"{kind} takes at most {most}" if most and steps > most else None


def only_from_noise(kind: str) -> str | None:
    """Why a scheduler of this class cannot go on from a picture or from another model's steps; None if it can."""
    return None if KINDS.get(kind, Kind()).midway else f"{kind} can only begin at noise; choose another scheduler"


def _sigmas(told: Mapping[str, Any]) -> list[str]:
    return [name for name in SIGMAS if told.get(name)]


def _having(settings: frozenset[str]) -> str:
    return f"it has {_list(sorted(settings))}" if settings else "it has no settings"


def _list(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
