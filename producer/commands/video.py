"""`maskmill video index`."""

from __future__ import annotations

import json
import os

import click


@click.group("video")
def command() -> None:
    """Look at a video before it is used."""


@command.command("index")
@click.argument("file")
@click.option(
    "--accurate", is_flag=True, help="Count by decoding every frame; takes as long as watching it fast."
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def index(file: str, accurate: bool, as_json: bool) -> None:
    """Count the frames of a video, and say how they are reached.

    The fast count is that of the packets. Where a trial shows that it cannot be believed, every frame is
    decoded also without --accurate.
    """
    from dataclasses import asdict

    from common.errors import ImageError, UsageError
    from common.escaping import escape
    from common.video_facts import video_facts
    from producer.inputs import read_inputs
    from producer.videos import VIDEO_EXTENSIONS

    path = os.fsencode(file)
    if not path.lower().endswith(VIDEO_EXTENSIONS):
        names = " ".join(extension.decode() for extension in VIDEO_EXTENSIONS)
        raise UsageError(f"{escape(path)}: expected a video ({names})")
    (one,) = read_inputs([file], None)
    try:
        facts = video_facts(one.root, accurate=accurate)
    except ImageError as exc:
        raise UsageError(str(exc)) from exc
    if as_json:
        click.echo(
            json.dumps({"video": escape(path), **asdict(facts), "fast_is_accurate": facts.fast_is_accurate})
        )
        return
    how = "every frame decoded" if facts.is_accurate else "by its packets"
    click.echo(f"{escape(path)}: {facts.codec}, {facts.width} x {facts.height}")
    click.echo(f"  frames: {facts.frames} ({how})")
    fast = {True: ", the accurate one too", False: ", which is off", None: ""}[facts.fast_is_accurate]
    header = "" if facts.in_header is None else f"; its header promises {facts.in_header}"
    click.echo(f"  fast count: {facts.packets}{fast}{header}")
    click.echo(f"  keyframes: {facts.keyframes}; {_REACHED[facts.is_seekable, facts.by_packet]}")
    rate = "unknown" if facts.fps is None else f"{facts.fps:.3f} frames/s"
    kind = {True: ", variable", False: ", constant", None: ""}[facts.is_variable]
    duration = "unknown" if facts.duration_s is None else f"{facts.duration_s:.3f} s"
    click.echo(f"  rate: {rate}{kind}; duration: {duration}")


_REACHED = {
    (True, False): "a frame is reached from the keyframe before it",
    (
        True,
        True,
    ): "a frame is reached from the keyframe before it, by counting packets: times do not lead there",
    (False, False): "a frame is decoded from the start: nothing else gives the same pixels here",
}
