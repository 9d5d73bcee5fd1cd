"""Networks of the families that people have, made here: each answers with the brightness of what it sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from common.errors import UnfitError, UsageError
from common.maskers import NetworkDescription, read_masker
from tests.faces import face_points
from workers.landmarks.points import five_points
from workers.maskers.maps import face_matrix, region_matrix
from workers.maskers.networks import NetworkMasker, face_probability, open_network


def write_network(
    folder: Path, *, name: str = "face.onnx", layout: str = "nchw", side: int = 32, **described: Any
) -> Path:
    """A network whose answer has two channels, what it sees of the first and of the last colour."""
    shape = [1, 3, side, side] if layout == "nchw" else [1, side, side, 3]
    axis = 1 if layout == "nchw" else 3
    answer = [1, 2, side, side] if layout == "nchw" else [1, side, side, 2]
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["faces", "chosen"], ["mask"], axis=axis),
            helper.make_node("Neg", ["mask"], ["other"]),
        ],
        "brightness",
        [helper.make_tensor_value_info("faces", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(one, TensorProto.FLOAT, answer) for one in ("mask", "other")],
        [helper.make_tensor("chosen", TensorProto.INT64, [2], [0, 2])],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / name
    )
    description = {"input_side": side, "layout": layout, "answer": "probability", **described}
    (folder / name).with_suffix(".json").write_text(json.dumps(description))
    return folder / name


def open_at(path: Path) -> NetworkMasker:
    return open_network(read_masker(f"onnx:{path}"), device="cpu", threads=1)


def coloured(side: int, blue: int, green: int, red: int) -> np.ndarray:
    return np.full((side, side, 3), (blue, green, red), np.uint8)


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
@pytest.mark.parametrize(
    ("order", "channel", "expected"), [("bgr", 0, 51), ("bgr", 1, 204), ("rgb", 0, 204), ("rgb", 1, 51)]
)
def test_colours_come_in_the_order_asked_for(
    tmp_path: Path, layout: str, order: str, channel: int, expected: int
) -> None:
    path = write_network(tmp_path, layout=layout, colour_order=order, channel=channel, scale=1 / 255)
    answer = open_at(path).segment(coloured(32, 51, 0, 204))
    assert answer.shape == (32, 32)
    assert np.unique(answer).tolist() == [expected]


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        # VGG face nets: 0 to 255, a mean a channel, blue first.
        ({"colour_order": "bgr", "mean": [109.5, 118.7, 124.7]}, [200 - 109.5, 100 - 118.7, 50 - 124.7]),
        # U-Net: 0 to 1.
        ({"colour_order": "rgb", "scale": 1 / 255}, [50 / 255, 100 / 255, 200 / 255]),
        # BiSeNet: 0 to 1, then the mean and deviation of ImageNet.
        (
            {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
            [(50 / 255 - 0.485) / 0.229, (100 / 255 - 0.456) / 0.224, (200 / 255 - 0.406) / 0.225],
        ),
    ],
)
def test_pixels_are_scaled_then_the_mean_is_taken_off_then_divided(
    tmp_path: Path, described: dict[str, Any], expected: list[float]
) -> None:
    seen = open_at(write_network(tmp_path, **described)).prepare(coloured(32, 200, 100, 50))
    assert (seen.shape, seen.dtype) == ((1, 3, 32, 32), np.float32)
    np.testing.assert_allclose(seen[0, :, 3, 4], expected, rtol=1e-4)


SCORES = np.array([2.0, -1.0, 0.5], np.float32).reshape(1, 3, 1, 1) * np.ones((1, 1, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({"answer": "probability", "channel": 2}, 0.5),
        ({"answer": "probability", "channel": 0}, 1.0),
        # 1 / (1 + e^1)
        ({"answer": "sigmoid", "channel": 1}, 0.268941),
        # e^2 = 7.389056, e^-1 = 0.367879, e^0.5 = 1.648721
        ({"answer": "softmax", "classes": [0]}, 7.389056 / 9.405656),
        ({"answer": "softmax", "classes": [1, 2]}, 2.016600 / 9.405656),
        ({"answer": "argmax", "classes": [0]}, 1.0),
        ({"answer": "argmax", "classes": [1, 2]}, 0.0),
    ],
)
@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_answers_become_probabilities(described: dict[str, Any], expected: float, layout: str) -> None:
    about = NetworkDescription(input_side=32, layout=layout, **described)  # type: ignore[arg-type]
    scores = SCORES if layout == "nchw" else SCORES.transpose(0, 2, 3, 1)
    found = face_probability(scores, about)
    assert found.shape == (4, 4)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_class_numbers_are_taken_as_they_are() -> None:
    about = NetworkDescription(input_side=32, answer="labels", classes=(1, 10))
    labels = np.array([[0, 1], [10, 7]], np.int64)
    assert face_probability(labels[None], about).tolist() == [[0, 1], [1, 0]]
    assert face_probability(labels[None, None], about).tolist() == [[0, 1], [1, 0]]


def test_huge_scores_do_not_overflow() -> None:
    scores = np.array([1000.0, -1000.0], np.float32).reshape(1, 2, 1, 1)
    for answer, extra in (("softmax", {"classes": (0,)}), ("sigmoid", {"channel": 0})):
        about = NetworkDescription(input_side=32, answer=answer, **extra)  # type: ignore[arg-type]
        assert face_probability(scores, about).tolist() == [[1.0]]


def test_the_region_that_the_network_saw_is_that_of_the_map(tmp_path: Path) -> None:
    """A face whose left half is bright: so is the map's, at twice the region as at one."""
    points = face_points()
    face = face_matrix(five_points(points))
    image = np.zeros((400, 400, 3), np.uint8)
    image[:, :200] = 255
    for region in (1.0, 2.0):
        path = write_network(tmp_path, side=64, scale=1 / 255, region=region)
        made = open_at(path).make(image, points, face)
        np.testing.assert_allclose(made.matrix, region_matrix(face, 128, region))
        middle = (made.matrix @ [199.5, 200, 1])[0]
        row = made.picture[64]
        last_bright = int(np.nonzero(row > 127)[0].max())
        assert last_bright == pytest.approx(middle, abs=2.5)


def test_one_of_several_answers_is_chosen_by_name(tmp_path: Path) -> None:
    path = write_network(tmp_path, scale=1 / 255, output="other")
    # The other answer is the negative one: a probability below 0 is 0.
    assert not open_at(path).segment(coloured(32, 255, 255, 255)).any()


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"channel": 2}, "2 channels, the description asks for number 2"),
        ({"output": "none"}, "no output 'none'; it has mask, other"),
        ({"input_side": 48}, "does not run as a network for faces"),
        ({"answer": "argmax", "classes": [5]}, "asks for number 5"),
    ],
)
def test_a_description_that_does_not_fit_is_named(
    tmp_path: Path, described: dict[str, Any], words: str
) -> None:
    with pytest.raises(UnfitError, match=words):
        open_at(write_network(tmp_path, **described))


def test_an_answer_of_another_shape_is_named() -> None:
    about = NetworkDescription(input_side=32, answer="probability")
    with pytest.raises(UnfitError, match=r"\(1, C, h, w\)"):
        face_probability(np.zeros((1, 10), np.float32), about)
    with pytest.raises(UnfitError, match="a square"):
        face_probability(np.zeros((1, 2, 8, 4), np.float32), about)


def test_a_network_is_named_after_its_file_and_contents(tmp_path: Path) -> None:
    path = write_network(tmp_path, name="my face net.onnx")
    first = read_masker(f"onnx:{path}").name
    assert first.startswith("onnx-my-face-net-")
    assert read_masker(f"onnx:{path}").name == first
    write_network(tmp_path, name="my face net.onnx", channel=1)
    assert read_masker(f"onnx:{path}").name != first


def test_the_description_may_carry_the_whole_file_name(tmp_path: Path) -> None:
    path = write_network(tmp_path)
    path.with_suffix(".json").rename(tmp_path / "face.onnx.json")
    assert read_masker(f"onnx:{path}").network == path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not understood"),
        ('{"input_side": 256}', "answer: Field required"),
        ('{"input_side": 256, "answer": "argmax"}', "needs classes"),
        ('{"input_side": 256, "answer": "probability", "std": 0}', "std must not be 0"),
        ('{"input_side": 4, "answer": "probability"}', "input_side"),
        ('{"input_side": 256, "answer": "probability", "chanel": 1}', "chanel"),
        ('{"input_side": 256, "answer": "probability", "mean": [1, 2]}', "mean"),
    ],
)
def test_a_description_is_checked(tmp_path: Path, text: str, words: str) -> None:
    path = write_network(tmp_path)
    path.with_suffix(".json").write_text(text)
    with pytest.raises(UnfitError, match=words):
        read_masker(f"onnx:{path}")


def test_a_network_without_description_says_what_to_write(tmp_path: Path) -> None:
    path = write_network(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(UnfitError, match=r"write face\.json"):
        read_masker(f"onnx:{path}")
    with pytest.raises(UnfitError, match="cannot be read"):
        read_masker(f"onnx:{tmp_path}/none.onnx")


@pytest.mark.parametrize("text", ["", "hull", "onnx", "onnx:", "Extended"])
def test_another_masker_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="components, extended or onnx:PATH"):
        read_masker(text)
