"""Every `MASKMILL_*` variable, read once, typed and frozen."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.choices import Phases
from common.errors import UsageError

_SECRET = re.compile(r"(?<=:)[^:@/]+(?=@)")


def _default_database_url() -> str:
    data_home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return f"sqlite:///{data_home}/maskmill/maskmill.db"


class Settings(BaseSettings):
    """What this machine uses: broker, database, models, device, processes.

    Attributes:
        broker_url: Redis of `enqueue` and `worker`; `run` brings its own.
        database_url: database of `enqueue` and `worker`; `run` brings its own.
        models: folder that is searched for model files first.
        device: `auto`, `cpu` or `cuda:N`, for the detector and ONNX landmarks.
        phases: the models of a process are open `together`, or in turn (`serial`); `auto`: in turn where the
            device has too little free memory.
        workers: processes per stage; None means one per usable core; 0 means none, in this process.
        chunk_size: images a task; the unit of delivery, of retry and of one commit. None: as many as take some
            seconds, learned from the chunks before.
        high_water: messages that may wait in the queues before the producer pauses.
        durability: `chunk` syncs once for all files of a chunk, `file` each, `none` never.
        visibility_timeout_s: after this a message that nobody acknowledged is delivered again;
            at least three times the hard time limit.
        soft_time_limit_s: a chunk is asked to stop after this.
        time_limit_s: a chunk's process is killed after this.
        broker_checks: `strict` refuses a shared Redis that may lose messages; `off` is for tests.
        path_map: where the folders that the producer recorded lie on this machine:
            `/data/in=/mnt/in,/data/out=/mnt/out`; the longest match counts.
        metrics_port: where a worker serves Prometheus metrics; None: nowhere.
        metrics_address: the address it listens on.
        reconcile_every_s: seconds between two looks of the one process that repairs jobs; 0: never.
        log_level: of the workers and commands.
        log_file: where logs go besides the terminal.
    """

    model_config = SettingsConfigDict(env_prefix="MASKMILL_", frozen=True, extra="ignore")

    broker_url: str = "redis://127.0.0.1:6379/0"
    database_url: str = Field(default_factory=_default_database_url)
    models: Path | None = None
    device: str = "auto"
    phases: Phases = "auto"
    workers: int | None = Field(default=None, ge=0, le=1024)
    chunk_size: int | None = Field(default=None, ge=1, le=1024)
    high_water: int = Field(default=2000, ge=1)
    durability: Literal["none", "chunk", "file"] = "chunk"
    visibility_timeout_s: int = Field(default=600, ge=1)
    soft_time_limit_s: int = Field(default=90, ge=1)
    time_limit_s: int = Field(default=120, ge=1)
    broker_checks: Literal["strict", "off"] = "strict"
    path_map: str = ""
    metrics_port: int | None = Field(default=None, ge=1, le=65535)
    metrics_address: str = "127.0.0.1"
    reconcile_every_s: int = Field(default=15, ge=0)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_file: Path | None = None

    @field_validator("workers", "chunk_size", mode="before")
    @classmethod
    def _auto_means_none(cls, value: object) -> object:
        return None if value in ("auto", "") else value

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError("expected auto, cpu or cuda:N")
        return "cuda:0" if value == "cuda" else value

    @field_validator("database_url")
    @classmethod
    def _psycopg_3_drives_postgresql(cls, value: str) -> str:
        return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", value)

    @field_validator("path_map")
    @classmethod
    def _pairs_are_absolute(cls, value: str) -> str:
        for pair in filter(None, value.split(",")):
            there, separator, here = pair.partition("=")
            if not (separator and there.startswith("/") and here.startswith("/")):
                raise ValueError("expected /there=/here pairs of absolute folders, separated by commas")
        return value

    def local_path(self, path: bytes) -> bytes:
        """Where an absolute path that the producer recorded lies on this machine."""
        pairs = [pair.partition("=") for pair in self.path_map.split(",") if pair]
        for there, _, here in sorted(pairs, key=lambda pair: -len(pair[0])):
            folder = os.fsencode(there.rstrip("/"))
            if path == folder or path.startswith(folder + b"/"):
                return os.fsencode(here.rstrip("/")) + path[len(folder) :]
        return path

    @property
    def worker_count(self) -> int:
        """Processes per stage: `workers`, or one per core this process may use."""
        return usable_cores() if self.workers is None else self.workers

    @property
    def lease_s(self) -> int:
        """Seconds that a claim on an image holds: no task outlives its hard time limit."""
        return self.time_limit_s + 30


def read_settings(**overrides: object) -> Settings:
    """The settings in force; an override of None leaves the environment's value.

    Raises:
        UsageError: a variable or flag has an impossible value.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as exc:
        first = exc.errors()[0]
        name = str(first["loc"][0])
        problem = first["msg"].removeprefix("Value error, ")
        raise UsageError(
            f"--{name.replace('_', '-')} or MASKMILL_{name.upper()}: {problem}, got {first['input']!r}"
        ) from exc


def usable_cores() -> int:
    """Cores that this process may use (affinity counts, hyper-threads are cores)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def hide_secret(url: str) -> str:
    """The URL with its password replaced by `***`."""
    return _SECRET.sub("***", url)
