"""Renderings with one fault each: what no check may let pass."""

from __future__ import annotations

from typing import Final

from tests.manifests.broken.broken import Broken
from tests.manifests.broken.eventing import EVENTING
from tests.manifests.broken.network import NETWORK
from tests.manifests.broken.pods import PODS
from tests.manifests.broken.references import REFERENCES
from tests.manifests.broken.refused import REFUSED
from tests.manifests.broken.schemas import SCHEMAS
from tests.manifests.broken.serving import SERVING

__all__ = ["BROKEN", "REFUSED", "Broken"]

BROKEN: Final = (*REFUSED, *SCHEMAS, *SERVING, *EVENTING, *PODS, *REFERENCES, *NETWORK)
