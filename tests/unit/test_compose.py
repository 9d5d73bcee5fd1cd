"""docker-compose.yml and Dockerfile, checked without a Docker engine: what can be known from the text."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from common.settings import Settings
from producer.cli import cli
from producer.flower import LOGIN_VARIABLE
from tests.conftest import PROJECT

DOCKERFILE = (PROJECT / "Dockerfile").read_text()
COMPOSE_TEXT = (PROJECT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one["image"].startswith("maskmill:")}
ONE_SHOT = {"migrate", "producer"}
PINNED = re.compile(r"[a-z]+:\d+\.\d+\.?\d*-[a-z-]+")
KEYS = {
    "build", "cap_drop", "command", "depends_on", "deploy", "environment", "healthcheck", "image", "init", "logging",
    "mem_limit", "ports", "profiles", "read_only", "restart", "security_opt", "stop_grace_period", "tmpfs",
    "user", "volumes",
}  # fmt: skip


def instructions() -> Iterator[tuple[str, str]]:
    """(instruction, its text) of the Dockerfile, continued lines joined."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.M))
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        yield word, rest.strip()


def command_lines() -> Iterator[list[str]]:
    """Every maskmill command line of the files, comments of the files included."""
    for service in OURS.values():
        yield [str(word) for word in service["command"]]
        test = service.get("healthcheck", {}).get("test", [])
        if test[:2] == ["CMD", "maskmill"]:
            yield test[2:]
    for text in re.findall(r"^#\s+docker compose run --rm producer +([a-z][^#\n]*)", COMPOSE_TEXT, re.M):
        yield shlex.split(text)
    for text in re.findall(r"^#\s+(run --input .*|maskmill:\w+ run .*)$", DOCKERFILE, re.M):
        yield shlex.split(re.sub(r"^maskmill:\w+ ", "", text))


@pytest.mark.parametrize("words", list(command_lines()), ids=" ".join)
def test_every_command_line_is_understood(words: list[str]) -> None:
    command: click.Command = cli
    context = click.Context(cli, info_name="maskmill")
    rest = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", word) for word in words]
    while isinstance(command, click.Group):
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, f"there is no {name}"
        command = found
        context = click.Context(command, info_name=name, parent=context)
    # Reads options and arguments, and does nothing.
    command.make_context(context.info_name, list(rest), parent=context.parent)


def test_there_is_a_job_in_one_container_among_them() -> None:
    assert ["run", "--input", "/data/in", "--output", "/data/out"] in list(command_lines())


def test_every_variable_of_ours_is_a_setting() -> None:
    settings = {f"MASKMILL_{name.upper()}" for name in Settings.model_fields} | {LOGIN_VARIABLE}
    used = set(re.findall(r"MASKMILL_[A-Z_]+", COMPOSE_TEXT + DOCKERFILE))
    assert used
    assert used - settings == set()


def test_every_variable_of_the_environment_is_explained() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE_TEXT))
    explained = set(re.findall(r"(\w+)=", "\n".join(re.findall(r"^#.*$", COMPOSE_TEXT, re.M))))
    assert asked - explained == {"AUGMENT_PROCESSES"}


def test_no_secret_is_written_down() -> None:
    """Passwords come from the environment, and Compose refuses to start without them."""
    for service in SERVICES.values():
        for name, text in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|AUTH|TOKEN", name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", text), name
            for password in re.findall(r"://[^:/]*:(.*?)@", text):
                assert re.fullmatch(r"\$\{\w+:\?[^}]+\}", password), name
        # What is on a command line can be read by every process of the host.
        for word in service.get("command", []):
            assert not re.search(r"(?<!\$)\$\{\w*(PASSWORD|LOGIN)", str(word))
    assert not re.search("PASSWORD|SECRET|TOKEN|AUTH", DOCKERFILE)


def test_images_are_pinned() -> None:
    for service in SERVICES.values():
        if service["image"].startswith("maskmill:"):
            assert service["build"]["target"] == service["image"].removeprefix("maskmill:")
        else:
            assert PINNED.fullmatch(service["image"]), service["image"]
    bases = [text.split() for word, text in instructions() if word == "FROM"]
    stages = {words[-1] for words in bases}
    assert stages == {"cpu", "cuda"} == {one["build"]["target"] for one in OURS.values()}
    for base, *_ in bases:
        assert base in stages or PINNED.fullmatch(base), base


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_shut_in(name: str) -> None:
    service = SERVICES[name]
    assert set(service) <= KEYS
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    users = re.findall(r"(?:^|:)(?:\$\{\w+:-)?(\d+)", service["user"])
    assert len(users) == 2
    assert "0" not in users
    assert service["logging"]["options"]["max-size"]
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), port


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT))
def test_every_lasting_service_is_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    check = service["healthcheck"]
    assert check["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries"} <= set(check)


def test_services_that_are_needed_exist_and_can_be_waited_for() -> None:
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[needed]
            else:
                assert how["condition"] == "service_completed_successfully"
                assert needed in ONE_SHOT
            # One that is in no profile must not need one that is.
            assert "profiles" not in SERVICES[needed]


def test_every_process_sees_the_pictures_under_the_same_paths() -> None:
    sees = {name for name, one in OURS.items() if "/data/masked" in str(one.get("volumes"))}
    assert sees == {"detect", "detect-gpu", "augment", "reconcile", "producer"}
    assert len({str(OURS[name]["volumes"]) for name in sees}) == 1
    assert {
        name for name, one in OURS.items() if one["environment"].keys() >= {"MASKMILL_DATABASE_URL"}
    } == set(OURS)


def test_named_volumes_are_declared() -> None:
    mounts = [one for service in SERVICES.values() for one in service.get("volumes", [])]
    named = {one.split(":")[0] for one in mounts if re.match(r"[a-z]", one)}
    assert named == set(COMPOSE["volumes"])


def test_redis_keeps_its_queues() -> None:
    command = SERVICES["redis"]["command"][-1]
    for part in ("--appendonly yes", "--maxmemory-policy noeviction", "--maxmemory 256mb", "requirepass"):
        assert part in command
    version = [int(one) for one in re.findall(r"\d+", SERVICES["redis"]["image"])]
    assert version >= [8, 2, 2]


def test_the_gpu_is_reserved_for_detection() -> None:
    devices = SERVICES["detect-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == [{"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}]
    assert [name for name, one in SERVICES.items() if "deploy" in one] == ["detect-gpu"]


def test_the_image_runs_as_nobody_in_particular() -> None:
    found = list(instructions())
    last: dict[str, str] = {}
    stage = ""
    for word, text in found:
        stage = text.split()[-1] if word == "FROM" else stage
        if word == "USER":
            last[stage] = text
    assert last == {"cpu": "10001:10001", "cuda": "10001:10001"}
    assert ("ENTRYPOINT", '["docker-entrypoint.sh"]') in found
    known = {"FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in found} <= known
    for word, text in found:
        if word == "RUN" and "apt-get install" in text:
            assert "--no-install-recommends" in text
            assert "rm -rf /var/lib/apt/lists" in text
        if word == "RUN" and "pip install" in text:
            assert "--no-cache-dir" in text
            assert "-c constraints.txt" in text


def test_what_is_copied_exists_and_is_let_through() -> None:
    let_through = set(re.findall(r"^!(.+)$", (PROJECT / ".dockerignore").read_text(), re.M))
    copied: set[str] = set()
    for word, text in instructions():
        if word == "COPY":
            copied.update(one for one in text.split()[:-1] if not one.startswith("--"))
    assert copied == let_through
    assert [one for one in copied if not (PROJECT / one).exists()] == []


@pytest.fixture
def programs(tmp_path: Path) -> dict[str, str]:
    """An environment whose only programs are `maskmill` and `bash`, which say what they were called with."""
    for name in ("maskmill", "bash"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "%s|" {name} "$@"\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "status").mkdir()
    return {"PATH": str(tmp_path)}


@pytest.mark.parametrize(
    ("words", "called"),
    [
        ([], "maskmill|"),
        (["--help"], "maskmill|--help|"),
        (["run", "--input", "a b", "--output", "*"], "maskmill|run|--input|a b|--output|*|"),
        (["status"], "maskmill|status|"),
        (["export", "x"], "maskmill|export|x|"),
        (["maskmill", "status"], "maskmill|status|"),
        (["bash", "-c", "echo a b"], "bash|-c|echo a b|"),
    ],
)
def test_the_entry_point_passes_programs_through(
    programs: dict[str, str], words: list[str], called: str
) -> None:
    script = PROJECT / "docker-entrypoint.sh"
    assert os.access(script, os.X_OK)
    answer = subprocess.run(
        ["/bin/sh", script, *words], env=programs, capture_output=True, text=True, check=True
    )
    assert (answer.stdout, answer.stderr) == (called, "")


def test_the_entry_point_passes_a_path_through(programs: dict[str, str]) -> None:
    answer = subprocess.run(
        ["/bin/sh", PROJECT / "docker-entrypoint.sh", "/bin/sh", "-c", "echo there"],
        env=programs, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answer.stdout == "there\n"


def test_no_command_is_the_name_of_a_program_that_is_installed_with_it() -> None:
    scripts = {
        one.name for one in importlib.metadata.entry_points(group="console_scripts") if one.name != "maskmill"
    }
    assert set(cli.list_commands(click.Context(cli))) & scripts == set()
