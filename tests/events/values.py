"""Values of which hypothesis makes up examples."""

from __future__ import annotations

import json
from typing import Final

from hypothesis import strategies as st


def _as_read(text: str) -> str:
    """Halves of a surrogate pair that stand together are one character once they were JSON."""
    read: str = json.loads(json.dumps(text))
    return read


# Every string that JSON can name, lone halves of surrogate pairs included.
TEXT: Final = st.text(st.characters(), max_size=20).map(_as_read)
SCALARS: Final = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
