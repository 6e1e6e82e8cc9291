"""Kafka, installed by install_kafka.sh: one node that is broker and controller."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from function.demo.process import Child, ChildFailed, free_ports
from function.demo.s3server import ServerAbsent

# A small heap, and a start that does not wait for the optimiser.
_JVM: Final = ("-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
_QUIET: Final = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"


class Kafka:
    """A real Kafka on 127.0.0.1, a child process that keeps all its files in `folder`.

    Its address is known before it starts and stays the same when it is stopped and started again. A topic that is
    missing comes into being with the first record. Start it from a thread that outlives it.
    """

    jars: ClassVar[Path] = Path(__file__).parents[2] / ".cache" / "kafka"
    patience: ClassVar[float] = 90  # seconds to become ready: 4 on an idle machine

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._broker, self._controller = (f"127.0.0.1:{port}" for port in free_ports(2))
        self._child: Child | None = None

    @property
    def bootstrap(self) -> str:
        """Where clients connect, as `host:port`."""
        return self._broker

    @property
    def pid(self) -> int | None:
        """The id of the server's process while there is one."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Starts the server and returns when it answers clients."""
        java = self._java()
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "server.properties"
        settings.write_text(self._settings(), "utf-8")
        if not (self.folder / "data" / "meta.properties").exists():
            self._format(java, settings)
        self._child = Child(
            "Kafka",
            [java, *_JVM, _QUIET, "-cp", f"{self.jars}/*", "kafka.Kafka", settings],
            folder=self.folder,
            log=self.folder / "kafka.log",
            environment=self._environment,
        )
        try:
            self._child.wait_until_ready(
                lambda: AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).list_topics(timeout=1),
                seconds=self.patience,
                retry_on=(KafkaException,),
            )
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Ends the server's process; its files stay."""
        if self._child:
            self._child.stop()
            self._child = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def with_tools(self) -> dict[str, str]:
        """An environment with `kafka-console-producer.sh` on its PATH, as it is where Kafka's distribution is."""
        command = shlex.join([self._java(), *_JVM, _QUIET, "-cp", f"{self.jars}/*"])
        tool = self.folder / "bin" / "kafka-console-producer.sh"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f'#!/bin/sh\nexec {command} org.apache.kafka.tools.ConsoleProducer "$@"\n', "utf-8")
        tool.chmod(0o755)
        return self._environment | {"PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}"}

    @property
    def _environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder), "PATH": os.environ["PATH"]}

    def _java(self) -> str:
        java = shutil.which("java")
        if not java or not (self.jars / "pom.xml").is_file():
            what = "is not at" if java else "needs java on the PATH beside"
            raise ServerAbsent(f"Kafka {what} {self.jars}: with a JDK and Maven, run tests/servers/install_kafka.sh")
        return java

    def _format(self, java: str, settings: Path) -> None:
        tool = [java, *_JVM, "-cp", f"{self.jars}/*", "kafka.tools.StorageTool"]
        command = [*tool, "format", "--cluster-id", "ZGFya3Jvb20tdGVzdHMtMQ", "--config", str(settings)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise ChildFailed(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")

    def _settings(self) -> str:
        return f"""
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{self._controller}
listeners=PLAINTEXT://{self._broker},CONTROLLER://{self._controller}
controller.listener.names=CONTROLLER
log.dirs={self.folder / "data"}
auto.create.topics.enable=true
num.partitions=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=2097152
"""
