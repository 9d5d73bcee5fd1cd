"""A mask drawn on faces by hand and on the astronaut."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import skimage.data

from common.arrays import FloatArray, GrayImage, ImageBgr
from common.errors import UndrawableFace
from common.kinds import KINDS
from tests.unit.test_masks_mesh import BLUE, skin_image, turned_face
from workers.masks.draw import draw, paint
from workers.masks.fitting import default_limit
from workers.masks.spec import MaskSpec

SPECS = [MaskSpec(kind.name, kind.mask_type, kind.color, kind.pattern, 0.01, -1.5) for kind in KINDS]
GREY = MaskSpec("cloth-grey", "cloth", "#808080", "plain")
SKIN = (130, 150, 205)

# dlib's points of `skimage.data.astronaut()`, checked by eye.
# fmt: off
ASTRONAUT = np.array(
    [
        179, 104, 179, 116, 180, 127, 181, 139, 185, 151, 191, 160, 200, 169, 209, 176, 221, 178, 232,
        177, 243, 171, 253, 164, 260, 154, 265, 144, 268, 132, 270, 120, 272, 108, 186, 94, 192, 88,
        200, 87, 208, 89, 216, 92, 236, 93, 244, 91, 252, 91, 260, 92, 265, 98, 225, 103, 225, 111, 225,
        119, 225, 127, 214, 131, 219, 132, 224, 134, 229, 133, 234, 132, 195, 101, 200, 98, 207, 98,
        212, 104, 206, 104, 199, 104, 238, 105, 244, 101, 250, 101, 255, 104, 250, 107, 244, 106, 201,
        140, 209, 139, 218, 139, 223, 141, 229, 140, 237, 140, 245, 141, 237, 151, 229, 155, 222, 156,
        216, 155, 208, 150, 204, 141, 217, 143, 223, 144, 229, 143, 243, 142, 229, 150, 223, 150, 217,
        150,
    ],
    dtype=np.float64,
).reshape(68, 2)
# fmt: on


@pytest.fixture(scope="module")
def astronaut() -> ImageBgr:
    rgb: ImageBgr = skimage.data.astronaut()
    return np.ascontiguousarray(rgb[..., ::-1])


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def _at(alpha: GrayImage, points: FloatArray) -> GrayImage:
    x, y = np.round(points).astype(int).T
    return alpha[y, x]


@pytest.mark.parametrize("spec", SPECS, ids=[spec.kind for spec in SPECS])
def test_every_kind_covers_nose_mouth_and_chin_and_leaves_the_eyes_free(
    astronaut: ImageBgr, spec: MaskSpec
) -> None:
    masked, alpha = draw(astronaut, ASTRONAUT, spec, _rng())
    assert (_at(alpha, ASTRONAUT[[30, 8, *range(48, 68)]]) >= 128).all()
    assert (_at(alpha, ASTRONAUT[[30, *range(48, 68)]]) >= 250).all()
    assert not _at(alpha, ASTRONAUT[36:48]).any()
    assert masked.dtype == alpha.dtype == np.uint8
    # From the cheeks near the jaw line on one side to those on the other.
    assert (_at(alpha, ASTRONAUT[[4, 12]] * 0.85 + ASTRONAUT[[57, 57]] * 0.15) >= 200).all()


# A head that looks up and aside hides its far eye behind its own nose.
@pytest.mark.parametrize(
    ("yaw_deg", "pitch_deg"),
    [(-60, 0), (-40, 0), (-40, 20), (-20, -20), (0, -20), (0, 20), (20, -20), (40, 20), (40, 0), (60, 0)],
)
@pytest.mark.parametrize("roll_deg", [0, 90, 180])
def test_a_turned_head_has_its_mouth_covered_and_its_eyes_free(
    yaw_deg: float, roll_deg: float, pitch_deg: float
) -> None:
    face = turned_face(50, (160, 160), yaw_deg, pitch_deg, roll_deg)
    image = skin_image(face, (320, 320), SKIN)
    for spec in (BLUE, SPECS[5], GREY):
        _, alpha = draw(image, face, spec, _rng())
        assert (_at(alpha, face[[30, *range(48, 68)]]) >= 200).all()
        assert (_at(alpha, face[36:48]) <= 12).all()


def test_nothing_changes_outside_the_limit_and_where_alpha_is_zero_a_shadow_at_most() -> None:
    rng = np.random.default_rng(5)
    drawn = 0
    for trial in range(120):
        face = turned_face(
            float(rng.uniform(6, 60)),
            (float(rng.uniform(-30, 230)), float(rng.uniform(-30, 190))),
            *rng.uniform(-70, 70, 1),
            *rng.uniform(-30, 30, 1),
            *rng.uniform(-180, 180, 1),
        )
        face = (face - face.mean(axis=0)) * rng.uniform(0.7, 1.2, 2) + face.mean(axis=0)
        face += rng.normal(0, 0.4, face.shape)
        image = rng.integers(0, 256, (160, 200, 3), dtype=np.uint8)
        centre, size = face.mean(axis=0), rng.uniform(20, 150, 2)
        limit = None if trial % 2 else (*(centre - size), *(centre + size))
        before = image.copy()
        try:
            masked, alpha = draw(image, face, SPECS[trial % len(SPECS)], _rng(trial), limit_xyxy=limit)
        except UndrawableFace:
            continue
        drawn += 1
        assert (image == before).all()
        # Half of the light at most is missing in the shadow.
        assert (masked[alpha == 0] <= image[alpha == 0]).all()
        assert (masked[alpha == 0] >= image[alpha == 0] // 2).all()
        x1, y1, x2, y2 = limit or default_limit(face)
        assert alpha.any()
        y, x = np.nonzero((masked != image).any(axis=2) | (alpha > 0))
        assert x1 <= x.min() and y1 <= y.min() and x.max() + 1 <= x2 and y.max() + 1 <= y2
    assert drawn > 60


def test_no_mask_flies_off_its_face() -> None:
    rng = np.random.default_rng(8)
    for trial in range(40):
        face = turned_face(
            30, (150, 150), *rng.uniform(-75, 75, 1), *rng.uniform(-25, 25, 1), *rng.uniform(-180, 180, 1)
        )
        _, alpha = draw(skin_image(face, (300, 300), SKIN), face, SPECS[trial % len(SPECS)], _rng(trial))
        hull = np.zeros(alpha.shape, np.uint8)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.round(face).astype(np.int32)), 1)
        # Loops and soft edges aside, the fabric stays within a third of the eye distance of the face.
        near = cv2.dilate(hull, np.ones((21, 21), np.uint8))
        assert (near[alpha > 230] > 0).all()


def test_the_same_inputs_give_the_same_bytes(astronaut: ImageBgr) -> None:
    for spec in SPECS[::3]:
        first, alpha = draw(astronaut, ASTRONAUT, spec, _rng(3))
        second, again = draw(astronaut, ASTRONAUT, spec, _rng(3))
        assert first.tobytes() == second.tobytes()
        assert alpha.tobytes() == again.tobytes()
        assert draw(astronaut, ASTRONAUT, spec, _rng(4))[0].tobytes() != first.tobytes()


def test_paint_reports_the_part_it_changed_and_adds_to_the_alpha_that_is_there(astronaut: ImageBgr) -> None:
    canvas, alpha = astronaut.copy(), np.zeros((512, 512), np.uint8)
    alpha[150, 225] = 255
    alpha[5, 5] = 77
    x1, y1, x2, y2 = paint(canvas, alpha, ASTRONAUT, BLUE, _rng())
    y, x = np.nonzero((canvas != astronaut).any(axis=2))
    assert x1 <= x.min() and y1 <= y.min() and x.max() < x2 and y.max() < y2
    assert (x2 - x1) < 160 and (y2 - y1) < 130
    assert alpha[5, 5] == 77
    masked, alone = draw(astronaut, ASTRONAUT, BLUE, _rng())
    assert (canvas == masked).all()
    assert (np.maximum(alone, alpha) == alpha).all()


def test_a_canvas_that_is_a_view_with_its_channels_turned_is_painted_like_any_other(
    astronaut: ImageBgr,
) -> None:
    view, alpha = astronaut[..., ::-1].copy()[..., ::-1], np.zeros((512, 512), np.uint8)
    paint(view, alpha, ASTRONAUT, BLUE, _rng(), light_from=astronaut)
    assert (view == draw(astronaut, ASTRONAUT, BLUE, _rng())[0]).all()


def test_the_light_is_read_from_the_unmasked_image_when_it_is_given(astronaut: ImageBgr) -> None:
    canvas, alpha = (astronaut // 4).astype(np.uint8), np.zeros((512, 512), np.uint8)
    paint(canvas, alpha, ASTRONAUT, GREY, _rng(), light_from=astronaut)
    bright, _ = draw(astronaut, ASTRONAUT, GREY, _rng())
    assert (canvas[alpha == 255] == bright[alpha == 255]).all()


@pytest.mark.parametrize("color", ["#808080", "#27365a", "#9e2b33", "#6b6f4a", "#d59aa6"])
def test_under_plain_light_a_mask_has_about_the_color_asked_for(color: str) -> None:
    face = turned_face(60, (150, 150))
    spec = MaskSpec("cloth", "cloth", color, "plain")
    masked, alpha = draw(skin_image(face, (300, 300), SKIN), face, spec, _rng())
    mean = masked[alpha == 255].mean(axis=0)[::-1]
    asked = np.array(list(bytes.fromhex(color[1:])))
    assert np.abs(mean - asked).max() < 30
    assert np.abs(mean / mean.sum() - asked / asked.sum()).max() < 0.04


def test_light_from_the_left_makes_the_left_side_brighter() -> None:
    face = turned_face(60, (150, 150))
    image = skin_image(face, (300, 300), SKIN)
    falling = np.linspace(1.3, 0.4, 300)[None, :, None]
    lit = np.clip(image * falling, 0, 255).astype(np.uint8)
    for picture, sign in ((lit, 1), (np.ascontiguousarray(lit[:, ::-1]), -1)):
        masked, alpha = draw(picture, face, GREY, _rng())
        left, right = (
            masked[100:250, part][alpha[100:250, part] == 255].mean()
            for part in (slice(90, 130), slice(170, 210))
        )
        assert sign * (left - right) > 30
    masked, alpha = draw(image, face, GREY, _rng())
    left, right = (
        masked[:, part][alpha[:, part] == 255].mean() for part in (slice(90, 130), slice(170, 210))
    )
    assert abs(left - right) < 12


def test_a_dark_photograph_gets_a_dark_mask() -> None:
    face = turned_face(60, (150, 150))
    image = skin_image(face, (300, 300), SKIN)
    means = []
    for factor in (1.0, 0.5, 0.2):
        masked, alpha = draw((image * factor).astype(np.uint8), face, GREY, _rng())
        means.append(masked[alpha == 255].mean())
    assert means[0] > 1.5 * means[1] > 2.5 * means[2]


def test_a_blurred_photograph_gets_a_blurred_mask(astronaut: ImageBgr) -> None:
    striped = next(spec for spec in SPECS if spec.kind == "cloth-striped-blue")
    contrast = []
    for image in (astronaut, cv2.GaussianBlur(astronaut, (0, 0), 4)):
        masked, alpha = draw(image, ASTRONAUT, striped, _rng())
        detail = cv2.Laplacian(cv2.cvtColor(masked, cv2.COLOR_BGR2GRAY), cv2.CV_32F)
        contrast.append(float(np.abs(detail[alpha == 255]).mean()))
    assert contrast[1] < 0.4 * contrast[0]


@pytest.mark.parametrize("spec", SPECS[:1] + SPECS[5:6] + SPECS[-4:], ids=lambda spec: spec.kind)
def test_a_grey_photograph_stays_grey(astronaut: ImageBgr, spec: MaskSpec) -> None:
    grey = np.repeat(cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
    masked, alpha = draw(grey, ASTRONAUT, spec, _rng())
    assert (alpha == 255).any()
    assert (masked == masked[..., :1]).all()


@pytest.mark.parametrize("box", [24, 32, 48])
def test_tiny_faces_are_drawn(astronaut: ImageBgr, box: int) -> None:
    scale = box / np.ptp(ASTRONAUT, axis=0).max()
    small = cv2.resize(astronaut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    masked, alpha = draw(small, (ASTRONAUT + 0.5) * scale - 0.5, BLUE, _rng())
    assert (_at(alpha, (ASTRONAUT[[30, 51, 57]] + 0.5) * scale - 0.5) > 200).all()
    blue, _, red = masked[alpha > 250].mean(axis=0)
    assert blue > red + 30


def test_a_face_of_two_thousand_pixels_is_drawn() -> None:
    face = turned_face(850, (1000, 1000))
    image = np.full((2000, 2000, 3), SKIN, dtype=np.uint8)
    _, alpha = draw(image, face, SPECS[0], _rng())
    assert (_at(alpha, face[[30, 8, *range(48, 68)]]) >= 250).all()
    assert not _at(alpha, face[36:48]).any()


@pytest.mark.parametrize("level", [0, 255])
def test_a_picture_of_one_level_is_drawn_on_without_a_warning(level: int) -> None:
    image = np.full((200, 200, 3), level, dtype=np.uint8)
    _, alpha = draw(image, turned_face(40, (100, 100)), BLUE, _rng())
    assert alpha.max() == 255


def test_the_edge_on_the_cheek_is_about_five_pixels_wide_where_the_eyes_are_forty_apart(
    astronaut: ImageBgr,
) -> None:
    _, alpha = draw(astronaut, ASTRONAUT, GREY, _rng())
    widths = []
    for x in (205, 210, 240, 245):
        column = alpha[ASTRONAUT[30, 1].astype(int) - 20 : 150, x].astype(float)
        first, last = np.argmax(column > 0.1 * 255), np.argmax(column > 0.9 * 255)
        widths.append(last - first)
    assert 3 <= np.mean(widths) <= 7


def test_images_of_another_shape_are_a_mistake_of_the_caller() -> None:
    face = turned_face(40, (100, 100))
    with pytest.raises(ValueError, match="uint8"):
        draw(np.zeros((200, 200, 3), np.float32), face, BLUE, _rng())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="alpha"):
        paint(np.zeros((200, 200, 3), np.uint8), np.zeros((100, 100), np.uint8), face, BLUE, _rng())
