"""Trees of regression: the same numbers as dlib, whose own predictor reads the same files."""

from __future__ import annotations

from pathlib import Path

import dlib
import numpy as np
import pytest
from skimage import data

from common.weights import find
from workers.landmarks import kept_trees
from workers.landmarks.dlib_files import read_shape_predictor
from workers.landmarks.kept_trees import open_trees
from workers.landmarks.regression_trees import ShapePredictor, Trees

SIDE = 270


def save_predictor(
    path: Path, *, points: int = 4, depth: int = 3, cascades: int = 3, trees: int = 10, pixels: int = 40
) -> Path:
    """A predictor that dlib trained on pictures of noise, with points that are noise too."""
    rng = np.random.default_rng(points * 100 + depth)
    images, shapes = [], []
    for _ in range(8):
        images.append(rng.integers(0, 256, (80, 90), dtype=np.uint8))
        places = rng.integers(15, 60, (points, 2)).tolist()
        shapes.append(
            [dlib.full_object_detection(dlib.rectangle(10, 12, 70, 69), [dlib.point(*xy) for xy in places])]
        )
    options = dlib.shape_predictor_training_options()
    options.tree_depth, options.cascade_depth = depth, cascades
    options.num_trees_per_cascade_level, options.feature_pool_size = trees, pixels
    options.oversampling_amount, options.num_test_splits, options.num_threads = 3, 5, 1
    options.random_seed = "maskmill"
    dlib.train_shape_predictor(images, shapes, options).save(str(path))
    return path


def by_dlib(path: Path, grays: np.ndarray, squares: np.ndarray) -> np.ndarray:
    predictor = dlib.shape_predictor(str(path))
    answers = []
    for gray, (left, top, side) in zip(grays, squares.astype(int).tolist(), strict=True):
        found = predictor(gray, dlib.rectangle(left, top, left + side - 1, top + side - 1))
        answers.append([(found.part(k).x, found.part(k).y) for k in range(found.num_parts)])
    return np.array(answers, dtype=np.float64)


def faces(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts of photographs, of noise and of nothing, and squares in them, some partly or wholly outside."""
    rng = np.random.default_rng(5)
    photographs = [data.astronaut()[..., 1], data.camera(), data.coins()[:, :SIDE].repeat(2, axis=0)]
    grays, squares = [], []
    for number in range(count):
        photograph = photographs[number % 3]
        top, left = (int(rng.integers(0, size - SIDE + 1)) for size in photograph.shape)
        gray = photograph[top : top + SIDE, left : left + SIDE]
        if number % 10 == 9:
            gray = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
        if number % 10 == 8:
            gray = np.zeros((SIDE, SIDE), dtype=np.uint8)
        grays.append(gray)
        reach = 400 if number % 5 == 4 else 120
        squares.append([*rng.integers(-reach, reach, 2).tolist(), int(rng.integers(1, 2 * reach))])
    return np.array(grays), np.array(squares, dtype=np.float64)


def test_the_known_predictor_finds_what_dlib_finds() -> None:
    grays, squares = faces(120)
    found = ShapePredictor(read_shape_predictor(find("dlib68"))).find(grays, squares)
    assert (found == by_dlib(find("dlib68"), grays, squares)).all()


@pytest.mark.parametrize("depth", [1, 2, 5, 9])
@pytest.mark.parametrize("points", [2, 17, 130])
def test_predictors_of_other_sizes_find_what_dlib_finds(tmp_path: Path, depth: int, points: int) -> None:
    path = save_predictor(tmp_path / "made.dat", points=points, depth=depth)
    grays, squares = faces(30)
    predictor = ShapePredictor(read_shape_predictor(path))
    assert predictor.points == points
    assert (predictor.find(grays, squares) == by_dlib(path, grays, squares)).all()


def test_a_face_has_the_same_points_whoever_is_beside_it() -> None:
    grays, squares = faces(70)
    predictor = ShapePredictor(read_shape_predictor(find("dlib68")))
    together = predictor.find(grays, squares)
    for some in (slice(0, 1), slice(3, 5), slice(10, 41)):
        assert (predictor.find(grays[some], squares[some]) == together[some]).all()


def test_no_faces_have_no_points(tmp_path: Path) -> None:
    predictor = ShapePredictor(read_shape_predictor(save_predictor(tmp_path / "made.dat")))
    assert predictor.find(np.zeros((0, 9, 9), dtype=np.uint8), np.zeros((0, 3))).shape == (0, 4, 2)


def test_a_tree_compares_two_pixels_and_moves_the_shape() -> None:
    """By hand: one tree with one split; where the first pixel is brighter by more than 10 the left leaf is added."""
    trees = Trees(
        mean=np.array([0, 0, 1, 1], dtype=np.float32),
        anchors=np.array([[0, 1]], dtype=np.intp),
        offsets=np.zeros((1, 2, 2, 1), dtype=np.float32),
        left=np.array([[0]], dtype=np.intp),
        right=np.array([[1]], dtype=np.intp),
        thresholds=np.array([[[10]]], dtype=np.int16),
        leaves=np.array([[[0.5, 0, 0, 0], [0, 0, 0, 0.25]]], dtype=np.float32),
    )
    grays = np.zeros((2, 30, 30), dtype=np.uint8)
    grays[:, 4, 3] = 11, 10  # where the first point begins; the second is at (13, 14)
    found = ShapePredictor(trees).find(grays, np.array([[3, 4, 11], [3, 4, 11]]))
    assert found.tolist() == [[[8, 4], [13, 14]], [[3, 4], [13, 17]]]  # 14 + 2.5 is rounded up


def test_trees_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    trees = read_shape_predictor(save_predictor(tmp_path / "made.dat"))
    arrays = trees.arrays()
    with pytest.raises(ValueError, match="leaves"):
        Trees(*arrays[:-1], arrays[-1][:, :, :-1])
    with pytest.raises(ValueError, match="anchors must be below 4"):
        Trees(arrays[0], arrays[1] + 4, *arrays[2:])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_predictor(tmp_path_factory.mktemp("predictor") / "made.dat")


def test_a_file_cut_anywhere_is_refused(made: Path, tmp_path: Path) -> None:
    content = made.read_bytes()
    cut = tmp_path / "cut.dat"
    for size in (*range(200), *range(200, len(content), 97), len(content) - 1):
        cut.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"[a-z]"):
            read_shape_predictor(cut)
    cut.write_bytes(content + b"\x01\x00")
    with pytest.raises(ValueError, match="more stands in the file"):
        read_shape_predictor(cut)


def test_a_spoilt_file_is_refused_or_read(made: Path, tmp_path: Path) -> None:
    """One byte changed anywhere: never another error, never points that are no numbers."""
    content = made.read_bytes()
    spoilt = tmp_path / "spoilt.dat"
    rng = np.random.default_rng(0)
    gray = np.full((1, 50, 50), 99, dtype=np.uint8)
    refused = 0
    for _ in range(300):
        at = int(rng.integers(len(content)))
        spoilt.write_bytes(content[:at] + bytes([int(rng.integers(256))]) + content[at + 1 :])
        try:
            trees = read_shape_predictor(spoilt)
        except ValueError:
            refused += 1
        else:
            assert np.isfinite(ShapePredictor(trees).find(gray, np.array([[5, 5, 30]]))).all()
    assert refused > 50


def test_what_was_read_is_kept_and_read_from_there(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_trees(made, tmp_path)
    monkeypatch.setattr(kept_trees, "read_shape_predictor", None)
    second = open_trees(made, tmp_path)
    assert all((a == b).all() for a, b in zip(first.arrays(), second.arrays(), strict=True))
    assert [a.dtype for a in first.arrays()] == [b.dtype for b in second.arrays()]


def test_a_changed_file_is_read_anew_and_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "made.dat"
    for points in (4, 5):
        save_predictor(path, points=points)
        assert open_trees(path, tmp_path / "cache").points == points
    assert len(list((tmp_path / "cache" / "predictors").iterdir())) == 1


@pytest.mark.parametrize("spoil", ["cut", "a bit", "empty", "another file"])
def test_what_is_kept_and_broken_is_made_again(made: Path, tmp_path: Path, spoil: str) -> None:
    first = open_trees(made, tmp_path)
    (kept,) = (tmp_path / "predictors").iterdir()
    content = bytearray(kept.read_bytes())
    if spoil == "a bit":
        content[-500] ^= 4
    kept.write_bytes(
        {"cut": content[:-9], "a bit": content, "empty": b"", "another file": b"PK" * 999}[spoil]
    )
    again = open_trees(made, tmp_path)
    assert all((a == b).all() for a, b in zip(first.arrays(), again.arrays(), strict=True))
    assert len(kept.read_bytes()) == len(content)


def test_without_a_cache_that_can_be_written_it_is_read_each_time(made: Path, tmp_path: Path) -> None:
    (tmp_path / "predictors").write_text("no folder", encoding="utf-8")
    for cache in (None, tmp_path, tmp_path / "predictors"):
        assert open_trees(made, cache).points == 4
