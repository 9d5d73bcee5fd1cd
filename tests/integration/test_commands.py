"""The other commands, and what they say when something is missing."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT, SHARED, Command
from tests.oracle import check


@pytest.fixture(scope="module")
def output(session_command: Command, photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("commands") / "out"
    answer = session_command("run", "--input", photographs, "--output", out, "--workers", 0)
    assert answer.rc == 0, answer.stderr
    check(out)
    return out


def test_a_dry_run_writes_nothing(maskmill: Command, photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    answer = maskmill("run", "--input", photographs, "--output", out, "--dry-run", "--json")
    assert answer.rc == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["images"], told["folders"]) == (7, 2)
    assert told["input_bytes"] == sum(one.stat().st_size for one in photographs.rglob("*.*"))
    assert not out.exists()
    assert (
        "nothing was written" in maskmill("run", "--input", photographs, "--output", out, "--dry-run").stdout
    )
    assert not out.exists()


def test_status_tells_counts_as_json_and_in_words(maskmill: Command, output: Path) -> None:
    answer = maskmill("status", "--output", output, "--json")
    assert answer.rc == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["state"] == "done"
    assert (told["images"]["done"], told["images"]["missed"], told["images"]["open"]) == (6, 1, 0)
    assert (told["faces"], told["artifacts"]) == (7, 21)
    words = maskmill("status", told["job"], "--output", output).stdout
    assert "6 done, 1 missed, 0 failed" in words
    assert maskmill("status", "ffffffff", "--output", output).rc == 2
    assert maskmill("status", "--output", output / "elsewhere").rc == 2


def test_what_only_reads_waits_for_nobody_who_writes(maskmill: Command, output: Path) -> None:
    told = maskmill("export", "--output", output, "--table", "images", "--to", "-").stdout
    with contextlib.closing(sqlite3.connect(output / "maskmill.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "6 done" in maskmill("status", "--output", output).stdout
        answer = maskmill("export", "--output", output, "--table", "images", "--to", "-")
        assert (answer.rc, answer.stdout) == (0, told)


def test_export_knows_tables_formats_and_places(maskmill: Command, output: Path, tmp_path: Path) -> None:
    logs = (output / "logs.csv").read_bytes()
    (output / "logs.csv").unlink()
    # Inside the output neither job nor output need be named.
    assert maskmill("export", cwd=output).rc == 0
    assert (output / "logs.csv").read_bytes() == logs
    answer = maskmill("export", "--output", output, "--table", "images", "--to", "-")
    images = list(csv.DictReader(io.StringIO(answer.stdout, newline="")))
    assert [Path(row["image_path"]).name for row in images] == [
        "empty.jpeg", "exif.jpg", "grey.png", "large.webp", "plain.tiff", "two.JPG", "turned.bmp",
    ]  # fmt: skip
    assert [row["faces"] for row in images] == ["0", "1", "1", "1", "1", "2", "1"]
    assert maskmill("export", "--output", output, "--format", "jsonl", "--to", tmp_path / "a.jsonl").rc == 0
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert len(records) == 21 + 1
    faces = maskmill("export", "--output", output, "--table", "faces", "--format", "jsonl").stdout
    for line in faces.splitlines():
        face = json.loads(line)
        assert (len(face["points_5"]), len(face["points_68"])) == (5, 68)
    assert maskmill("export", "--output", output, "--to", tmp_path / "no" / "such" / "x.csv").rc in (0, 2)


def test_models_are_listed_with_their_licence_and_verified(maskmill: Command) -> None:
    answer = maskmill("models", "list", "--json")
    assert answer.rc == 0
    models = {row["name"]: row for row in map(json.loads, answer.stdout.splitlines())}
    assert {"centerface", "dlib68", "dlib-resnet", "rfb", "onnx98"} <= models.keys()
    assert models["centerface"]["licence"] == "MIT"
    assert "no commercial use" in models["dlib68"]["licence"]
    assert Path(models["centerface"]["path"]).name == "centerface.onnx"
    answer = maskmill("models", "verify")
    assert answer.rc == 0
    assert "centerface: ok" in answer.stdout
    assert "dlib68: ok" in answer.stdout


def test_a_model_that_differs_is_told(maskmill: Command, tmp_path: Path) -> None:
    (tmp_path / "centerface.onnx").write_bytes(b"another model")
    answer = maskmill("models", "verify", "--models", tmp_path)
    assert answer.rc == 3
    assert "centerface: mismatch" in answer.stdout


def test_doctor_finds_what_run_needs_and_hides_secrets(maskmill: Command) -> None:
    env = {
        "MASKMILL_BROKER_URL": "redis://:geheim@127.0.0.1:1/0",
        "MASKMILL_DATABASE_URL": "postgresql://me:geheim@127.0.0.1:1/none",
    }
    answer = maskmill("doctor", "--json", env=env)
    assert answer.rc == 0, answer.stdout
    findings = [json.loads(line) for line in answer.stdout.splitlines()]
    assert all(one["is_well"] for one in findings if "run" in one["needed_by"].split(", "))
    assert not any(one["is_well"] for one in findings if one["what"].startswith(("broker", "database")))
    words = maskmill("doctor", env=env)
    assert "geheim" not in answer.stdout + answer.stderr + words.stdout + words.stderr
    assert "MASKMILL_BROKER_URL" in words.stdout


def test_a_database_is_checked_upgraded_and_checked(maskmill: Command, tmp_path: Path) -> None:
    url = ["--database-url", f"sqlite:///{tmp_path}/new.db"]
    answer = maskmill("db", "check", *url)
    assert answer.rc == 3
    assert "maskmill db upgrade" in answer.stderr
    assert maskmill("db", "upgrade", *url).rc == 0
    assert maskmill("db", "upgrade", *url).rc == 0
    assert maskmill("db", "check", *url).rc == 0


def test_postgresql_is_upgraded_and_checked(maskmill: Command, postgres_url: str) -> None:
    env = {"MASKMILL_DATABASE_URL": postgres_url}
    assert maskmill("db", "check", env=env).rc == 3
    assert maskmill("db", "upgrade", env=env).rc == 0
    assert maskmill("db", "check", env=env).rc == 0
    assert "no jobs" in maskmill("status", env=env).stdout


def test_a_database_url_that_is_no_database_is_refused_in_one_sentence(maskmill: Command) -> None:
    for url in ("mysql://localhost/x", "nonsense"):
        answer = maskmill("db", "check", "--database-url", url)
        assert answer.rc in (2, 3)
        assert len(answer.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_detector_that_is_no_model_is_unfit_in_one_sentence(
    maskmill: Command, photographs: Path, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "broken.onnx").write_text("this is no model")
    flags = ["--output", tmp_path / "out", "--detector-model", tmp_path / "broken.onnx", "--workers", workers]
    answer = maskmill("run", "--input", photographs, *flags)
    assert answer.rc == 3
    assert "broken.onnx" in answer.stderr
    assert "Traceback" not in answer.stderr
    sentences = [line for line in answer.stderr.splitlines() if line.startswith("maskmill: ")]
    assert len(sentences) == 1
    assert maskmill.processes() == []


def test_a_missing_model_is_told_before_anything_is_written(
    maskmill: Command, photographs: Path, tmp_path: Path
) -> None:
    flags = ["--input", photographs, "--output", tmp_path / "out"]
    for more in (["--detector-model", "gone.onnx"], ["--landmarks", "onnx98"], ["--detector", "rfb"]):
        answer = maskmill("run", *flags, *more, env={"XDG_CACHE_HOME": str(tmp_path)})
        assert answer.rc == 3, more
        assert len(answer.stderr.strip().splitlines()) == 1
        assert not (tmp_path / "out").exists()


def test_another_detector_runs_from_a_path(maskmill: Command, photographs: Path, tmp_path: Path) -> None:
    if not (SHARED / "models" / "version-RFB-320.onnx").exists():
        pytest.skip(f"{SHARED / 'models'} is not here")
    for name, more in (
        ("a", ["--detector-model", SHARED / "models" / "version-RFB-320.onnx"]),
        ("b", ["--models", SHARED / "models"]),
    ):
        out = tmp_path / name
        flags = ["--input", photographs, "--output", out, "--workers", 0, "--detector", "rfb"]
        answer = maskmill("run", *flags, "--crop-style", "buffalo", *more)
        assert answer.rc == 0, answer.stderr
        assert check(out).states["done"] >= 5


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["models", "list", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys\nfrom producer.cli import main\nsys.argv = ['maskmill', *sys.argv[1:]]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'cv2', 'onnxruntime', 'dlib', 'sqlalchemy', 'numpy', 'celery', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code, *words], check=True, cwd=PROJECT, stdout=subprocess.DEVNULL)
