"""The page of metrics says what SQL says, and says so when SQL or Redis do not answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, text

from tests.conftest import Command, PrivateRedis, wait_until
from tests.ports import free_port

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def page_of(port: int) -> str:
    """The page; empty while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as answer:
            return str(answer.read().decode())
    except OSError:
        return ""


def samples_of(page: str) -> Samples:
    """Every value of a page."""
    families = text_string_to_metric_families(page)
    return {
        (one.name, frozenset(one.labels.items())): one.value for family in families for one in family.samples
    }


def value(samples: Samples, metric: str, **labels: str) -> float:
    """One value; fails where it is not on the page."""
    return samples[metric, frozenset(labels.items())]


@contextlib.contextmanager
def metrics_of(maskmill: Command, env: dict[str, str]) -> Iterator[int]:
    """`maskmill metrics` on a port of its own, from when it answers."""
    port = free_port()
    process = maskmill.start("metrics", "--metrics-port", port, env=env)
    try:
        wait_until(lambda: process.poll() is not None or bool(page_of(port)), "the page")
        assert process.poll() is None, maskmill.end_of(process).stderr
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        assert maskmill.end_of(process).rc == 0


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_page_says_what_sql_says(
    maskmill: Command,
    photographs: Path,
    private_redis: PrivateRedis,
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/jobs.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres_url")
    env = {
        "MASKMILL_BROKER_URL": private_redis.url,
        "MASKMILL_BROKER_CHECKS": "off",
        "MASKMILL_DATABASE_URL": url,
        "MASKMILL_CHUNK_SIZE": "4",
    }
    assert maskmill("db", "upgrade", env=env).rc == 0
    out = tmp_path / "private-holiday"
    with metrics_of(maskmill, env) as port:
        empty = samples_of(page_of(port))
        assert value(empty, "maskmill_jobs", state="running") == 0
        worker = maskmill.start("worker", "--workers", 1, env=env)
        answer = maskmill("enqueue", "--input", photographs, "--output", out, "--wait", "--json", env=env)
        assert answer.rc == 0, answer.stderr
        worker.send_signal(signal.SIGTERM)
        maskmill.end_of(worker)
        page = page_of(port)
    job = json.loads(answer.stdout)["job"]
    samples = samples_of(page)
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        states = connection.execute(text("SELECT status, count(*) FROM images GROUP BY status")).all()
        chunks = connection.execute(text("SELECT stage, images, faces, artifacts, seconds FROM chunks")).all()
    engine.dispose()
    assert sum(number for _, number in states) == 7
    for state, number in states:
        assert value(samples, "maskmill_images", job=job, state=state) == number
    assert value(samples, "maskmill_images", job=job, state="queued") == 0
    assert value(samples, "maskmill_jobs", state="done") == 1
    for stage, part in (("detect", "decode"), ("augment", "draw")):
        mine = [row for row in chunks if row.stage == stage]
        assert value(samples, "maskmill_worked_total", stage=stage, what="images") == sum(
            row.images for row in mine
        )
        assert value(samples, "maskmill_stage_seconds_count", stage=stage) == len(mine)
        seconds = [row.seconds if isinstance(row.seconds, dict) else json.loads(row.seconds) for row in mine]
        total = sum(one["total"] for one in seconds)
        assert value(samples, "maskmill_stage_seconds_sum", stage=stage) == pytest.approx(total)
        spent = sum(one[part] for one in seconds)
        assert value(samples, "maskmill_part_seconds_sum", stage=stage, part=part) == pytest.approx(spent)
        fill = sum(row.images / 4 for row in mine)
        assert value(samples, "maskmill_chunk_fill_sum", stage=stage) == pytest.approx(fill)
        assert value(samples, "maskmill_queue_messages", queue=stage) == 0
    artifacts = sum(row.artifacts for row in chunks)
    assert value(samples, "maskmill_worked_total", stage="augment", what="artifacts") == artifacts > 0
    assert value(samples, "maskmill_unacked_messages") == 0
    assert value(samples, "maskmill_dead_letters") == 0
    assert value(samples, "maskmill_database_up") == value(samples, "maskmill_broker_up") == 1
    assert value(samples, "maskmill_scrape_seconds") > 0
    assert "private-holiday" not in page
    assert str(tmp_path) not in page


def test_a_job_that_nobody_works_on_is_seen_waiting(
    maskmill: Command, photographs: Path, private_redis: PrivateRedis, tmp_path: Path
) -> None:
    env = {
        "MASKMILL_BROKER_URL": private_redis.url,
        "MASKMILL_BROKER_CHECKS": "off",
        "MASKMILL_DATABASE_URL": f"sqlite:///{tmp_path}/jobs.db",
    }
    assert maskmill("db", "upgrade", env=env).rc == 0
    answer = maskmill("enqueue", "--input", photographs, "--output", tmp_path / "out", "--json", env=env)
    assert answer.rc == 0, answer.stderr
    job = json.loads(answer.stdout)["job"]
    with metrics_of(maskmill, env) as port:
        first = samples_of(page_of(port))
        assert value(first, "maskmill_images", job=job, state="queued") == 7
        assert value(first, "maskmill_queue_messages", queue="detect") == private_redis.client.llen("detect")
        assert private_redis.client.llen("detect") > 0
        assert value(first, "maskmill_job_waits", job=job) == 0
        idle = value(first, "maskmill_idle_seconds", job=job)
        wait_until(
            lambda: value(samples_of(page_of(port)), "maskmill_idle_seconds", job=job) > idle, "the time"
        )
        # Redis is gone: the page says so, and still has what SQL says.
        private_redis.process.kill()
        private_redis.process.wait()
        later = samples_of(page_of(port))
        assert value(later, "maskmill_broker_up") == 0
        assert value(later, "maskmill_database_up") == 1
        assert value(later, "maskmill_images", job=job, state="queued") == 7
        assert ("maskmill_queue_messages", frozenset({("queue", "detect")})) not in later


def test_a_database_that_does_not_answer_is_shown_as_down(
    maskmill: Command, private_redis: PrivateRedis
) -> None:
    env = {
        "MASKMILL_BROKER_URL": private_redis.url,
        "MASKMILL_DATABASE_URL": "postgresql://nobody:geheim@127.0.0.1:1/none",
    }
    with metrics_of(maskmill, env) as port:
        page = page_of(port)
    assert value(samples_of(page), "maskmill_database_up") == 0
    assert value(samples_of(page), "maskmill_broker_up") == 1
    assert "geheim" not in page


def test_a_port_that_is_taken_is_said_in_one_sentence(maskmill: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = maskmill("metrics", "--metrics-port", taken.getsockname()[1])
    assert answer.rc == 3
    assert "cannot be served on 127.0.0.1" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_page_beside_a_worker_ends_with_it(maskmill: Command, tmp_path: Path) -> None:
    """Even when the worker is killed; a second one waits for the port and takes it over."""
    port = free_port()
    env = {
        **maskmill.environment,
        "MASKMILL_METRICS_PORT": str(port),
        "MASKMILL_DATABASE_URL": f"sqlite:///{tmp_path}/none.db",
        "MASKMILL_BROKER_URL": "redis://127.0.0.1:1/0",
    }
    code = "import time\nfrom workers.metrics.sidecar import start_sidecar\nstart_sidecar()\ntime.sleep(600)"
    parents = [
        subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL) for _ in range(2)
    ]
    try:
        for parent in parents:
            wait_until(lambda: bool(page_of(port)), "the page beside a worker")
            parent.send_signal(signal.SIGKILL)
            parent.wait()
        wait_until(lambda: not maskmill.processes(), "the last page to end")
    finally:
        for parent in parents:
            with contextlib.suppress(ProcessLookupError):
                os.kill(parent.pid, signal.SIGKILL)
            parent.wait()


def test_the_sidecar_imports_nothing_that_must_not_be_forked() -> None:
    code = (
        "import sys, workers.metrics.sidecar; "
        "print([m for m in ('sqlalchemy', 'cv2', 'prometheus_client', 'redis') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
