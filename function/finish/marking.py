"""The mark: each file says that a model made it, in XMP, and signed where there is a certificate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from function.config import Settings, WrongSettings, variables
from function.finish.xmp import SourceType, packet

if TYPE_CHECKING:
    from function.finish.credentials import Signer


class Marker:
    """Says in a file that a model made it: `xmp` as it is encoded, and called on its bytes, last of all, the signature.

    Whoever writes to the file after that breaks the signature.
    """

    def __init__(self, *, xmp: bool = True, signer: Signer | None = None) -> None:
        self._xmp = xmp
        self._signer = signer

    def check(self) -> None:
        """Raises `Unmarked` when no file could be signed now."""
        if self._signer:
            self._signer.check()

    def xmp(self, source: SourceType) -> str | None:
        """The XMP packet that the encoder puts into the file, if there is to be one."""
        return packet(source) if self._xmp else None

    def __call__(self, body: bytes, media_type: str, source: SourceType) -> bytes:
        """The file, signed if it is to be; `Unmarked` when that fails."""
        return self._signer.sign(body, media_type, source) if self._signer else body


def marker_for(settings: Settings) -> Marker:
    """What the settings ask for, tried; `WrongSettings` where that is impossible."""
    if settings.mark == "none":
        return Marker(xmp=False)
    names = variables()
    files = {names[field]: getattr(settings, field) for field in ("c2pa_certificate", "c2pa_key")}
    missing = " and ".join(name for name, path in files.items() if not path)
    if not any(files.values()):
        if settings.mark == "c2pa":
            raise WrongSettings(f"{names['mark']} is c2pa, and {missing} are not set")
        return Marker()
    if missing:
        raise WrongSettings(f"{missing} is not set; a certificate signs with its key")
    # Here, because it takes half a second, and most installations have no certificate.
    from function.finish.credentials import Signer

    return Marker(signer=Signer.of_files(*(Path(path) for path in files.values())))
