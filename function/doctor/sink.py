"""The sink, asked what stores no event."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

from function.config import Settings
from function.doctor.cluster import Cluster
from function.doctor.finding import ANSWER, Check, Finding

ANSWERS = Check(
    "sink-answers",
    "`K_SINK` answers OPTIONS: a server is there, though whether it takes events is not proven",
    "the Broker or the SinkBinding that the sentence is about",
)
_REFUSALS: Final = (401, 403, 407)


class Sink:
    """Where outcomes and announcements are POSTed to."""

    name = "sink"
    checks = (ANSWERS,)
    seconds = 10.0

    def __init__(self, settings: Settings, cluster: Cluster, answer: float = ANSWER) -> None:
        self._settings = settings
        self._cluster = cluster
        self._answer = answer

    def run(self) -> Iterator[Finding]:
        if not self._settings.sink:
            yield ANSWERS.skipped("K_SINK is not set here; SinkBindings set it in the pods of intake and sweep")
            return
        import urllib3

        url = urllib3.util.parse_url(self._settings.sink)
        # What else is in it may be secret.
        where = f"the sink at {url.scheme}://{url.netloc}{url.path or ''}"
        mend = f"kubectl --namespace {self._cluster.namespace} get brokers,sinkbindings  # its URL is K_SINK"
        # As the servers do it: beside those that the machine trusts.
        context = ssl.create_default_context()
        try:
            if self._settings.ca_certs:
                context.load_verify_locations(cadata=self._settings.ca_certs)
        except ssl.SSLError:
            yield ANSWERS.wrong("K_CA_CERTS holds no certificates in PEM", mend)
            return
        with urllib3.PoolManager(ssl_context=context, timeout=self._answer, retries=False) as pool:
            try:
                # Of all methods the one that no server takes for an event.
                status = pool.request("OPTIONS", self._settings.sink, redirect=False).status
            except urllib3.exceptions.HTTPError as error:
                yield ANSWERS.wrong(f"{where} does not answer: {type(error).__name__}", mend)
                return
        # 501 is how some say that they do not know the method.
        if status == 404 or (status >= 500 and status != 501):
            yield ANSWERS.wrong(f"{where} answers OPTIONS with {status}", mend)
        elif status in _REFUSALS:
            yield ANSWERS.unknown(f"{where} answers OPTIONS with {status}: it, or a proxy, may refuse events as well")
        else:
            yield ANSWERS.ok(f"{where} answers OPTIONS with {status}; that it takes events is not proven by that")
