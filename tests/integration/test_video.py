"""A video is the folder of its frames: on any number of processes, in every command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Command, PrivateRedis
from tests.oracle import check, tree
from tests.videos import copy_packets, in_sequence, write_video

FRAMES = 24
FLAGS = ["--crop-style", "buffalo"]
H264 = {"g": "8", "bf": "3", "crf": "18"}


def scene(astronaut: Image.Image, frames: int = FRAMES) -> list[Image.Image]:
    """A woman who moves to the right, and is not there in the frames 10 to 13."""
    pictures = []
    for number in range(frames):
        picture = Image.new("RGB", (280, 200), "#5a5a5a")
        if not 10 <= number < 14:
            picture.paste(astronaut.resize((200, 200)), (number, 0))
        pictures.append(picture)
    return pictures


@pytest.fixture(scope="module")
def clip(astronaut: Image.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    return write_video(path, scene(astronaut), **H264)


@pytest.fixture(scope="module")
def expected(
    session_command: Command, clip: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[bytes, str]:
    """What a folder of the frames gives, decoded in sequence by the test and saved as PNG."""
    folder = tmp_path_factory.mktemp("frames")
    for number, (_, bgr, _) in enumerate(in_sequence(clip), 1):
        Image.fromarray(np.ascontiguousarray(bgr[:, :, ::-1])).save(folder / f"clip_{number:06}.png")
    out = tmp_path_factory.mktemp("folder") / "out"
    answer = session_command("run", "--input", folder, "--output", out, "--workers", 0, "--quiet", *FLAGS)
    assert answer.rc == 0, answer.stderr
    assert check(out).states == {"done": FRAMES - 4, "missed": 4}
    return tree(out)


def test_frames_give_the_files_that_a_folder_of_them_gives(
    maskmill: Command, clip: Path, expected: dict[bytes, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    answer = maskmill(
        "run", "--input", clip, "--output", out, "--workers", 4, "--quiet", *FLAGS,
        env={"MASKMILL_CHUNK_SIZE": "4"},
    )  # fmt: skip
    assert (answer.rc, answer.stderr) == (0, "")
    facts = check(out)
    assert tree(out) == expected
    assert next(iter(facts.images)) == b"clip_000001.png"
    assert [row["frame_index"] for row in facts.images.values()] == list(range(FRAMES))
    missed = (out / "missed_images.txt").read_text().splitlines()
    assert missed == [f"{clip}/clip_{number:06}.png" for number in range(11, 15)]
    assert maskmill.processes() == []


def test_one_worker_of_another_broker_gives_them_too(
    maskmill: Command,
    private_redis: PrivateRedis,
    clip: Path,
    expected: dict[bytes, str],
    postgres_url: str,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    env = {
        "MASKMILL_BROKER_URL": private_redis.url,
        "MASKMILL_DATABASE_URL": postgres_url,
        "MASKMILL_WORKERS": "1",
    }
    assert maskmill("db", "upgrade", env=env).rc == 0
    worker = maskmill.start("worker", "--stage", "all", env=env)
    answer = maskmill("enqueue", "--input", clip, "--output", out, "--wait", "--json", *FLAGS, env=env)
    assert answer.rc == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert told["videos"] == [
        {
            "path": str(clip),
            "frames": FRAMES,
            "counted": FRAMES,
            "is_accurate": True,
            "decoded": FRAMES,
        }
    ]
    worker.send_signal(signal.SIGTERM)
    assert maskmill.end_of(worker).rc == 0
    check(out, postgres_url)
    assert tree(out) == expected


def test_every_nth_frame_and_the_skip_list_count_from_zero(
    maskmill: Command, clip: Path, expected: dict[bytes, str], tmp_path: Path
) -> None:
    out, skip = tmp_path / "out", tmp_path / "skip.txt"
    skip.write_text("0\n12, 13\n999\n")
    answer = maskmill(
        "run", "--input", clip, "--output", out, "--workers", 0, "--every-n", 4, "--skip-list", skip,
        "--json", *FLAGS,
    )  # fmt: skip
    assert answer.rc == 0, answer.stderr
    told = json.loads(answer.stdout)
    assert (told["found"], told["left_out"], told["images"]["total"]) == (FRAMES, FRAMES - 4, 4)
    facts = check(out)
    assert [row["frame_index"] for row in facts.images.values()] == [4, 8, 16, 20]
    assert tree(out).items() <= expected.items()
    assert "input: 24 found, 20 left out, 4 to do" in maskmill("status", "--output", out).stdout


def test_the_missed_frames_are_a_list_and_can_be_tried_again(
    maskmill: Command, clip: Path, tmp_path: Path
) -> None:
    video = shutil.copy(clip, tmp_path / "other.mp4")
    (tmp_path / "some.txt").write_text("other.mp4/other_000012.png\nother.mp4/other_000013.png\n")
    for source, out in (("@some.txt", "first"), ("@first/missed_images.txt", "second")):
        answer = maskmill(
            "run", "--input", source, "--output", out, "--workers", 0, "--quiet", *FLAGS, cwd=tmp_path
        )
        assert answer.rc == 0, answer.stderr
        facts = check(tmp_path / out)
        assert facts.states == {"missed": 2}
        assert [row["frame_index"] for row in facts.images.values()] == [11, 12]
    assert Path(video).exists()


def test_the_tail_of_a_cut_video_fails_and_the_rest_is_done(
    maskmill: Command, astronaut: Image.Image, tmp_path: Path
) -> None:
    whole = write_video(tmp_path / "whole.mp4", scene(astronaut, 20), g="10", bf="2", crf="18")
    path = copy_packets(whole, tmp_path / "cut.mp4", movflags="faststart")
    os.truncate(path, path.stat().st_size * 85 // 100)
    out = tmp_path / "out"
    answer = maskmill("run", "--input", path, "--output", out, "--workers", 2, "--json", *FLAGS)
    assert answer.rc == 1, answer.stderr
    assert "cut short" in answer.stderr
    facts = check(out)
    assert facts.states["failed"] >= 1
    assert facts.states["done"] >= 10
    codes = {row["error_code"] for row in facts.images.values() if row["status"] == "failed"}
    assert codes == {"undecodable"}
    (video,) = json.loads(answer.stdout)["videos"]
    sound = sum(not is_damaged for _, _, is_damaged in in_sequence(path))
    assert video["decoded"] == video["frames"] == sound < video["counted"]


@pytest.mark.soak
def test_two_videos_of_one_name_do_not_meet(maskmill: Command, clip: Path, tmp_path: Path) -> None:
    names = ["a/clip.mp4", "b/clip.mp4", "b/clip.mov"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(clip, tmp_path / name)
    inputs = [word for name in names for word in ("--input", name)]
    flags = ["--output", "out", "--workers", 0, "--every-n", 16, "--quiet", *FLAGS]
    assert maskmill("run", *inputs, *flags, cwd=tmp_path).rc == 0
    facts = check(tmp_path / "out")
    # Of 72 frames the 1st, 17th, 33rd (9th of the second), 49th (1st of the third) and 65th.
    assert sorted(facts.images) == [
        b"a/clip.mp4/clip_000001.png",
        b"a/clip.mp4/clip_000017.png",
        b"b/clip.mov/clip_000001.png",
        b"b/clip.mov/clip_000017.png",
        b"b/clip.mp4/clip_000009.png",
    ]


def test_a_folder_gives_its_images_and_says_how_many_videos_it_leaves_out(
    maskmill: Command, clip: Path, photographs: Path, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    shutil.copy(clip, tmp_path / "in")
    flags = ["--output", tmp_path / "out", "--workers", 0, *FLAGS]
    answer = maskmill("run", "--input", tmp_path / "in", *flags)
    assert answer.rc == 2
    assert "1 videos inside folders" in answer.stderr
    shutil.copy(photographs / "grey.png", tmp_path / "in")
    answer = maskmill("run", "--input", tmp_path / "in", *flags)
    assert answer.rc == 0
    assert "1 videos inside folders" in answer.stderr
    assert list(check(tmp_path / "out").images) == [b"grey.png"]


def test_what_is_no_video_is_refused_before_anything_is_written(maskmill: Command, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("hello")
    answer = maskmill("run", "--input", tmp_path / "notes.mp4", "--output", tmp_path / "out", "--workers", 0)
    assert answer.rc == 2
    assert "notes.mp4 cannot be opened as a video" in answer.stderr
    assert len(answer.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.soak
def test_a_video_that_changed_since_is_noticed_and_read_anew(
    maskmill: Command, astronaut: Image.Image, tmp_path: Path
) -> None:
    path, out = tmp_path / "clip.mp4", tmp_path / "out"
    write_video(path, scene(astronaut, 6), **H264)
    flags = ["--output", out, "--workers", 0, "--quiet", *FLAGS]
    assert maskmill("run", "--input", path, *flags).rc == 0
    with sqlite3.connect(out / "maskmill.db") as database:
        database.execute("UPDATE images SET status = 'queued' WHERE frame_index = 5")
        database.execute("DELETE FROM artifacts WHERE path LIKE 'clip_000006%'")
    database.close()
    write_video(path, scene(astronaut, 8), **H264)
    # Without looking for images anew, the frame is of a video that is no longer there.
    assert maskmill("resume", "--output", out).rc == 1
    assert maskmill("run", "--input", path, *flags).rc == 0
    assert check(out).states == {"done": 8}


def test_what_lies_in_the_output_already_is_left_out(
    maskmill: Command, clip: Path, expected: dict[bytes, str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    flags = ["--output", out, "--workers", 0, "--every-n", 6, "--json", *FLAGS]
    assert maskmill("run", "--input", clip, *flags).rc == 0
    before = tree(out)
    (out / "maskmill.db").unlink()
    (out / "clip_000007_aug0_buffalo.jpg").unlink()
    answer = maskmill("run", "--input", clip, *flags, "--skip-existing")
    assert answer.rc == 0, answer.stderr
    told = json.loads(answer.stdout)
    # One was removed, and one (frame 12) has no face: its absence from the output says nothing.
    assert (told["found"], told["left_out"]) == (FRAMES, FRAMES - 2)
    assert (told["images"]["done"], told["images"]["missed"]) == (1, 1)
    assert tree(out) == before
    # What has a row counts by its row: nothing is left to do.
    told = json.loads(maskmill("run", "--input", clip, *flags, "--skip-existing").stdout)
    assert (told["left_out"], told["images"]["done"], told["images"]["open"]) == (FRAMES - 1, 1, 0)
    assert tree(out) == before
