"""`--filter` and `--nfilter`, as a user has them.

People are one astronaut in several tints, told apart by a network made here; dlib's own is asked about
the astronaut, and about the photographs beside the project where they are.
"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Answer, Command, PrivateRedis
from tests.embedders import write_tint_embedder
from tests.oracle import check, read_facts, tree

RED, BLUE = (1.0, 0.55, 0.5), (0.5, 0.6, 1.0)
CROPS = ["--no-mask", "--crop-style", "buffalo", "--save-full", "never"]


def tinted(picture: Image.Image, tint: tuple[float, float, float], light: float = 1.0) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(picture) * np.array(tint) * light, 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def folder(astronaut: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`in/` with red, dim red and blue people, one of both and one of none; `red/`, `blue/`: references."""
    top = tmp_path_factory.mktemp("people")
    for name in ("in", "red", "blue"):
        (top / name).mkdir()
    face = astronaut.crop((20, 0, 220, 240))
    mirrored = face.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    tinted(face, RED).save(top / "in" / "red.png")
    tinted(mirrored, RED, 0.8).save(top / "in" / "dim.png")
    tinted(face, BLUE).save(top / "in" / "blue.png")
    both = Image.new("RGB", (400, 240))
    both.paste(tinted(mirrored, BLUE), (0, 0))
    both.paste(tinted(face, RED, 0.9), (200, 0))
    both.save(top / "in" / "both.png")
    Image.new("RGB", (64, 64), "#808080").save(top / "in" / "none.png")
    tinted(mirrored, RED).save(top / "red" / "one.png")
    tinted(face.resize((300, 360)), RED, 0.7).save(top / "red" / "two.png")
    tinted(mirrored, BLUE, 0.8).save(top / "blue" / "one.png")
    write_tint_embedder(top / "tint.onnx")
    return top


def run(command: Command, folder: Path, out: Path, *more: object) -> Answer:
    return command("run", "--input", folder / "in", "--output", out, "--workers", 0, *CROPS, *more)


@pytest.fixture(scope="module")
def red_only(session_command: Command, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("red") / "out"
    more = ("--filter", folder / "red", "--identity-model", folder / "tint.onnx")
    answer = run(session_command, folder, out, *more)
    assert answer.rc == 0, answer.stderr
    return out


def faces(command: Command, out: Path) -> list[dict[str, object]]:
    told = command("export", "--output", out, "--table", "faces", "--format", "jsonl").stdout
    return [json.loads(line) for line in told.splitlines()]


def test_only_wanted_people_get_artifacts(maskmill: Command, red_only: Path) -> None:
    facts = check(red_only)
    assert {path: row["status"] for path, row in facts.images.items()} == {
        b"red.png": "done", b"dim.png": "done", b"both.png": "done", b"blue.png": "missed", b"none.png": "missed",
    }  # fmt: skip
    # One accepted face: no number in the name.
    assert set(tree(red_only)) == {b"red_buffalo.jpg", b"dim_buffalo.jpg", b"both_buffalo.jpg"}
    names = [Path(line).name for line in (red_only / "missed_images.txt").read_text().splitlines()]
    assert names == ["blue.png", "none.png"]
    rows = {(Path(str(row["image_path"])).stem, row["status"]): row for row in faces(maskmill, red_only)}
    assert set(rows) == {
        ("red", "accepted"), ("dim", "accepted"), ("both", "accepted"),
        ("both", "rejected:identity"), ("blue", "rejected:identity"),
    }  # fmt: skip
    for (_, status), row in rows.items():
        wanted = row["wanted_distances"]
        assert isinstance(wanted, list) and len(wanted) == 2 and row["unwanted_distances"] == []
        assert (sum(wanted) / 2 <= 0.05) == (status == "accepted") == (row["identity_rule"] == 6)
        assert row["identity_rule"] in (1, 6)
        assert (row["face_index"] == 0) == (status == "accepted")
    left, right = rows["both", "rejected:identity"], rows["both", "accepted"]
    assert left["x2"] < right["x1"]  # type: ignore[operator]


def test_references_and_decisions_are_listed(maskmill: Command, folder: Path, red_only: Path) -> None:
    told = json.loads(maskmill("identity", "list", "--output", red_only, "--json").stdout)
    assert told["threshold"] == 0.05 and told["embedder"].startswith("tint-")
    assert [(row["list"], row["path"]) for row in told["references"]] == [
        ("wanted", str(folder / "red" / "one.png")), ("wanted", str(folder / "red" / "two.png")),
    ]  # fmt: skip
    assert {row["embedder"] for row in told["references"]} == {told["embedder"]}
    assert told["decisions"] == {"1": 2, "2": 0, "3": 0, "4": 0, "5": 0, "6": 3}
    words = maskmill("identity", "list", told["job"], cwd=red_only).stdout
    assert "rule 1, rejected" in words and ": 2 faces" in words and "rule 6, accepted: 3 faces" in words


def test_unwanted_people_are_left_out(maskmill: Command, folder: Path, tmp_path: Path) -> None:
    more = ("--nfilter", folder / "red", "--identity-model", folder / "tint.onnx")
    assert run(maskmill, folder, tmp_path / "out", *more).rc == 0
    assert set(tree(tmp_path / "out")) == {b"blue_buffalo.jpg", b"both_buffalo.jpg"}
    assert {row["identity_rule"] for row in faces(maskmill, tmp_path / "out")} == {2, 6}


def test_both_lists_together_ask_who_is_nearer(maskmill: Command, folder: Path, tmp_path: Path) -> None:
    # So wide a threshold that only the comparison of the lists decides.
    more = ("--filter", folder / "red", "--nfilter", folder / "blue", "--filter-threshold", 2)
    answer = run(maskmill, folder, tmp_path / "out", *more, "--identity-model", folder / "tint.onnx")
    assert answer.rc == 0, answer.stderr
    assert set(tree(tmp_path / "out")) == {b"red_buffalo.jpg", b"dim_buffalo.jpg", b"both_buffalo.jpg"}
    assert {row["identity_rule"] for row in faces(maskmill, tmp_path / "out")} == {3, 6}


def test_the_same_command_continues_and_another_filter_is_refused(
    maskmill: Command, folder: Path, red_only: Path, tmp_path: Path
) -> None:
    before = tree(red_only)
    model = ("--identity-model", folder / "tint.onnx")
    # What counts is what a picture shows, not where it lies.
    moved = shutil.copytree(folder / "red", tmp_path / "elsewhere")
    again = run(
        maskmill, folder, red_only, "--filter", moved / "two.png", "--filter", moved / "one.png", *model
    )
    assert again.rc == 0, again.stderr
    assert tree(red_only) == before
    assert len(read_facts(red_only).images) == 5
    refused = run(maskmill, folder, red_only, "--filter", folder / "red" / "one.png", *model)
    assert refused.rc == 2 and "maskmill: --filter:" in refused.stderr, refused.stderr
    assert tree(red_only) == before


def test_references_that_cannot_be_used_are_named_before_anything_is_written(
    maskmill: Command, folder: Path, tmp_path: Path
) -> None:
    model = ("--identity-model", folder / "tint.onnx")
    for said, more in (
        (f"--filter {tmp_path}/absent.png: it cannot be read", ("--filter", tmp_path / "absent.png", *model)),
        (
            f"--filter {folder}/in/none.png: no face is found in it",
            ("--filter", folder / "in" / "none.png", *model),
        ),
    ):
        refused = run(maskmill, folder, tmp_path / "out", *more)
        assert refused.rc == 2 and said in refused.stderr, refused.stderr
        assert "Traceback" not in refused.stderr
        assert not (tmp_path / "out").exists()


def test_of_several_faces_in_a_reference_the_largest_is_taken(
    maskmill: Command, folder: Path, tmp_path: Path
) -> None:
    group = Image.new("RGB", (520, 240))
    group.paste(Image.open(folder / "in" / "red.png"), (0, 0))
    group.paste(Image.open(folder / "in" / "blue.png").resize((120, 144)), (300, 0))
    group.save(tmp_path / "group.png")
    more = ("--filter", tmp_path / "group.png", "--identity-model", folder / "tint.onnx")
    dry = run(maskmill, folder, tmp_path / "out", *more, "--dry-run", "--json")
    assert f"--filter {tmp_path}/group.png: 2 faces are in it, the largest one is taken" in dry.stderr
    assert json.loads(dry.stdout)["faces"] == 3  # the three red ones
    assert not (tmp_path / "out").exists()


def test_workers_on_redis_and_postgresql_decide_the_same(
    maskmill: Command,
    folder: Path,
    red_only: Path,
    private_redis: PrivateRedis,
    postgres_url: str,
    tmp_path: Path,
) -> None:
    env = {"MASKMILL_BROKER_URL": private_redis.url, "MASKMILL_DATABASE_URL": postgres_url}
    assert maskmill("db", "upgrade", env=env).rc == 0
    worker = maskmill.start("worker", "--workers", 2, env=env)
    out = tmp_path / "out"
    answer = maskmill(
        "enqueue", "--input", folder / "in", "--output", out, "--wait", "--json", *CROPS,
        "--filter", folder / "red", "--identity-model", folder / "tint.onnx", env=env,
    )  # fmt: skip
    assert answer.rc == 0, answer.stderr
    check(out, postgres_url)
    assert tree(out) == tree(red_only)
    told = json.loads(maskmill("identity", "list", "--json", env=env).stdout)
    assert told["decisions"] == {"1": 2, "2": 0, "3": 0, "4": 0, "5": 0, "6": 3}
    worker.send_signal(signal.SIGTERM)
    maskmill.end_of(worker)


def test_dlib_knows_the_astronaut_again(
    maskmill: Command, photographs: Path, astronaut: Image.Image, tmp_path: Path
) -> None:
    astronaut.save(tmp_path / "reference.png")
    flags = ("--workers", 0, *CROPS, "--input")
    kept = maskmill(
        "run", *flags, photographs, "--output", tmp_path / "kept", "--filter", tmp_path / "reference.png"
    )
    assert kept.rc == 0, kept.stderr
    facts = check(tmp_path / "kept")
    assert facts.states == {"done": 6, "missed": 1}
    assert {row["identity_rule"] for row in faces(maskmill, tmp_path / "kept")} == {6}
    dropped = maskmill(
        "run",
        *flags,
        photographs / "sub",
        "--output",
        tmp_path / "none",
        "--nfilter",
        tmp_path / "reference.png",
    )
    assert dropped.rc == 0, dropped.stderr
    assert check(tmp_path / "none").states == {"missed": 2}
    assert len(faces(maskmill, tmp_path / "none")) == 3


def test_one_man_is_known_again_among_others(maskmill: Command, shared_faces: Path, tmp_path: Path) -> None:
    """His face turned, rescaled, compressed, darkened and lightened is accepted, everybody else is not."""
    man = Image.open(shared_faces / "Tom_Cruise_avp_2014_4.jpg").convert("RGB")
    people = tmp_path / "in"
    people.mkdir()
    man.rotate(15, Image.Resampling.BICUBIC, expand=True).save(people / "him_turned.png")
    man.resize((man.width // 3, man.height // 3), Image.Resampling.LANCZOS).save(people / "him_small.png")
    man.resize((man.width * 2, man.height * 2), Image.Resampling.BICUBIC).save(people / "him_large.png")
    man.save(people / "him_pressed.jpg", quality=25)
    for name, gamma in (("dark", 1.6), ("light", 0.6)):
        man.point([round(255 * (k / 255) ** gamma) for k in range(256)] * 3).save(people / f"him_{name}.png")
    for name in ("2008_001322.jpg", "2009_004587.jpg", "2008_002506.jpg", "2008_001009.jpg"):
        shutil.copy(shared_faces / name, people / f"other_{name}")
    answer = maskmill(
        "run", "--input", people, "--output", tmp_path / "out", *CROPS, "--quiet",
        "--filter", shared_faces / "Tom_Cruise_avp_2014_4.jpg",
    )  # fmt: skip
    assert answer.rc == 0, answer.stderr
    rows = faces(maskmill, tmp_path / "out")
    accepted = sorted(Path(str(row["image_path"])).stem for row in rows if row["status"] == "accepted")
    assert accepted == ["him_dark", "him_large", "him_light", "him_pressed", "him_small", "him_turned"]
    rejected = [row for row in rows if row["status"] == "rejected:identity"]
    assert len(rejected) >= 8 and all("other_" in str(row["image_path"]) for row in rejected)
