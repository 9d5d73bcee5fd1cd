"""`maskmill flower`: what it shows is useful and tells no path and no secret; who may not look is kept out."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from common.broker import make_app
from common.errors import UnfitError, UsageError
from common.settings import Settings
from producer.flower import is_loopback, read_logins
from producer.services import find_redis_server
from tests.conftest import Command, missing_service, wait_until
from tests.ports import free_port

PASSWORD = "geheim-7391"
LOGIN = "watcher:loses:nothing"


@dataclass(frozen=True)
class Page:
    """An answer of a web server."""

    status: int
    body: str


def ask(port: int, path: str, *, login: str | None = None, method: str = "GET") -> Page:
    """Fetch a page, whatever its status."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    if login is not None:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return Page(answer.status, answer.read().decode())
    except urllib.error.HTTPError as exc:
        with exc:
            return Page(exc.code, exc.read().decode())


def listens(port: int) -> bool:
    """Somebody answers on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def guarded_redis(tmp_path: Path) -> Iterator[str]:
    """The URL of a server with a password, on a port: both are things that Flower could show."""
    try:
        binary = find_redis_server()
    except UnfitError as exc:
        missing_service(str(exc))
    port = free_port()
    configuration = f"port {port}\nbind 127.0.0.1\nsave ''\nrequirepass {PASSWORD}\ndir {tmp_path}\n"
    with subprocess.Popen(
        [binary, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        process.stdin.write(configuration.encode())
        process.stdin.close()
        try:
            wait_until(lambda: listens(port), "the private Redis")
            yield f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
        finally:
            process.kill()


@contextlib.contextmanager
def flower_of(maskmill: Command, env: dict[str, str]) -> Iterator[int]:
    """Flower on a port of its own, from when it answers."""
    port = free_port()
    process = maskmill.start("flower", "--port", port, env=env)
    try:
        wait_until(lambda: process.poll() is not None or listens(port), "Flower")
        assert process.poll() is None, maskmill.end_of(process).stderr
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        assert maskmill.end_of(process).rc == 0


@contextlib.contextmanager
def workers_of(maskmill: Command, env: dict[str, str]) -> Iterator[None]:
    """A worker for each stage, so that there are tasks of both."""
    processes = [
        maskmill.start("worker", "--stage", stage, "--workers", 1, "--device", "cpu", env=env)
        for stage in ("detect", "augment")
    ]
    try:
        yield
    finally:
        for process in processes:
            process.send_signal(signal.SIGTERM)
        for process in processes:
            maskmill.end_of(process)


def test_tasks_are_shown_by_job_and_images_without_a_path_or_a_secret(
    maskmill: Command, photographs: Path, guarded_redis: str, tmp_path: Path
) -> None:
    secret_folder = tmp_path / "private-holiday"
    shutil.copytree(photographs, secret_folder)
    env = {
        "MASKMILL_BROKER_URL": guarded_redis,
        "MASKMILL_BROKER_CHECKS": "off",
        "MASKMILL_DATABASE_URL": f"sqlite:///{tmp_path}/jobs.db",
        "MASKMILL_FLOWER_BASIC_AUTH": LOGIN,
    }
    assert maskmill("db", "upgrade", env=env).rc == 0
    with flower_of(maskmill, env) as port, workers_of(maskmill, env):

        def answer_of(path: str) -> dict[str, Any]:
            return dict(json.loads(ask(port, path, login=LOGIN).body))

        wait_until(lambda: bool(answer_of("/api/workers?refresh=1")), "Flower to see the worker")
        out = tmp_path / "out"
        answer = maskmill("enqueue", "--input", secret_folder, "--output", out, "--wait", "--json", env=env)
        assert answer.rc == 0, answer.stderr
        job = json.loads(answer.stdout)["job"]

        def has_all() -> bool:
            found = [one for one in answer_of("/api/tasks").values() if one["state"] == "SUCCESS"]
            return {one["name"] for one in found} == {"maskmill.detect", "maskmill.augment"}

        wait_until(has_all, "the tasks in Flower")
        for identity, task in answer_of("/api/tasks").items():
            assert task["args"] == ""
            assert re.fullmatch(rf"job {job} images? \d+(\.\.\d+)?", task["kwargs"]), task["kwargs"]
            info = answer_of(f"/api/task/info/{identity}")
            assert info["kwargs"] == task["kwargs"]
            assert "/" not in str(info), info
        with make_app(Settings(broker_url=guarded_redis)).events.default_dispatcher() as dispatcher:
            dispatcher.send("task-received", uuid="full", name="maskmill.detect", args="", kwargs="")
            dispatcher.send(
                "task-retried",
                uuid="full",
                exception=f"OSError({secret_folder!r})",
                traceback=f"{secret_folder}",
            )
        wait_until(lambda: "full" in answer_of("/api/tasks?state=RETRY"), "the task that met a full disk")
        assert answer_of("/api/task/info/full")["exception"] == "OSError"
        assert "/" not in str(answer_of("/api/task/info/full"))
        pages = [
            "/task/full",
            "/api/tasks",
            "/api/workers?refresh=1",
            "/",
            "/tasks",
            "/broker",
            "/metrics",
            "/workers?json=1",
        ]
        pages += [f"/worker/{name}" for name in answer_of("/api/workers")]
        for page in pages:
            shown = ask(port, page, login=LOGIN)
            assert shown.status == 200, page
            for hidden in (PASSWORD, "private-holiday", LOGIN):
                assert hidden not in shown.body, page


@pytest.mark.parametrize("login", [None, LOGIN])
def test_nothing_can_be_changed_and_who_has_no_login_is_refused(
    maskmill: Command, guarded_redis: str, login: str | None
) -> None:
    from flower.urls import handlers

    env = {"MASKMILL_BROKER_URL": guarded_redis, "FLOWER_UNAUTHENTICATED_API": "true"}
    if login is not None:
        env["MASKMILL_FLOWER_BASIC_AUTH"] = login
    routes = [entry[0] if isinstance(entry, tuple) else entry.regex.pattern.rstrip("$") for entry in handlers]
    paths = [re.sub(r"\(\.[*+]\)", "celery@nobody", route).rstrip("?") for route in routes]
    control = [path for path in paths if "/worker/" in path or "/task/" in path]
    assert len(control) >= 15
    with flower_of(maskmill, env) as port:
        for path in control:
            for method in ("GET", "POST"):
                assert ask(port, path, method=method).status in {401, 403, 404, 405}, path
                if "/api/worker/" in path or "apply" in path or "revoke" in path:
                    shown = ask(port, path, login=login, method="POST")
                    assert shown.status in ({401} if login is None else {403}), path
        # The API wants a login even here.
        assert ask(port, "/api/tasks").status == 401
        if login is not None:
            open_to_all = {"/healthcheck", "/login/", "/logout", ".*", "/static/celery@nobody"}
            for path in set(paths) - open_to_all:
                if path.startswith("/"):
                    assert ask(port, path).status in {401, 405}, path
                    assert ask(port, path, login="watcher:wrong").status in {401, 405}, path


def test_it_listens_on_loopback_and_shows_no_login_on_its_command_line(
    maskmill: Command, guarded_redis: str, tmp_path: Path
) -> None:
    (tmp_path / "logins").write_text(f"# who may look\n{LOGIN}\nsecond:pass,word\n")
    # Flower runs a file of this name that lies in the current folder.
    (tmp_path / "flowerconfig.py").write_text("raise SystemExit('not this')\n")
    env = {"MASKMILL_BROKER_URL": guarded_redis, "FLOWER_ADDRESS": "0.0.0.0", "FLOWER_READ_ONLY": "false"}
    port = free_port()
    started = maskmill.start(
        "flower", "--port", port, "--basic-auth-file", tmp_path / "logins", env=env, cwd=tmp_path
    )
    wait_until(lambda: started.poll() is not None or listens(port), "Flower")
    assert ask(port, "/api/tasks", login=LOGIN).status == 200
    assert ask(port, "/api/tasks", login="second:pass,word").status == 200
    processes = maskmill.processes()
    assert [process.pid for process in processes] == [started.pid]
    addresses = {
        one.laddr.ip for one in processes[0].net_connections("tcp") if one.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}
    assert "nothing" not in " ".join(processes[0].cmdline())
    started.send_signal(signal.SIGTERM)
    answer = maskmill.end_of(started)
    assert answer.rc == 0
    assert "nothing" not in answer.stdout + answer.stderr
    assert PASSWORD not in answer.stdout + answer.stderr


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.7", "flower.example", ""])
def test_another_address_than_loopback_needs_a_login(maskmill: Command, address: str) -> None:
    answer = maskmill("flower", "--address", address)
    assert answer.rc == 2
    assert "needs a login" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1


def test_a_broker_that_does_not_answer_is_said_in_one_sentence(maskmill: Command) -> None:
    answer = maskmill("flower", env={"MASKMILL_BROKER_URL": f"redis://:{PASSWORD}@127.0.0.1:1/0"})
    assert answer.rc == 3
    assert len(answer.stderr.strip().splitlines()) == 1
    assert "127.0.0.1:1" in answer.stderr
    assert PASSWORD not in answer.stderr


def test_a_port_that_is_taken_is_said_in_one_sentence(maskmill: Command, guarded_redis: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        answer = maskmill("flower", "--port", port, env={"MASKMILL_BROKER_URL": guarded_redis})
    assert answer.rc == 3
    assert f"127.0.0.1:{port}" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("login", ["nobody", ":word", "someone:", "üser:word", "user:wo\nrd"])
def test_a_malformed_login_is_refused_and_not_repeated(login: str) -> None:
    with pytest.raises(UsageError, match="user:password") as refused:
        read_logins(login, None)
    assert login not in str(refused.value)


def test_logins_of_a_file_are_lines(tmp_path: Path) -> None:
    file = tmp_path / "logins"
    file.write_text("\n# comment\n a:b \nc:d:e,f\n")
    assert read_logins("x:y", file) == ["x:y", "a:b", "c:d:e,f"]
    file.write_text("# nobody\n")
    with pytest.raises(UsageError, match="no login"):
        read_logins(None, file)
    with pytest.raises(UsageError, match="cannot be read"):
        read_logins(None, tmp_path / "absent")


def test_loopback_is_told_from_the_rest() -> None:
    assert [a for a in ("127.0.0.1", "::1", "localhost", "127.9.9.9") if not is_loopback(a)] == []
    assert [a for a in ("0.0.0.0", "::", "", "10.0.0.1", "localhost.evil.example") if is_loopback(a)] == []


def test_the_private_redis_of_these_tests_wants_its_password(guarded_redis: str) -> None:
    with pytest.raises(redis.RedisError), redis.from_url(guarded_redis.replace(PASSWORD, "other")) as client:
        client.ping()
