import numpy as np
import pytest

from workers.detectors.boxes import MAX_DETECTIONS, areas, clip_boxes, iou, nms, touching_image

NO_BOXES = np.zeros((0, 4))


def test_boxes_are_clipped_to_the_image() -> None:
    boxes = np.array([[-5.0, -5, 15, 12], [2, 3, 4, 5], [30, 30, 40, 40]])
    assert clip_boxes(boxes, (10, 8)).tolist() == [[0, 0, 10, 8], [2, 3, 4, 5], [10, 8, 10, 8]]
    assert boxes[0, 0] == -5  # the argument is left alone
    assert clip_boxes(NO_BOXES, (10, 8)).shape == (0, 4)


def test_areas_are_width_times_height_and_never_negative() -> None:
    assert areas(np.array([[0.0, 0, 2, 3], [1, 1, 1, 5], [4, 4, 2, 2]])).tolist() == [6, 0, 0]
    assert areas(NO_BOXES).shape == (0,)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ([0, 0, 10, 10], 1),
        ([5, 0, 15, 10], 50 / 150),
        ([10, 0, 20, 10], 0),
        ([2, 2, 4, 4], 4 / 100),
        ([50, 50, 50, 50], 0),
    ],
)
def test_iou_by_hand(other: list[float], expected: float) -> None:
    assert iou(np.array([[0.0, 0, 10, 10]]), np.array([other], dtype=float))[0, 0] == pytest.approx(expected)


def test_iou_of_nothing_has_the_right_shape_and_empty_boxes_give_zero() -> None:
    assert iou(NO_BOXES, np.zeros((3, 4))).shape == (0, 3)
    assert iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0]]


def test_nms_keeps_the_strongest_of_overlapping_boxes_in_order_of_score() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40], [2, 0, 12, 10]])
    assert nms(boxes, np.array([0.6, 0.9, 0.95, 0.7]), 0.3).tolist() == [2, 1]


def test_nms_is_greedy_so_a_dropped_box_drops_nothing() -> None:
    # Neighbours overlap by 1/3, the outer two not at all.
    boxes = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]])
    assert nms(boxes, np.array([0.9, 0.8, 0.7]), 0.3).tolist() == [0, 2]
    assert nms(boxes, np.array([0.9, 0.8, 0.7]), 0.34).tolist() == [0, 1, 2]


def test_nms_takes_the_first_of_equal_scores() -> None:
    boxes = np.tile([0.0, 0, 10, 10], (5, 1))
    assert nms(boxes, np.full(5, 0.5), 0.3).tolist() == [0]


def test_nms_of_nothing_is_nothing() -> None:
    assert nms(NO_BOXES, np.zeros(0), 0.3).tolist() == []


def test_boxes_outside_the_image_touch_it_nowhere() -> None:
    boxes = np.array([[-9.0, 0, 0, 9], [-9, 0, 1, 9], [3999, 2999, 4100, 3100], [4000, 0, 4010, 9]])
    assert touching_image(boxes, (4000, 3000)).tolist() == [False, True, True, False]


def test_suppression_keeps_only_so_many_and_those_with_the_highest_scores() -> None:
    boxes = np.array([[20.0 * k, 0, 20 * k + 10, 10] for k in range(5)])
    scores = np.array([0.5, 0.9, 0.6, 0.8, 0.7])
    assert nms(boxes, scores, 0.3, most=3).tolist() == [1, 3, 4]


def test_suppression_of_a_picture_full_of_detections_is_bounded() -> None:
    grid = np.arange(200) * 5.0
    corners = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    boxes = np.concatenate([corners, corners + 4], axis=1)
    kept = nms(boxes, np.full(len(boxes), 0.9), 0.3)
    assert kept.tolist() == list(range(MAX_DETECTIONS))


def test_suppression_is_that_of_its_definition_on_many_boxes() -> None:
    """Every box against every stronger kept one, by `iou`; some boxes are empty, turned inside out or alike."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        corners = rng.integers(0, 30, (40, 4)).astype(np.float64)
        corners[:, 2:] += rng.integers(-2, 25, (40, 2))
        scores = np.round(rng.random(40), 1)
        kept: list[int] = []
        for index in sorted(range(40), key=lambda one: -scores[one]):
            if all(iou(corners[[index]], corners[[other]])[0, 0] <= 0.3 for other in kept):
                kept.append(index)
        assert nms(corners, scores, 0.3).tolist() == kept
