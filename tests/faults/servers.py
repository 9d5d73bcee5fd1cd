"""Private servers that a test may kill, freeze, fill and restart: Redis, PostgreSQL, and a proxy between."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
import redis

from common.errors import UnfitError
from producer.services import find_redis_server
from tests.ports import free_port

PATIENCE_S = 240.0
"""Far above what anything takes: a hang becomes a failure, a slow machine does not."""


def missing_service(reason: str) -> NoReturn:
    """Skip on a laptop; fail where MASKMILL_TEST_REQUIRE_SERVICES is set, as it is in CI."""
    if os.environ.get("MASKMILL_TEST_REQUIRE_SERVICES"):
        pytest.fail(reason)
    pytest.skip(reason)


def wait_until(is_true: Callable[[], bool], what: str, patience_s: float = PATIENCE_S) -> float:
    """Ask again and again until it is true; returns the seconds it took, fails after a very long time."""
    start = time.monotonic()
    while not is_true():
        if time.monotonic() - start > patience_s:
            pytest.fail(f"waited {patience_s:.0f} s for {what}")
        time.sleep(0.05)
    return time.monotonic() - start


def _newest_redis() -> tuple[str, tuple[int, ...]]:
    """The newest server on PATH, or what `run` would take, and its version."""
    found = [Path(folder) / "redis-server" for folder in os.environ.get("PATH", "").split(os.pathsep)]
    with contextlib.suppress(UnfitError):
        found.append(Path(find_redis_server()))
    versions: dict[str, tuple[int, ...]] = {}
    for path in found:
        if os.access(path, os.X_OK):
            words = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
            numbers = re.search(r"v=(\d+)\.(\d+)\.(\d+)", words)
            versions[str(path)] = tuple(map(int, numbers.groups())) if numbers else ()
    if not versions:
        missing_service("there is no redis-server: apt install redis-server")
    return max(versions.items(), key=lambda item: item[1])


class RedisServer:
    """A Redis on a port of its own, with an append-only file and without eviction, as the checks want it."""

    def __init__(self) -> None:
        self._binary, self.version = _newest_redis()
        self.folder = Path(tempfile.mkdtemp(prefix="mf-redis-"))
        self.port = free_port()
        self.client = redis.Redis(port=self.port, socket_timeout=60)
        self.process: subprocess.Popen[bytes]
        self.start()

    @property
    def url(self) -> str:
        """What MASKMILL_BROKER_URL is set to."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it on what its append-only file holds; returns when it answers."""
        arguments = ["--port", self.port, "--bind", "127.0.0.1", "--save", "", "--dir", self.folder]
        arguments += ["--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
        self.process = subprocess.Popen([self._binary, *map(str, arguments)], stdout=subprocess.DEVNULL)
        wait_until(self.answers, "the private Redis")

    def answers(self) -> bool:
        """It is up and has read its file."""
        try:
            return bool(self.client.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """SIGKILL; what it holds is in its append-only file."""
        self.process.kill()
        self.process.wait()

    @contextlib.contextmanager
    def paused(self) -> object:
        """Frozen meanwhile: connections stay open and nothing answers."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    def depths(self) -> dict[str, int]:
        """What waits in the queues and what is delivered and not acknowledged."""
        names = {"detect": self.client.llen, "augment": self.client.llen}
        names |= {"unacked": self.client.hlen, "unacked_index": self.client.zcard}
        return {name: int(size(name)) for name, size in names.items()}

    def used_memory(self) -> int:
        """Bytes."""
        return int(self.client.info("memory")["used_memory"])

    def close(self) -> None:
        """End it and remove its files."""
        self.client.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _postgres_binaries() -> Path:
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True
    )
    on_path = shutil.which("initdb")
    if not found and not on_path:
        missing_service("no initdb of PostgreSQL is installed: apt install postgresql")
    return (found[0] if found else Path(str(on_path))).parent


class PostgresServer:
    """A PostgreSQL cluster of its own, under an unprivileged user where the tests run as root."""

    def __init__(self) -> None:
        self._binaries = _postgres_binaries()
        self.folder = Path(tempfile.mkdtemp(prefix="mf-pg-"))
        self.port = free_port()
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            self._as_user = self._unprivileged()
        self._command("initdb", "-D", self._data, "-A", "trust", "-U", "maskmill", "--no-sync", "-E", "UTF8")
        self.start()
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute("CREATE DATABASE faults")

    @property
    def url(self) -> str:
        """What MASKMILL_DATABASE_URL is set to."""
        return f"postgresql://maskmill@127.0.0.1:{self.port}/faults"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        self._command("pg_ctl", "-D", self._data, "-o", options, "-l", self.folder / "log", "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; `immediate` is a crash, the next start recovers."""
        self._command("pg_ctl", "-D", self._data, "-m", mode, "-w", "stop")

    @contextlib.contextmanager
    def paused(self) -> object:
        """Frozen meanwhile: all its processes."""
        pids = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self._pid)], capture_output=True, text=True, check=False
        ).stdout.split()
        victims = [self._pid, *map(int, pids)]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def refusing(self) -> object:
        """Every connection is ended and no new one is let in meanwhile."""
        with psycopg.connect(self._server, autocommit=True) as connection:
            connection.execute("ALTER DATABASE faults ALLOW_CONNECTIONS false")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'faults'"
            )
            try:
                yield
            finally:
                connection.execute("ALTER DATABASE faults ALLOW_CONNECTIONS true")

    def close(self) -> None:
        """End it and remove its files."""
        with contextlib.suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _server(self) -> str:
        return f"postgresql://maskmill@127.0.0.1:{self.port}/postgres"

    @property
    def _pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def _unprivileged(self) -> list[str]:
        runner = shutil.which("setpriv")
        if runner is None:
            missing_service("PostgreSQL refuses to run as root and there is no setpriv to change the user")
        for name in ("postgres", "nobody"):
            with contextlib.suppress(KeyError):
                user = pwd.getpwnam(name)
                os.chown(self.folder, user.pw_uid, user.pw_gid)
                return [runner, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
        missing_service("PostgreSQL refuses to run as root and there is no user postgres or nobody")

    def _command(self, name: str, *arguments: object) -> None:
        # Output to a file: a server that inherits a pipe would keep it open for ever.
        with open(self.folder / "commands", "ab") as output:
            subprocess.run(
                [*self._as_user, str(self._binaries / name), *map(str, arguments)],
                check=True,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )


class Proxy:
    """A TCP proxy that can go silent: connections stay open and not a byte passes, as when a cable is cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._silent: set[socket.socket] = set()
        self._live: set[socket.socket] = set()
        self._is_closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> int:
        """Silence every connection that is open now, without a word to either end; returns how many."""
        found = set(self._live)
        self._silent |= found
        return len(found) // 2

    def close(self) -> None:
        """End all connections."""
        self._is_closed = True
        self._listener.close()
        for one in set(self._live) | self._silent:
            one.close()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                here, _ = self._listener.accept()
                there = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                continue
            self._live |= {here, there}
            for source, sink in ((here, there), (there, here)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if source in self._silent:
                    # What arrives behind the cut is swallowed, and no end is passed on.
                    while source.recv(65536):
                        continue
                    return
                sink.sendall(data)
        if source in self._silent:
            return
        self._live -= {source, sink}
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
