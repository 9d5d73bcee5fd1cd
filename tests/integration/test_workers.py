"""The same job on any number of processes and on services of one's own: the same files, byte for byte."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.conftest import Command, PrivateRedis
from tests.faults.asked import meeting
from tests.oracle import check, read_facts, tree

FLAGS = ["--n-augmentations", 2, "--with-original", "--labels", "--save-full", "always"]


@pytest.fixture(scope="module")
def pictures(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen pictures: enough for every process to get some."""
    folder = tmp_path_factory.mktemp("pictures")
    shutil.copytree(photographs, folder / "first")
    shutil.copytree(photographs, folder / "second")
    return folder


@pytest.fixture(scope="module")
def expected(
    session_command: Command, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bytes, str]:
    """Everything in one process, one picture after the other."""
    out = tmp_path_factory.mktemp("alone") / "out"
    answer = session_command("run", "--input", pictures, "--output", out, "--workers", 0, *FLAGS)
    assert answer.rc == 0, answer.stderr
    assert check(out).states == {"done": 12, "missed": 2}
    return tree(out)


@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_processes_writes_the_same_files(
    maskmill: Command, pictures: Path, expected: dict[bytes, str], tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "out"
    answer = maskmill(
        "run", "--input", pictures, "--output", out, "--workers", workers, "--quiet", *FLAGS,
        env={"MASKMILL_CHUNK_SIZE": "1", **(meeting("store", tmp_path / "met") if workers > 1 else {})},
    )  # fmt: skip
    assert (answer.rc, answer.stdout, answer.stderr) == (0, "", "")
    facts = check(out)
    assert tree(out) == expected
    done = [row for row in facts.images.values() if row["status"] == "done"]
    processes = {row["augmented_by"] for row in done}
    assert len(processes) == 1 if workers == 1 else len(processes) >= 2
    # A process that serves both stages does them one after the other, and decodes a picture once.
    assert all(row["detected_by"] == row["augmented_by"] for row in done)
    assert decoding_stages(f"sqlite:///{out}/maskmill.db") == {"detect"}
    assert maskmill.processes() == []
    # ONNX Runtime keeps a file of its own there, `.ses`.
    assert [path.name for path in maskmill.temporary.iterdir() if path.name != ".ses"] == []


def decoding_stages(database: str) -> set[str]:
    """The stages whose chunks spent time on decoding."""
    engine = create_engine(database)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT stage, seconds FROM chunks")).all()
    engine.dispose()
    return {row.stage for row in rows if "decode" in json.loads(row.seconds)}


def test_enqueue_and_a_worker_do_the_same_on_redis_and_postgresql(
    maskmill: Command,
    pictures: Path,
    expected: dict[bytes, str],
    private_redis: PrivateRedis,
    postgres_url: str,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    env = {"MASKMILL_BROKER_URL": private_redis.url, "MASKMILL_DATABASE_URL": postgres_url}
    assert maskmill("db", "upgrade", env=env).rc == 0
    worker = maskmill.start("worker", "--workers", 2, env=env)
    answer = maskmill("enqueue", "--input", pictures, "--output", out, "--wait", "--json", *FLAGS, env=env)
    assert answer.rc == 0, answer.stderr
    assert check(out, postgres_url).states == {"done": 12, "missed": 2}
    assert tree(out) == expected
    summary = json.loads(answer.stdout)
    assert (summary["state"], summary["images"]["done"]) == ("done", 12)
    assert json.loads(maskmill("status", summary["job"], "--json", env=env).stdout)["state"] == "done"
    assert maskmill("export", summary["job"], "--table", "images", env=env).stdout.count("\n") == 15
    assert (private_redis.client.llen("detect"), private_redis.client.llen("augment")) == (0, 0)
    worker.send_signal(signal.SIGTERM)
    maskmill.end_of(worker)
    assert maskmill.processes() == []


def test_plain_celery_workers_do_one_stage_each(
    maskmill: Command,
    pictures: Path,
    expected: dict[bytes, str],
    private_redis: PrivateRedis,
    tmp_path: Path,
) -> None:
    out, database = tmp_path / "out", f"sqlite:///{tmp_path}/jobs.db"
    env = {"MASKMILL_BROKER_URL": private_redis.url, "MASKMILL_DATABASE_URL": database}
    assert maskmill("db", "upgrade", env=env).rc == 0
    arguments = ["-A", "workers.app", "worker", "-c", 1]
    workers = [
        maskmill.start(*arguments, "-Q", stage, "-n", f"{stage}@%h", env=env, script="celery")
        for stage in ("detect", "augment")
    ]
    answer = maskmill("enqueue", "--input", pictures, "--output", out, "--wait", *FLAGS, env=env)
    assert answer.rc == 0, answer.stderr
    facts = check(out, database)
    assert tree(out) == expected
    detected = {row["detected_by"] for row in facts.images.values()}
    augmented = {row["augmented_by"] for row in facts.images.values() if row["status"] == "done"}
    assert len(detected) == len(augmented) == 1
    assert detected != augmented
    assert decoding_stages(database) == {"detect", "augment"}
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
    for worker in workers:
        maskmill.end_of(worker)


@pytest.mark.soak
def test_enqueue_alone_returns_and_the_job_is_finished_by_whoever_comes(
    maskmill: Command, photographs: Path, private_redis: PrivateRedis, tmp_path: Path
) -> None:
    out, database = tmp_path / "out", f"sqlite:///{tmp_path}/jobs.db"
    env = {"MASKMILL_BROKER_URL": private_redis.url, "MASKMILL_DATABASE_URL": database}
    assert maskmill("db", "upgrade", env=env).rc == 0
    answer = maskmill("enqueue", "--input", photographs, "--output", out, env=env)
    assert answer.rc == 0, answer.stderr
    assert re.search(r"7 open", answer.stdout)
    worker = maskmill.start("worker", "--workers", 1, env=env)
    answer = maskmill("enqueue", "--input", photographs, "--output", out, "--wait", env=env)
    assert answer.rc == 0, answer.stderr
    assert check(out, database).states == {"done": 6, "missed": 1}
    worker.send_signal(signal.SIGTERM)
    maskmill.end_of(worker)


@pytest.mark.parametrize("command", [["worker"], ["enqueue", "--input", "photographs"]])
def test_an_empty_database_is_refused_with_what_mends_it(
    maskmill: Command, photographs: Path, tmp_path: Path, command: list[str]
) -> None:
    words = [str(photographs) if word == "photographs" else word for word in command]
    env = {"MASKMILL_DATABASE_URL": f"sqlite:///{tmp_path}/empty.db"}
    answer = maskmill(*words, env=env, cwd=tmp_path)
    assert answer.rc == 3
    assert "run: maskmill db upgrade" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "output").exists()


def test_a_broker_that_does_not_answer_is_named_without_its_password(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    env = {
        "MASKMILL_DATABASE_URL": f"sqlite:///{tmp_path}/jobs.db",
        "MASKMILL_BROKER_URL": "redis://user:geheim@127.0.0.1:1/0",
    }
    assert maskmill("db", "upgrade", env=env).rc == 0
    answer = maskmill("enqueue", "--input", photographs, env=env, cwd=tmp_path)
    assert answer.rc == 3
    assert "127.0.0.1:1" in answer.stderr
    assert "geheim" not in answer.stderr + answer.stdout
    assert "Traceback" not in answer.stderr
    assert not (tmp_path / "output").exists()


@pytest.mark.soak
def test_the_rows_of_a_job_on_postgresql_are_those_of_sqlite(
    maskmill: Command, photographs: Path, private_redis: PrivateRedis, postgres_url: str, tmp_path: Path
) -> None:
    """The faces too: what is exported is the same text."""
    here, there = tmp_path / "here", tmp_path / "there"
    flags = ["--input", photographs, "--crop-style", "buffalo"]
    assert maskmill("run", *flags, "--output", here, "--workers", 0).rc == 0
    env = {"MASKMILL_BROKER_URL": private_redis.url, "MASKMILL_DATABASE_URL": postgres_url}
    assert maskmill("db", "upgrade", env=env).rc == 0
    worker = maskmill.start("worker", "--workers", 1, env=env)
    assert maskmill("enqueue", *flags, "--output", there, "--wait", env=env).rc == 0
    worker.send_signal(signal.SIGTERM)
    maskmill.end_of(worker)
    faces = ["export", "--table", "faces"]
    assert maskmill(*faces, "--output", here).stdout == maskmill(*faces, env=env).stdout
    assert read_facts(here).order == read_facts(there, postgres_url).order
