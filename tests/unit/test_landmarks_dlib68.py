import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from common.arrays import ImageBgr
from common.errors import UnfitError, UsageError
from common.weights import find
from workers.detectors.boxes import iou
from workers.detectors.registry import open_detector
from workers.landmarks.base import FacesOf
from workers.landmarks.points import five_points
from workers.landmarks.registry import open_landmarker

FACES = Path("../shared/faces")
BOX = np.array([[175.0, 65, 270, 185]])
# Read off the picture by eye: pupils, tip of the nose, corners of the mouth.
FIVE = np.array([[[203.0, 101], [247, 103], [224, 127], [203, 140], [246, 140]]])
# And: outer corners of the eyes, tip of the chin, corners of the mouth.
SEEN = {36: (192, 101), 45: (259, 105), 8: (226, 178), 48: (203, 140), 54: (246, 140)}


@pytest.fixture(scope="module")
def dlib68() -> Any:
    return open_landmarker("dlib68", find("dlib68"), device="auto", threads=1)


@pytest.fixture(scope="module")
def astronaut() -> ImageBgr:
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def worst(points68: np.ndarray) -> float:
    return max(float(np.hypot(*(points68[index] - place))) for index, place in SEEN.items())


@pytest.mark.parametrize("points5", [None, FIVE], ids=["box alone", "five points"])
def test_the_astronauts_points_are_where_one_sees_them(
    dlib68: Any, astronaut: ImageBgr, points5: np.ndarray | None
) -> None:
    found = dlib68.find(astronaut, BOX, points5)
    assert (found.points68.shape, found.points5.shape) == ((1, 68, 2), (1, 5, 2))
    assert worst(found.points68[0]) < 7
    assert np.abs(found.points5 - FIVE).max() < 7
    assert found.points5 == pytest.approx(five_points(found.points68), abs=0.0101)  # both rounded


@pytest.mark.parametrize("degrees", [-60, 35, 90, 180])
def test_a_tilted_face_is_found_as_an_upright_one(dlib68: Any, astronaut: ImageBgr, degrees: float) -> None:
    matrix = cv2.getRotationMatrix2D((225, 125), degrees, 1)
    turned = cv2.warpAffine(astronaut, matrix, (512, 512))
    found = dlib68.find(turned, BOX, FIVE @ matrix[:, :2].T + matrix[:, 2]).points68[0]
    back = cv2.invertAffineTransform(matrix)
    assert worst(found @ back[:, :2].T + back[:, 2]) < 8


def test_a_face_at_the_corner_of_a_large_picture_is_found_there(dlib68: Any, astronaut: ImageBgr) -> None:
    large = np.zeros((3000, 4000, 3), dtype=np.uint8)
    large[-300:, -300:] = astronaut[:300, 100:400]
    shift = np.array([3600, 2700])
    found = dlib68.find(large, BOX + np.tile(shift, 2), FIVE + shift).points68[0]
    assert worst(found - shift) < 7


@pytest.mark.parametrize("factor", [0.3, 4])
def test_small_and_large_faces_are_found_alike(dlib68: Any, astronaut: ImageBgr, factor: float) -> None:
    scaled = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    assert worst(dlib68.find(scaled, BOX * factor, FIVE * factor).points68[0] / factor) < 8


def test_no_boxes_give_no_points(dlib68: Any, astronaut: ImageBgr) -> None:
    found = dlib68.find(astronaut, np.zeros((0, 4)), np.zeros((0, 5, 2)))
    assert (found.points68.shape, found.points5.shape) == ((0, 68, 2), (0, 5, 2))


def test_many_faces_of_several_images_are_found_as_each_by_itself(dlib68: Any, astronaut: ImageBgr) -> None:
    """More than are worked on together: a picture of a thousand faces must not hold a thousand patches."""
    count = dlib68.batch + 5
    moved = np.arange(count)[:, None] % 7 - 3.0
    boxes, fives = BOX + moved, FIVE + moved[:, None]
    several = dlib68.find_all(
        [FacesOf(astronaut, boxes, fives), FacesOf(astronaut[::-1], BOX, None), FacesOf(astronaut, BOX, FIVE)]
    )
    assert [len(one.points68) for one in several] == [count, 1, 1]
    alone = [dlib68.find(astronaut, boxes[k : k + 1], fives[k : k + 1]).points68[0] for k in range(count)]
    assert (several[0].points68 == alone).all()
    assert (several[1].points68 == dlib68.find(astronaut[::-1], BOX, None).points68).all()
    assert (several[2].points68 == dlib68.find(astronaut, BOX, FIVE).points68).all()


def test_points_in_one_place_fall_back_to_the_box(dlib68: Any, astronaut: ImageBgr) -> None:
    found = dlib68.find(astronaut, BOX, np.full((1, 5, 2), 200.0))
    assert found.points68.tolist() == dlib68.find(astronaut, BOX, None).points68.tolist()


def test_a_face_outside_the_image_does_no_harm(dlib68: Any, astronaut: ImageBgr) -> None:
    assert np.isfinite(dlib68.find(astronaut, BOX + 5000, FIVE + 5000).points68).all()


@pytest.mark.skipif(not FACES.is_dir(), reason="the shared photographs are not here")
def test_the_mean_error_on_the_photographs_is_below_four_percent(dlib68: Any) -> None:
    detector = open_detector("centerface", find("centerface"), device="cpu", threads=1)
    errors = []
    for path in FACES.glob("*_with_face_landmarks.xml"):
        for image in ElementTree.parse(path).getroot().iter("image"):
            picture = cv2.imread(str(FACES / image.attrib["file"]))
            (faces,) = detector.detect([picture])
            found = dlib68.find(picture, faces.boxes_xyxy, faces.points5).points68
            for box in image.iter("box"):
                left, top, width, height = (
                    float(box.attrib[key]) for key in ("left", "top", "width", "height")
                )
                overlap = iou(np.array([[left, top, left + width, top + height]]), faces.boxes_xyxy)[0]
                assert overlap.max() >= 0.4
                parts = sorted(box.iter("part"), key=lambda part: int(part.attrib["name"]))
                truth = np.array([(float(part.attrib["x"]), float(part.attrib["y"])) for part in parts])
                off = np.hypot(*(found[overlap.argmax()] - truth).T).mean()
                errors.append(off / np.hypot(*(truth[36] - truth[45])))
    assert len(errors) == 43
    assert np.mean(errors) < 0.04
    assert max(errors) < 0.15


def test_a_file_that_is_no_predictor_is_unfit(tmp_path: Path) -> None:
    path = tmp_path / "junk.dat"
    for content in (b"", b"this is no predictor"):
        path.write_bytes(content)
        with pytest.raises(UnfitError, match=r"junk\.dat is no dlib shape predictor"):
            open_landmarker("dlib68", path, device="cpu", threads=1)


def test_a_file_that_is_not_there_is_unfit(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match=r"gone\.dat cannot be read: No such file"):
        open_landmarker("dlib68", tmp_path / "gone.dat", device="cpu", threads=1)


def test_the_predictor_of_five_points_is_unfit() -> None:
    path = find("dlib68").with_name("shape_predictor_5_face_landmarks.dat")
    if not path.is_file():
        pytest.skip("the predictor of five points is not here")
    with pytest.raises(UnfitError, match="must find 68 points, it finds 5"):
        open_landmarker("dlib68", path, device="cpu", threads=1)


def test_unknown_landmarks_are_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="dlib68, onnx98"):
        open_landmarker("pfld", tmp_path / "m.onnx", device="cpu", threads=1)


ASIDE = np.array([[0, 0], [0, 0], [1, 0], [1, 0], [1, 0]])
MOUTH_DOWN = np.array([[0, 0], [0, 0], [0, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize(
    ("shift", "passes"),
    [
        pytest.param(0 * ASIDE, 1, id="agree"),
        # 5 hundredths of the square's side each.
        pytest.param(8 * ASIDE, 2, id="turned, a little off"),
        pytest.param(16 * MOUTH_DOWN, 1, id="frontal, a little off"),
        pytest.param(18 * ASIDE, 2, id="far off"),
    ],
)
def test_a_second_pass_is_made_only_where_detector_and_predictor_disagree(
    dlib68: Any, astronaut: ImageBgr, monkeypatch: pytest.MonkeyPatch, shift: np.ndarray, passes: int
) -> None:
    calls = []
    predictor = dlib68._predictor

    class Counted:
        def find(self, *arguments: Any) -> Any:
            calls.append(arguments)
            return predictor.find(*arguments)

    # The points it finds from the points seen by eye are what a detector that agrees would say.
    agreeing = dlib68.find(astronaut, BOX, FIVE).points5
    monkeypatch.setattr(dlib68, "_predictor", Counted())
    found = dlib68.find(astronaut, BOX, agreeing + shift)
    assert len(calls) == passes
    assert worst(found.points68[0]) < 7
