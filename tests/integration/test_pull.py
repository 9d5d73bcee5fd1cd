"""`maskmill models pull` as a user has it: processes that wait for each other, die, are interrupted."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.bad_server import CONTENT, Server, part_from, respond, serving, start_of
from tests.conftest import Command, wait_until


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as told:
        yield told


@pytest.fixture
def cache(maskmill: Command, tmp_path: Path) -> Path:
    maskmill.environment["XDG_CACHE_HOME"] = str(tmp_path / "cache")
    return tmp_path / "cache" / "maskmill" / "models"


@pytest.fixture
def manifest(server: Server, tmp_path: Path) -> Path:
    path = tmp_path / "models.json"
    model = {
        "name": "net",
        "use": "a test",
        "address": f"{server.url}/net.onnx",
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "size": len(CONTENT),
        "licence": "CC0",
    }
    path.write_text(json.dumps({"model": [model]}))
    return path


FIRST = 200_000
"""Bytes that the held server gives at once."""


class Held:
    """The server gives the first bytes, then one at a time until a word comes.

    A server that fell silent would be left for another attempt after some seconds, which a busy machine takes
    for anything.
    """

    def __init__(self, server: Server) -> None:
        self.go_on = threading.Event()
        self.half_sent = threading.Event()
        server.behave = self._answer

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        if start_of(request) or self.go_on.is_set():
            part_from(request, CONTENT)
            return
        request.send_response(200)
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        sent = FIRST
        request.wfile.write(CONTENT[:sent])
        self.half_sent.set()
        try:
            while not self.go_on.wait(0.1):
                request.wfile.write(CONTENT[sent : sent + 1])
                sent += 1
            request.wfile.write(CONTENT[sent:])
        except OSError:
            request.close_connection = True


def parts(cache: Path) -> list[int]:
    return [path.stat().st_size for path in cache.glob("*.part")] if cache.is_dir() else []


def test_a_model_is_pulled_listed_and_verified(
    maskmill: Command, cache: Path, manifest: Path, server: Server
) -> None:
    told = maskmill("models", "pull", "net", "--manifest", manifest)
    assert (told.rc, told.stderr) == (0, "")
    assert told.stdout == f"net: fetched ({cache}/net.onnx); licence: CC0\n"
    assert (cache / "net.onnx").read_bytes() == CONTENT
    assert "net: already there" in maskmill("models", "pull", "net", "--manifest", manifest).stdout
    assert (
        "net: already there" in maskmill("models", "pull", "rfb", "net", "--manifest", _all(manifest)).stdout
    )
    assert len(server.ranges) == 2
    assert (
        f"net: ok ({cache}/net.onnx, 0.5 MB)" in maskmill("models", "verify", "--manifest", manifest).stdout
    )
    listed = maskmill("models", "list", "--manifest", manifest, "--json").stdout.splitlines()
    rows = {row["name"]: row for row in map(json.loads, listed)}
    assert rows["net"]["path"] == str(cache / "net.onnx")
    assert rows["net"]["address"] == f"{server.url}/net.onnx"
    assert rows["rfb"]["known_size"] == 1_270_727 and rows["rfb"]["address"].startswith("https://")
    (cache / "net.onnx").write_bytes(CONTENT[:-1])
    assert "net: mismatch" in maskmill("models", "verify", "--manifest", manifest).stdout


def _all(manifest: Path) -> Path:
    """The same manifest, with our own rfb at the test's server."""
    told = json.loads(manifest.read_text())
    told["model"].append({**told["model"][0], "name": "rfb", "file": "rfb.onnx"})
    path = manifest.with_name("all.json")
    path.write_text(json.dumps(told))
    return path


def test_of_two_processes_one_fetches_and_the_other_waits(
    maskmill: Command, cache: Path, manifest: Path, server: Server
) -> None:
    held = Held(server)
    first = maskmill.start("models", "pull", "net", "--manifest", manifest)
    assert held.half_sent.wait(240)
    second = maskmill.start("models", "pull", "net", "--manifest", manifest)
    assert second.stderr is not None
    assert b"another process fetches net: waiting" in second.stderr.readline()
    held.go_on.set()
    assert {maskmill.end_of(one).rc for one in (first, second)} == {0}
    assert server.ranges == [None]
    assert (cache / "net.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_what_a_stopped_process_had_is_gone_on_with(
    maskmill: Command, cache: Path, manifest: Path, server: Server, how: signal.Signals
) -> None:
    held = Held(server)
    process = maskmill.start("models", "pull", "net", "--manifest", manifest)
    wait_until(lambda: sum(parts(cache)) >= FIRST, "the first half")
    process.send_signal(how)
    ended = maskmill.end_of(process)
    if how == signal.SIGINT:
        assert ended.rc == 130
        assert ended.stderr.strip() == "maskmill: interrupted; the same command goes on where it stopped"
    assert not (cache / "net.onnx").exists()
    (kept,) = parts(cache)
    assert FIRST <= kept < len(CONTENT)
    held.go_on.set()
    assert maskmill("models", "pull", "net", "--manifest", manifest).rc == 0
    assert server.ranges == [None, f"bytes={kept}-"]
    assert (cache / "net.onnx").read_bytes() == CONTENT
    assert parts(cache) == []


def test_a_server_that_refuses_is_one_sentence_with_the_way_by_hand(
    maskmill: Command, cache: Path, manifest: Path, server: Server
) -> None:
    server.behave = lambda request: respond(request, 404, b"")
    told = maskmill("models", "pull", "net", "--manifest", manifest)
    assert (told.rc, told.stdout) == (3, "")
    assert told.stderr.count("\n") == 1
    for part in (f"{server.url}/net.onnx", "404", str(cache), "by hand", "net.onnx"):
        assert part in told.stderr


def test_a_cache_that_cannot_be_written_is_one_sentence(
    maskmill: Command, cache: Path, manifest: Path
) -> None:
    cache.parent.parent.mkdir(parents=True)
    cache.parent.write_bytes(b"a file stands there")
    told = maskmill("models", "pull", "net", "--manifest", manifest)
    assert told.rc == 3 and told.stderr.count("\n") == 1
    assert str(cache) in told.stderr and "XDG_CACHE_HOME" in told.stderr


def test_wrong_names_are_usage_errors(maskmill: Command, manifest: Path) -> None:
    for arguments in (("onnx98",), ("nonsense",), ("net",), ("net", "--manifest", "/absent.toml")):
        told = maskmill("models", "pull", *arguments)
        assert told.rc == 2 and told.stderr.count("\n") == 1, told.stderr


def test_a_missing_model_names_the_command_that_fetches_it(
    maskmill: Command, tmp_path: Path, astronaut: object
) -> None:
    """What a worker that has no model would say, without a package that carries it."""
    from PIL import Image

    assert isinstance(astronaut, Image.Image)
    astronaut.save(tmp_path / "a.png")
    told = maskmill("run", "--input", tmp_path / "a.png", "--output", tmp_path / "out", "--detector", "rfb")
    assert told.rc == 3 and "maskmill models pull rfb" in told.stderr
    assert not (tmp_path / "out").exists()
    assert os.listdir(maskmill.temporary) == []
