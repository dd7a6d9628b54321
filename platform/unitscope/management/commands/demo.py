"""`python manage.py demo`: everything on this machine, until Ctrl-C."""

import http.client
import signal
import time
from argparse import ArgumentParser
from http import HTTPStatus
from typing import Any, NoReturn

from django.core.management import call_command
from django.core.management.base import BaseCommand

from unitscope.demo.console import Console
from unitscope.demo.content import ACCOUNTS, PASSWORD, load_demo
from unitscope.demo.processes import Child, check_all, web_server, worker
from unitscope.embedded import ServiceError

START_SECONDS = 60


class Command(BaseCommand):
    help = "Start the demo: services, web server, worker, and the demo project."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="port of the web server")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        children: list[Child] = []
        console = Console(children)
        try:
            call_command("migrate", verbosity=0)
            call_command("collectstatic", verbosity=0, interactive=False)
            children.append(web_server(port))
            children.append(worker("demo"))
            address = f"http://127.0.0.1:{port}/"
            _wait_for(port, children)
            project = load_demo(console.wait, console.say)
            console.say(_welcome(f"{address}p/{project.slug}/"))
            while True:
                check_all(children)
                time.sleep(1)
        except KeyboardInterrupt:
            console.say("\nStopping …")
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for child in reversed(children):
                child.stop()


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _wait_for(port: int, children: list[Child]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        check_all(children)
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/healthz")
            if connection.getresponse().status == HTTPStatus.OK:
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ServiceError(f"the web server does not answer: {error}") from error
            time.sleep(0.2)


def _welcome(address: str) -> str:
    names = "\n".join(
        f"    {username:<10} {role.label:<12} {first} {last}"
        for username, first, last, role in ACCOUNTS
    )
    return (
        f"\nUnitscope runs at {address}\n\n"
        f"  Sign in with the password “{PASSWORD}” as\n{names}\n\n"
        "Ctrl-C stops everything; `make demo` starts it again with all data."
    )
