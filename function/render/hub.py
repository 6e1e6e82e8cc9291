"""A model at the hub, or at a mirror in HF_ENDPOINT: what it consists of, and its files, one at a time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, cast
from urllib.parse import urlsplit

from function.render import Model
from function.render.fetching import Away, Listed
from function.render.weights import HUB, ModelUnavailable

# The library reads these when it is imported. Xet asks further hosts, and keeps a cache outside of the folder; notes of
# retries would run through the bar, and name URLs in which a mirror's password may be.
_QUIET: Final = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_XET": "1", "HF_HUB_VERBOSITY": "critical"}
_REST: Final = "it fetches the files that are missing"


class HubFiles:
    """The files of a pinned hub model. Its token is the library's own affair: HF_TOKEN, or that of `hf auth login`."""

    def __init__(self, model: Model) -> None:
        if not _is_url(os.environ.get("HF_ENDPOINT", HUB)):
            raise ModelUnavailable(
                "HF_ENDPOINT must be a URL such as https://huggingface.co; in a password %2F stands for / and %23 for #"
            )
        os.environ.update(_QUIET)
        self._model = model
        self.name, self.revision = model.name, model.revision

    def listing(self) -> Mapping[str, Listed]:
        from huggingface_hub import HfApi

        with _told(self._model):
            found = HfApi().model_info(self._model.name, revision=self._model.revision, files_metadata=True)
        files = found.siblings or ()
        for file in files:
            if file.lfs is None and None in (file.size, file.blob_id):
                raise ModelUnavailable(
                    f"{HUB} lists no sum of {file.rfilename} in model {self.name}, so nobody could tell whether it "
                    "came whole: fetch it by other means, and have prefetch copy that directory"
                )
        return {file.rfilename: _listed(file) for file in files}

    def fetch(self, name: str, folder: Path, seen: Callable[[int], None]) -> None:
        """Bring one file into `folder`; `seen` is told of bytes as they come.

        The library goes on in mid-file where a connection ends early, and keeps nothing of a file that it gives up.
        """
        from huggingface_hub import hf_hub_download

        with _told(self._model):
            hf_hub_download(
                self._model.name,
                name,
                revision=self._model.revision,
                local_dir=folder,
                tqdm_class=cast("Any", partial(_Counter, seen)),
            )


def _is_url(text: str) -> bool:
    """The library falls over a port that is none with a traceback, which then shows the beginning of a password."""
    try:
        url = urlsplit(text)
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _listed(file: Any) -> Listed:
    """What is in git LFS comes with its sha256; of what is in git itself, small weights too, git's sum is known."""
    return Listed(file.lfs.size, file.lfs.sha256) if file.lfs else Listed(file.size, file.blob_id)


class _Counter:
    """What the library takes for a progress bar."""

    def __init__(self, seen: Callable[[int], None], **_: object) -> None:
        self.update = seen

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@contextmanager
def _told(model: Model) -> Iterator[None]:
    """Turns what the library and its HTTP client raise into one sentence; a full disk stays what it is."""
    from huggingface_hub import errors

    page = f"{HUB}/{model.name}"
    try:
        yield
    except errors.GatedRepoError as error:
        raise ModelUnavailable(
            f"model {model.name} is gated: accept its terms at {page}, and set HF_TOKEN to a token of that account"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelUnavailable(
            f"model {model.name} is not at {HUB}, or not for everybody: check the name, "
            "and if it is private set HF_TOKEN to a token that may read it"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelUnavailable(
            f"model {model.name} has no commit {model.revision}; {page}/commits/main lists those it has"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise ModelUnavailable(
            "HF_HUB_OFFLINE is set, and prefetch is what fetches: run it without that variable"
        ) from error
    except errors.HfHubHTTPError as error:
        raise _answered(model, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _away(error) from error
    except Exception as error:
        # Its HTTP client's own errors have no base here that could be named without that client.
        raise _away(error) from error


def _answered(model: Model, error: Any) -> ModelUnavailable:
    status = error.response.status_code
    if status in (401, 403):
        return ModelUnavailable(
            f"{HUB} answered {status} for model {model.name}: HF_TOKEN is not valid, or may not read it"
        )
    return Away(f"{HUB} answered {status} for model {model.name}; run the same again later, {_REST}")


def _away(error: BaseException) -> Away:
    while error.__cause__ is not None:
        error = error.__cause__
    # httpx names the whole URL, in which a mirror's password may be.
    reason = re.sub(r"(\w+://)[^\s/'\"]*@", r"\1", " ".join((str(error) or type(error).__name__).split()))
    return Away(
        f"{HUB} cannot be reached or broke off ({reason}): check the network, HTTPS_PROXY and HF_ENDPOINT, "
        f"and run the same again; {_REST}"
    )
