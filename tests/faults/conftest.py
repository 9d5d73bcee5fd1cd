"""Fixtures of the fault tests: private servers, clusters, pictures with the hash of an undisturbed run."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import faultcheck
from benchmarks.soakreport import measured_at
from tests.faults.cluster import FLAGS, MASKMILL, PROJECT, Cluster
from tests.faults.pictures import write_photographs
from tests.faults.servers import PostgresServer, RedisServer
from tests.faults.trial import Expected, Trial


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis of one test."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL of one test."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def make_cluster(tmp_path: Path, redis_server: RedisServer) -> Iterator[Callable[..., Cluster]]:
    """Make a cluster on the test's Redis; see `Cluster` for the arguments."""
    made: list[Cluster] = []

    def make(postgres: PostgresServer | None = None, **options: Any) -> Cluster:
        folder = tmp_path / f"cluster{len(made)}"
        folder.mkdir()
        made.append(Cluster(folder, redis_server, postgres, **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Expected]:
    """So many photographs, and what a run of them leaves when nothing breaks; made once a session."""
    known: dict[int, Expected] = {}

    def expect(count: int) -> Expected:
        if count not in known:
            folder = tmp_path_factory.mktemp(f"photographs{count}")
            pictures = write_photographs(folder / "in", count)
            known[count] = run_undisturbed(pictures, folder / "out", count)
        return known[count]

    return expect


def run_undisturbed(pictures: Path, output: Path, count: int, *flags: object) -> Expected:
    """Run a folder of pictures to its end without any fault."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MASKMILL_")}
    words = ["run", "--quiet", "--device", "cpu", *FLAGS, *flags, "--input", pictures, "--output", output]
    start = time.monotonic()
    subprocess.run(
        list(map(str, [MASKMILL, *words])),
        check=True,
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    seconds = time.monotonic() - start
    findings = faultcheck.check(output, f"sqlite:///{output}/maskmill.db")
    assert findings.problems == []
    return Expected(pictures, count, findings.tree_hash, seconds)


@pytest.fixture
def make_trial(
    make_cluster: Callable[..., Cluster],
    undisturbed: Callable[[int], Expected],
    note_figures: Callable[..., None],
) -> Callable[..., Trial]:
    """Make a trial with so many photographs, or of a given input, on a cluster with these options."""

    def make(images: int | Expected, postgres: PostgresServer | None = None, **options: Any) -> Trial:
        expected = undisturbed(images) if isinstance(images, int) else images
        return Trial(make_cluster(postgres, **options), expected, note_figures)

    return make


@pytest.fixture
def note_figures(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Write the figures of a soak test as a line of JSON, for the table in docs/reliability.md."""
    is_soak = request.node.get_closest_marker("soak") is not None

    def note(name: str, fault: str, **figures: Any) -> None:
        if not is_soak:
            return
        path = Path(os.environ.get("MASKMILL_SOAK_REPORT") or PROJECT / "build" / "soak.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {"id": name, "fault": fault, "case": request.node.name, **figures, **measured_at()}
        # One write: tests beside each other append to the same file.
        with open(path, "ab", buffering=0) as stream:
            stream.write(json.dumps(row).encode() + b"\n")

    return note
