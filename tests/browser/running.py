"""Running the demo command as its user does, and finding the browser to look at it with."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 600
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


@dataclass
class Demo:
    """A running demo on services and data of its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def printed(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    def stop(self) -> int:
        """Press Ctrl-C and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def start_again(self) -> None:
        """Start the same command on the same data; it must have been stopped."""
        self.process = _run(self.folder, self.port)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while "Unitscope runs at" not in self.printed:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"the demo did not start:\n{self.printed}")
            time.sleep(0.2)


def start_demo(folder: Path) -> Demo:
    """Run the demo command with its data in `folder`, until it prints its address."""
    folder.mkdir(exist_ok=True)
    port = _free_port()
    demo = Demo(folder, port, _run(folder, port))
    demo.wait_until_ready()
    return demo


def demo_environment(folder: Path) -> dict[str, str]:
    """The environment of a fresh machine: no servers named, data in `folder`."""
    servers = ("DATABASE_URL", "REDIS_URL", "STORAGE_URL")
    kept = {name: value for name, value in os.environ.items() if name not in servers}
    return {**kept, "UNITSCOPE_VAR": str(folder)}


def _run(folder: Path, port: int) -> subprocess.Popen[bytes]:
    with (folder / "output.txt").open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(port)],
            cwd=ROOT,
            env=demo_environment(folder),
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def chromium() -> dict[str, Any]:
    """Playwright's launch arguments for the Chromium of this machine.

    Raises:
        RuntimeError: there is none.
    """
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        raise RuntimeError("Chromium is missing: run tests/browser/install_chromium.sh")
    return {
        "executable_path": path,
        "args": ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
