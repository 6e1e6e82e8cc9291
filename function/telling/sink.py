"""The sink: where events are POSTed, as Knative's SinkBinding names it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Final, Protocol

import urllib3

from events.envelope import write
from function.config import WrongSettings
from function.errors import SinkDown, SinkRefused

# Seconds.
PATIENCE: Final = 30.0
CONNECT: Final = 5.0
# Knative's 4xx that ask for the same event again: missing yet, too slow, in progress, too many.
LATER: Final = frozenset({404, 408, 409, 429})


class Sink(Protocol):
    def tell(self, event: Mapping[str, Any]) -> None:
        """Deliver a CloudEvent in its JSON form; `SinkDown` if it was not taken, `SinkRefused` if it never will be."""


class _Retry(urllib3.Retry):
    def increment(self, *details: Any, **more: Any) -> urllib3.Retry:  # type: ignore[override]  # handed on as it is
        # A sink that was silent for so long has had its time; whoever waits for us has none left for three of them.
        if isinstance(error := more.get("error"), urllib3.exceptions.ReadTimeoutError):
            raise error
        return super().increment(*details, **more)


class HttpSink:
    """An HTTP sink (`K_SINK`) with the extensions of `K_CE_OVERRIDES` and the certificates of `K_CA_CERTS`.

    `token` is for a door of ours that asks for one; `patience` in seconds.
    """

    def __init__(
        self,
        url: str,
        overrides: Mapping[str, str],
        ca_certs: str | None = None,
        *,
        connections: int = 1,
        patience: float = PATIENCE,
        token: str | None = None,
    ) -> None:
        self._url = url
        self._overrides = dict(overrides)
        self._authorization = {"Authorization": f"Bearer {token}"} if token else {}
        context = ssl.create_default_context()
        if ca_certs:
            try:
                context.load_verify_locations(cadata=ca_certs)
            except ssl.SSLError as error:
                raise WrongSettings("K_CA_CERTS: must be certificates in PEM") from error
        # A POST may be repeated: an outcome's id makes it recognisable as the same.
        retries = _Retry(
            total=2,
            allowed_methods=None,
            status_forcelist=(429, 502, 503, 504),
            backoff_factor=0.2,
            redirect=0,
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        self._pool = urllib3.PoolManager(
            ssl_context=context,
            timeout=urllib3.Timeout(connect=CONNECT, read=patience),
            retries=retries,
            maxsize=connections,
        )

    def ask(self, event: Mapping[str, Any]) -> urllib3.BaseHTTPResponse:
        """What the sink answers, whatever it is; `SinkDown` if it does not."""
        headers, body = write({**event, **self._overrides})
        try:
            return self._pool.request("POST", self._url, body=body, headers=headers | self._authorization)
        except urllib3.exceptions.HTTPError as error:
            raise SinkDown(f"the sink does not answer: {type(error).__name__}") from error

    def tell(self, event: Mapping[str, Any]) -> None:
        answer = self.ask(event)
        if not 200 <= answer.status < 300:
            refused = 400 <= answer.status < 500 and answer.status not in LATER
            kind = SinkRefused if refused else SinkDown
            raise kind(f"the sink answered {answer.status}")
