"""The whole product as its user gets it: the demo command, and a real Chromium in front of it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 600


@dataclass
class Demo:
    """A running demo, its address, and what it has printed."""

    address: str
    process: subprocess.Popen[bytes]
    output: Path

    def stop(self) -> int:
        """Press Ctrl-C and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


def start_demo(folder: Path) -> Demo:
    """Run the demo command on services and data of its own, until it prints its address."""
    environment = {**os.environ, "UNITSCOPE_VAR": str(folder)}
    for name in ("DATABASE_URL", "REDIS_URL", "STORAGE_URL"):
        environment.pop(name, None)
    port = _free_port()
    output = folder / "output.txt"
    folder.mkdir(exist_ok=True)
    with output.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + START_SECONDS
    while b"Unitscope runs at" not in output.read_bytes():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"the demo did not start:\n{output.read_text(errors='replace')}")
        time.sleep(0.2)
    return Demo(f"http://127.0.0.1:{port}", process, output)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    running = start_demo(tmp_path_factory.mktemp("demo") / "var")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    assert path, "Chromium is missing: run tests/browser/install_chromium.sh"
    return {
        "executable_path": path,
        "args": ["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
    }


@pytest.fixture
def page(browser: Browser, demo: Demo) -> Iterator[Page]:
    """A page of a fresh browser profile; an error in the page's own scripts fails the test."""
    context = browser.new_context(base_url=demo.address, viewport={"width": 1360, "height": 900})
    context.set_default_timeout(15_000)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on(
        "console",
        lambda message: errors.append(message.text)
        if message.type == "error" and "Content Security Policy" in message.text
        else None,
    )
    yield opened
    context.close()
    assert not errors, errors


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
