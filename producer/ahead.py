"""A worker's main process that `run` starts ahead: it imports and loads while `run` itself does.

It is told by one line on its standard input what it works on. When the line ends without a word it ends too, quietly:
`run` needed no worker, or is gone. Until then it writes nothing and opens nothing.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from common.children import RUN_VARIABLE, end_with_parent
from common.large_pages import ask_for_large_pages

_LIBRARIES = (
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.loaders.app",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.consumer",
    "kombu.transport.redis",
    "common.ledger.dead_letters",
    "common.ledger.segments",
    "common.logs",
    "common.schema",
    "common.transport",
    "workers.sidecars",
)
"""What Celery and `workers.app` import; not that itself: it reads the settings, which come with the word."""


class WorkerAhead:
    """The process, waiting for its word; a context manager that ends it if the word never comes.

    Args:
        settings: variables it needs before the word.

    Attributes:
        token: of the run; in the environment of the process.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.token = os.urandom(8).hex()
        environment = {**os.environ, **settings, RUN_VARIABLE: self.token}
        ask_for_large_pages(environment)
        self._process: subprocess.Popen[bytes] | None = subprocess.Popen(
            [sys.executable, "-P", "-m", "producer.cli", "worker", "--on-word"],
            # Unbuffered: nothing is left to be written when the process is gone.
            bufsize=0,
            stdin=subprocess.PIPE,
            # Why it cannot start is told by the one that is started in its place.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Away from the user's folder, where a `workers` or `common` of theirs may lie.
            cwd="/",
            env=environment,
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )

    def __enter__(self) -> WorkerAhead:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End the process unless it has been given its word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            _stdin_of(self._process).close()
            self._process = None

    def give_word(
        self, stage: str, environment: Mapping[str, str], folder: str, log: str
    ) -> subprocess.Popen[bytes] | None:
        """Let the process go on as a worker, once; None: it has been given away, or has died.

        Args:
            stage: of the worker.
            environment: variables, besides those it has.
            folder: where it works.
            log: an existing file, to which its output is added.
        """
        process = self._process
        if process is None or process.poll() is not None:
            return None
        word = {"stage": stage, "environment": dict(environment), "folder": folder, "log": log}
        try:
            with _stdin_of(process) as stdin:
                stdin.write(json.dumps(word).encode() + b"\n")
        except BrokenPipeError:
            return None
        self._process = None
        return process


def _stdin_of(process: subprocess.Popen[bytes]) -> Any:
    assert process.stdin is not None
    return process.stdin


def await_word() -> str:
    """In the process: load what a worker needs, wait, and become what the word says; returns the stage.

    Raises:
        SystemExit: there is no word.
        Exception: a library cannot be imported; it may be any.
    """
    _load()
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        sys.exit(0)
    word: dict[str, Any] = json.loads(line)
    os.environ.update(word["environment"])
    os.chdir(word["folder"])
    _redirect(os.devnull, os.O_RDONLY, 0)
    _redirect(word["log"], os.O_WRONLY | os.O_APPEND, 1, 2)
    return str(word["stage"])


def _load() -> None:
    for name in _LIBRARIES:
        importlib.import_module(name)
    from common.settings import read_settings
    from workers.preloading import preload

    preload(read_settings(), ["augment"])


def _redirect(path: str, flags: int, *descriptors: int) -> None:
    opened = os.open(path, flags)
    for descriptor in descriptors:
        os.dup2(opened, descriptor)
    os.close(opened)
