"""The web server and the worker as child processes that stop together with the command."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable

from unitscope.embedded import ROOT, ServiceError, data_folder

STOP_SECONDS = 8


class Child:
    """A process with a log file. It has a session of its own, so that Ctrl-C reaches us first."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.log = data_folder() / "log" / f"{name}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        paths = [str(ROOT), str(ROOT / "platform"), os.environ.get("PYTHONPATH", "")]
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raise ServiceError where the process has ended, with the end of its log."""
        if self._process.poll() is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise ServiceError(f"the {self.name} process ended. The end of {self.log}:\n{tail}")

    def stop(self) -> None:
        """Ask the process to end, then end its whole group; its unfinished jobs resume later."""
        for signal_number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(signal_number)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
            break
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            return


def check_all(children: Iterable[Child]) -> None:
    """Raise ServiceError where one of the processes has ended."""
    for child in children:
        child.check()


def web_server(port: int) -> Child:
    """Gunicorn on the loopback interface.

    Raises:
        ServiceError: the port is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ServiceError(
                f"port {port} cannot be used ({error.strerror}). Choose another one: "
                f"`make demo PORT={port + 1}`."
            ) from error
    return Child(
        "web",
        [
            "gunicorn", "unitscope.wsgi", "--bind", f"127.0.0.1:{port}", "--workers", "2",
            "--threads", "4", "--access-logfile", "-",
        ],
    )  # fmt: skip


def worker(name: str, *, concurrency: int = 2) -> Child:
    """A Celery worker for all queues; a long dissection leaves a place for short explanations."""
    return Child(
        f"worker-{name}",
        [
            "celery", "-A", "unitscope", "worker", "--hostname", f"{name}@%h",
            "--queues", "gpu,default", "--concurrency", str(concurrency), "--loglevel", "INFO",
            "--without-gossip", "--without-mingle",
        ],
    )  # fmt: skip
