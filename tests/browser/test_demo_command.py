"""The demo command itself: what it prints, what Ctrl-C leaves behind, what a second start keeps."""

import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil

from tests.browser.running import ROOT, Demo, demo_environment


def test_it_prints_progress_the_address_and_the_accounts(demo: Demo) -> None:
    for text in (demo.address, "admin", "expert1", "expert2", "clinician"):
        assert text in demo.printed


def test_a_taken_port_gets_a_clear_message(demo: Demo, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "manage.py", "demo", "--port", str(demo.port)],
        cwd=ROOT,
        env=demo_environment(tmp_path),
        capture_output=True,
        text=True,
    )
    assert result.returncode != 0
    assert f"make demo PORT={demo.port + 1}" in result.stderr
    assert "Traceback" not in result.stderr


def test_ctrl_c_stops_every_process_and_the_next_start_keeps_the_data(demo: Demo) -> None:
    family = psutil.Process(demo.process.pid).children(recursive=True)
    servers = [process for process in psutil.process_iter() if _serves(process, demo.folder)]
    assert any("postgres" in process.name() for process in servers)
    assert any("redis" in process.name() for process in servers)
    assert demo.stop() == 0
    _, alive = psutil.wait_procs(family + servers, timeout=20)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]

    demo.start_again()
    assert "Dissect" not in demo.printed
    assert "Drawing" not in demo.printed
    with urllib.request.urlopen(f"{demo.address}/healthz") as answer:
        assert answer.status == 200


def _serves(process: psutil.Process, folder: Path) -> bool:
    """Whether the process is a server whose data lie in `folder`."""
    try:
        return str(folder) in " ".join(process.cmdline())
    except psutil.Error:
        return False
