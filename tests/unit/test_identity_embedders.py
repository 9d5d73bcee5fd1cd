"""Embedders and their descriptions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.errors import UnfitError, UsageError
from common.identity import DLIB_THRESHOLD, ReferenceList, embedder_info, read_description
from common.ledger.references import ReferenceRow
from common.options import JobOptions
from common.weights import find
from tests.embedders import write_tint_embedder
from workers.detectors.base import Detection
from workers.identity.base import distance, unit
from workers.identity.decision import Decision
from workers.identity.dlib_resnet import DlibResnet, open_dlib_resnet
from workers.identity.enrol import warn_of_strangers
from workers.identity.judge import IdentityJudge, embed_faces, open_embedder, require_references
from workers.identity.onnx_embedder import alignment_matrix, open_onnx_embedder
from workers.landmarks.dlib68 import Dlib68, open_dlib68
from workers.selection import select_faces

FIVE = np.array([[30.0, 40], [70, 40], [50, 60], [35, 80], [65, 80]])
"""A face of 112 pixels; its `buffalo` matrix stands in the specification."""


def test_the_distance_is_one_minus_the_cosine() -> None:
    assert distance(unit([3, 0]), unit([5, 0])) == 0
    assert distance(unit([1, 0]), unit([0, 2])) == 1
    assert distance(unit([1, 0]), unit([-4, 0])) == 2
    assert distance(unit([1, 1]), unit([1, 0])) == pytest.approx(1 - 0.5**0.5, abs=1e-6)


@pytest.mark.parametrize("values", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_what_has_no_direction_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        unit(values)


def test_dlib_is_the_default_with_its_own_threshold() -> None:
    info = embedder_info(None)
    assert (info.name, info.threshold) == ("dlib-resnet", DLIB_THRESHOLD)


def test_a_name_says_model_and_description_but_not_the_threshold(tmp_path: Path) -> None:
    one = embedder_info(write_tint_embedder(tmp_path / "a.onnx"))
    again = embedder_info(write_tint_embedder(tmp_path / "b.onnx", threshold=0.3))
    other = embedder_info(write_tint_embedder(tmp_path / "c.onnx", scale=128))
    wider = embedder_info(write_tint_embedder(tmp_path / "d.onnx", side=128))
    assert one.name == again.name
    assert one.name.startswith("tint-")
    assert len({one.name, other.name, wider.name}) == 3
    assert (one.threshold, again.threshold) == (0.05, 0.3)
    assert embedder_info(write_tint_embedder(tmp_path / "e.onnx", threshold=None)).threshold is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean": [1, 2]}, "mean must be one number or three"),
        ({"scale": 0}, "scale must not be 0"),
        ({"colors": "cmyk"}, "colors"),
        ({"alignment": "round"}, "alignment must be one of buffalo"),
        ({"threshold": -1}, "threshold"),
        ({"side": 4}, "side"),
        ({"name": None}, "name"),
        ({"colour": "rgb"}, "colour"),
    ],
)
def test_a_wrong_description_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    model = write_tint_embedder(tmp_path / "net.onnx", **change)
    with pytest.raises(UsageError, match=said) as caught:
        read_description(model)
    assert "net.json" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_or_broken_description_is_named(tmp_path: Path) -> None:
    model = write_tint_embedder(tmp_path / "net.onnx")
    (tmp_path / "net.json").write_text("{")
    with pytest.raises(UsageError, match=r"net\.json is no JSON"):
        read_description(model)
    (tmp_path / "net.toml").write_text('name = "net"\nmean = 127.5\n')
    assert read_description(model).mean == (127.5,)
    for ending in ("json", "toml"):
        (tmp_path / f"net.{ending}").unlink()
    with pytest.raises(UsageError, match=r"net\.toml or net\.json is expected beside it"):
        read_description(model)
    with pytest.raises(UnfitError, match="no such file"):
        embedder_info(tmp_path / "absent.onnx")


def face_picture(rgb: tuple[int, int, int]) -> np.ndarray[Any, Any]:
    """112 x 112, of one colour, BGR."""
    return np.full((112, 112, 3), rgb[::-1], np.uint8)


def points68() -> np.ndarray[Any, Any]:
    points = np.full((68, 2), 56.0)
    points[[39, 42, 57]] = (88, 92), (122, 91), (106, 150)
    return points


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ({"colors": "rgb", "mean": 0, "scale": 1}, (200, 100, 50)),
        ({"colors": "bgr", "mean": 0, "scale": 1}, (50, 100, 200)),
        ({"colors": "rgb", "mean": [100, 50, 25], "scale": [1, 2, 4]}, (100, 25, 6.25)),
        ({"colors": "bgr", "layout": "nhwc", "mean": 10, "scale": 2}, (20, 45, 95)),
        ({"colors": "rgb", "mean": 0, "scale": 1, "side": 160}, (200, 100, 50)),
    ],
)
def test_pixels_enter_as_the_description_says(
    tmp_path: Path, description: dict[str, Any], expected: tuple[float, ...]
) -> None:
    side = description.get("side", 112)
    path = write_tint_embedder(tmp_path / "net.onnx", **{"side": side, **description})
    embedder = open_onnx_embedder(path, "net", read_description(path), device="cpu", threads=1)
    five = np.array(
        [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
    )
    found = embedder.embed(face_picture((200, 100, 50)), points68(), five)
    assert found == pytest.approx(np.array(expected) / np.linalg.norm(expected), abs=0.01)


def test_faces_are_cut_as_the_specification_says() -> None:
    m112 = [[0.971891579, 0.005394737, 7.107896842], [-0.005394737, 0.971891579, 13.857022105]]
    assert alignment_matrix("buffalo", 112, points68(), FIVE) == pytest.approx(np.array(m112), abs=1e-4)
    m128 = np.array(m112)
    m128[:, 2] = 15.107896842, 13.857022105
    assert alignment_matrix("buffalo", 128, points68(), FIVE) == pytest.approx(m128, abs=1e-4)
    # 160 is in neither row of the table: 112 as a whole, enlarged.
    assert alignment_matrix("buffalo", 160, points68(), FIVE) == pytest.approx(
        np.array(m112) * 160 / 112, abs=1e-4
    )
    shift = [[0.891215561, -0.002623546, -38.1244807], [0.002623546, 0.891215561, -65.3730567]]
    assert alignment_matrix("scale_shift", 112, points68(), FIVE) == pytest.approx(np.array(shift), abs=1e-4)


def test_tensors_that_are_not_those_of_the_description_are_refused(tmp_path: Path) -> None:
    path = write_tint_embedder(tmp_path / "net.onnx")
    told = read_description(path)
    for change in ({"side": 128}, {"layout": "nhwc"}):
        with pytest.raises(UnfitError, match="as its description says"):
            open_onnx_embedder(path, "net", told.model_copy(update=change), device="cpu", threads=1)
    path.write_bytes(b"no network")
    with pytest.raises(UnfitError, match="identity model"):
        open_onnx_embedder(path, "net", told, device="cpu", threads=1)


def test_a_free_side_takes_what_the_description_says(tmp_path: Path) -> None:
    path = write_tint_embedder(tmp_path / "net.onnx", side="side")
    open_onnx_embedder(path, "net", read_description(path), device="cpu", threads=1)


def test_another_model_than_the_job_was_begun_with_is_refused(tmp_path: Path) -> None:
    path = write_tint_embedder(tmp_path / "net.onnx")
    options = JobOptions(identity_model=str(path), embedder="tint-000000000000")
    with pytest.raises(
        UnfitError, match=r"begun with the identity model tint-000000000000, here it is tint-"
    ):
        open_embedder(options, None, device="cpu")


def row(embedder: str, sha256: str = "ab") -> ReferenceRow:
    return ReferenceRow("wanted", b"/a.png", sha256, embedder, unit([1, 0]).tobytes(), 1, 0, 0, 1, 1)


def test_wanted_pictures_of_another_person_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    def of(name: bytes, values: list[float], which: ReferenceList = "wanted") -> ReferenceRow:
        return replace(row("x", name.decode()), path=name, list=which, embedding=unit(values).tobytes())

    same = [
        of(b"a", [1, 0, 0]),
        of(b"b", [1, 0.1, 0]),
        of(b"c", [1, 0, 0.1]),
        of(b"d", [0, 0, 1], "unwanted"),
    ]
    warn_of_strangers(same, 0.1)
    assert caplog.messages == []
    warn_of_strangers([*same, of(b"e", [0, 1, 0])], 0.4)
    assert [message.partition(":")[0] for message in caplog.messages] == ["--filter e"]


def test_two_embedders_are_never_compared(dlib68: Dlib68, resnet: DlibResnet) -> None:
    with pytest.raises(UnfitError, match=r"made by tint-1, here the identity model is dlib-resnet"):
        IdentityJudge(resnet, dlib68, [row("tint-1")], 0.1)


def test_references_that_are_not_in_the_database_stop_the_job() -> None:
    options = JobOptions(filters=("ab",), nfilters=("cd",))
    with pytest.raises(UnfitError, match="2 reference pictures, its database 1; run the same command again"):
        require_references(options, [row("x")])
    require_references(JobOptions(filters=("ab",)), [row("x")])


@pytest.fixture(scope="module")
def dlib68() -> Dlib68:
    return open_dlib68(find("dlib68"))


@pytest.fixture(scope="module")
def resnet() -> DlibResnet:
    return open_dlib_resnet(find("dlib-resnet"), "dlib-resnet")


def test_a_file_of_another_kind_is_no_dlib_network(tmp_path: Path) -> None:
    (tmp_path / "x.dat").write_bytes(b"nothing")
    with pytest.raises(UnfitError, match="no dlib face recognition network"):
        open_dlib_resnet(tmp_path / "x.dat", "x")


BOX = np.array([[84.0, 30, 148, 108]])
"""The face of the astronaut at 256 pixels, by eye."""


@pytest.mark.parametrize("change", ["same", "grey", "large", "small", "shifted to the edge"])
def test_one_face_stays_near_itself(
    astronaut: Image.Image, dlib68: Dlib68, resnet: DlibResnet, change: str
) -> None:
    changed, box = {
        "same": (astronaut, BOX),
        "grey": (astronaut.convert("L").convert("RGB"), BOX),
        "large": (astronaut.resize((1024, 1024), Image.Resampling.BICUBIC), BOX * 4),
        "small": (astronaut.resize((192, 192), Image.Resampling.LANCZOS), BOX * 0.75),
        "shifted to the edge": (astronaut.crop((74, 20, 256, 256)), BOX - (74, 20, 74, 20)),
    }[change]

    def embed(picture: Image.Image, boxes: Any) -> Any:
        image_bgr = np.ascontiguousarray(np.asarray(picture)[:, :, ::-1])
        (found,) = embed_faces(resnet, dlib68, image_bgr, Detection(boxes, np.ones(1), None), [0])
        return found

    before = embed(astronaut, BOX)
    assert before.shape == (128,) and before.dtype == np.float32
    assert np.linalg.norm(before) == pytest.approx(1, abs=1e-6)
    assert distance(before, embed(changed, box)) < DLIB_THRESHOLD


@pytest.mark.parametrize("points", [np.zeros((68, 2)), np.full((68, 2), np.nan), points68() + 10_000])
def test_points_that_are_no_face_are_refused(resnet: DlibResnet, points: Any) -> None:
    with pytest.raises(ValueError, match="points of a face"):
        resnet.embed(face_picture((1, 2, 3)), points, FIVE)


def test_other_people_do_not_use_up_the_number_of_faces_and_are_not_numbered() -> None:
    boxes = np.array([[0.0, 0, 5, 5], [10, 0, 60, 50], [100, 0, 130, 30], [200, 0, 220, 20]])
    asked: list[list[int]] = []

    def identify(ordinals: Any) -> dict[int, Decision]:
        asked.append(list(ordinals))
        return {k: Decision(3 if k == 1 else 6, (0.25,), (0.2,)) for k in ordinals}

    options = JobOptions(min_face="10", largest_face=True)
    rows = select_faces(Detection(boxes, np.full(4, 0.9), None), 300, 100, options, identify)
    assert asked == [[1, 2, 3]], "too small ones are not even compared"
    assert [row.status for row in rows] == [
        "rejected:min_size", "rejected:identity", "accepted", "rejected:not_largest",
    ]  # fmt: skip
    assert [row.face_index for row in rows] == [None, None, 0, None]
    assert [row.identity_rule for row in rows] == [None, 3, 6, 6]
    assert rows[1].wanted_distances == [0.25] and rows[1].unwanted_distances == [0.2]
    assert rows[0].wanted_distances is None
