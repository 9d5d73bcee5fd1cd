"""The angles of `--rotate`: how pictures are turned in which no face is found upright."""

from __future__ import annotations

import math

from common.errors import UsageError

_QUARTER = 90.0


def parse_angles(text: str) -> tuple[float, ...]:
    """Return the angles to try, in order: degrees clockwise, above 0 and below 360.

    Args:
        text: `on` (90, 180, 270), a step up to 360 (`30` is 30, 60, … 330), or a list with commas, which is
            taken as it stands (`90,270`; `90,` is 90 alone; -90 is 270). Empty: none.

    Raises:
        UsageError: anything else.
    """
    words = [word.strip() for word in text.split(",")]
    if words == [""]:
        return ()
    if words == ["on"]:
        return _steps(_QUARTER)
    numbers = [_number(word, text) for word in words if word]
    if len(words) == 1:
        if not 1 <= numbers[0] < 360:
            raise _unfit(text)
        return _steps(numbers[0])
    turned = tuple(dict.fromkeys(number % 360 for number in numbers))
    if not turned or 0 in turned or any(abs(number) > 360 for number in numbers):
        raise _unfit(text)
    return turned


def _steps(step: float) -> tuple[float, ...]:
    return tuple(round(step * k, 6) for k in range(1, math.ceil(360 / step)))


def _number(word: str, text: str) -> float:
    try:
        number = float(word)
    except ValueError as exc:
        raise _unfit(text) from exc
    if not math.isfinite(number):
        raise _unfit(text)
    return number


def _unfit(text: str) -> UsageError:
    return UsageError(
        f"--rotate must be on, a step of 1 to 359 degrees such as 30, or a list such as 90,270, got {text!r}"
    )
