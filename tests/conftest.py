"""The fixtures of all tests: the real command, private services, small photographs."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import psutil
import psycopg
import pytest
import redis
from PIL import Image
from psycopg import sql
from sqlalchemy.engine import make_url

from common.errors import UnfitError
from producer.services import find_redis_server

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared"
# A shell that starts us in the background lets us ignore Ctrl-C, and so would all that the tests start.
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    signal.signal(signal.SIGINT, signal.default_int_handler)

MARK = "TEST_MARK"
"""Environment variable that every process started by a test inherits."""
_PATIENCE_S = 240
"""Far above what anything takes: a hang becomes a failure, a slow machine does not."""


def missing_service(reason: str) -> NoReturn:
    """Skip on a laptop; fail where MASKMILL_TEST_REQUIRE_SERVICES is set, as it is in CI."""
    if os.environ.get("MASKMILL_TEST_REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    """Ask again and again until it is true; fails after a very long time."""
    deadline = time.monotonic() + _PATIENCE_S
    while not is_true():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {_PATIENCE_S} s for {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    rc: int
    stdout: str
    stderr: str


class Command:
    """A console script beside this Python, with a clean environment; a mark tells its processes.

    Attributes:
        temporary: TMPDIR of everything that is started, to see what is left in it.
    """

    def __init__(self, temporary: Path, home: Path) -> None:
        self.temporary = temporary
        self.mark = secrets.token_hex(8)
        self._started: list[subprocess.Popen[bytes]] = []
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("MASKMILL_")}
        self.environment.update(
            TMPDIR=str(temporary), XDG_DATA_HOME=str(home), PYTHONUNBUFFERED="1", **{MARK: self.mark}
        )

    def __call__(
        self,
        *arguments: object,
        env: dict[str, str] | None = None,
        cwd: Path = PROJECT,
        script: str = "maskmill",
    ) -> Answer:
        """Run to the end."""
        return self.end_of(self.start(*arguments, env=env, cwd=cwd, script=script))

    def start(
        self,
        *arguments: object,
        env: dict[str, str] | None = None,
        cwd: Path = PROJECT,
        script: str = "maskmill",
    ) -> subprocess.Popen[bytes]:
        """Start without waiting; `end_of` collects it."""
        words = [one if isinstance(one, bytes) else os.fsencode(str(one)) for one in arguments]
        process = subprocess.Popen(
            [os.fsencode(Path(sys.executable).parent / script), *words],
            cwd=cwd,
            env={**self.environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._started.append(process)
        return process

    def end_of(self, process: subprocess.Popen[bytes]) -> Answer:
        """Wait for the end."""
        try:
            out, err = process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(
                f"{process.args!r} did not end within {_PATIENCE_S} s: {err.decode(errors='replace')}"
            )
        return Answer(process.returncode, *(text.decode("utf-8", "backslashreplace") for text in (out, err)))

    def processes(self, variable: str = MARK) -> list[psutil.Process]:
        """Live processes that carry the mark of this command and have the variable."""
        found = []
        for process in psutil.process_iter():
            try:
                environment = process.environ()
                is_ours = environment.get(MARK) == self.mark and variable in environment
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill_all(self) -> None:
        """SIGKILL whatever of it still lives."""
        for process in self.processes():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue

    def close(self) -> None:
        """End whatever of it still lives, and what is left of the ends of the pipes to it.

        A test that failed half-way would otherwise make one that comes later fail for what it left open.
        """
        self.kill_all()
        for process in self._started:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        shutil.rmtree(self.temporary, ignore_errors=True)


@pytest.fixture(scope="session")
def session_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command for runs that several tests share."""
    # A short path: that of a Unix socket may have 107 bytes.
    temporary = Path(tempfile.mkdtemp(prefix="mt-"))
    command = Command(temporary, tmp_path_factory.mktemp("home"))
    yield command
    command.close()


@pytest.fixture
def maskmill(tmp_path: Path) -> Iterator[Command]:
    """The command, with a TMPDIR and a mark of its own; nothing it starts outlives the test."""
    temporary = Path(tempfile.mkdtemp(prefix="mt-"))
    command = Command(temporary, tmp_path / "home")
    yield command
    command.close()


@dataclass
class PrivateRedis:
    """A Redis server of one test."""

    url: str
    process: subprocess.Popen[bytes]
    client: redis.Redis


@pytest.fixture
def private_redis() -> Iterator[PrivateRedis]:
    """A server on a Unix socket, ended with the test."""
    try:
        binary = find_redis_server()
    except UnfitError as exc:
        missing_service(str(exc))
    folder = Path(tempfile.mkdtemp(prefix="mr-"))
    socket = folder / "s"
    arguments = ["--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder]
    process = subprocess.Popen([binary, *map(str, arguments)], stdout=subprocess.DEVNULL)
    client = redis.Redis(unix_socket_path=str(socket))

    def answers() -> bool:
        assert process.poll() is None, "redis-server ended at once"
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False

    try:
        wait_until(answers, "the private Redis")
        yield PrivateRedis(f"redis+socket://{socket}", process, client)
    finally:
        client.close()
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A new, empty database with a random name, dropped with the test."""
    given = os.environ.get("MASKMILL_TEST_POSTGRES", "postgresql://root@127.0.0.1/test")
    url = make_url(given).set(drivername="postgresql")
    server = url.render_as_string(hide_password=False)
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=60)
    except psycopg.OperationalError as exc:
        missing_service(f"PostgreSQL does not answer at {url!r}: {exc}")
    name = sql.Identifier(f"maskmill_test_{secrets.token_hex(6)}")
    with connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield url.set(database=name.as_string().strip('"')).render_as_string(hide_password=False)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
    connection.close()


@pytest.fixture(scope="session")
def astronaut() -> Image.Image:
    """One woman looking at the camera, 256 x 256 (NASA, public domain)."""
    from skimage.data import astronaut as picture

    return Image.fromarray(picture()).resize((256, 256), Image.Resampling.LANCZOS)


@pytest.fixture(scope="session")
def photographs(astronaut: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small pictures made from one photograph; to be read only.

    One face each in `exif.jpg` (stored lying on its side), `grey.png`, `large.webp`, `turned.bmp` and
    `sub/plain.tiff`; two in `sub/two.JPG`; none in `empty.jpeg`.
    """
    folder = tmp_path_factory.mktemp("photographs")
    (folder / "sub").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise for display
    wide = astronaut.crop((20, 0, 236, 256))
    wide.transpose(Image.Transpose.ROTATE_90).save(folder / "exif.jpg", quality=95, exif=exif)
    astronaut.convert("L").save(folder / "grey.png")
    astronaut.resize((400, 400), Image.Resampling.LANCZOS).save(folder / "large.webp", quality=90)
    astronaut.rotate(10, Image.Resampling.BICUBIC).save(folder / "turned.bmp")
    astronaut.resize((200, 200), Image.Resampling.LANCZOS).save(folder / "sub" / "plain.tiff")
    two = Image.new("RGB", (400, 240), "#808080")
    two.paste(astronaut.crop((10, 0, 210, 240)), (0, 0))
    two.paste(astronaut.crop((10, 0, 210, 240)).transpose(Image.Transpose.FLIP_LEFT_RIGHT), (200, 0))
    two.save(folder / "sub" / "two.JPG", "JPEG", quality=95)
    ramp = np.linspace(0, 255, 200 * 150 * 3).reshape(150, 200, 3).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "empty.jpeg")
    return folder


@pytest.fixture(scope="session")
def shared_faces() -> Path:
    """The photographs with ground truth beside the project; they are not part of it."""
    folder = SHARED / "faces"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here")
    return folder
