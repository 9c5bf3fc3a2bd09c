"""Frames beside each other, with captions, and animations of them as files."""

import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from gmps.aside import aside, naming
from gmps.errors import GmpsError
from gmps.forks import expected_fork
from gmps.rendering.episodes import Frames
from gmps.runs.new_file import require_new_file

#: Height of a caption and width of the gap between columns, in pixels.
CAPTION, GAP = 22, 4
#: What `write_frames` can write.
SUFFIXES = (".gif", ".mp4", ".png")


def side_by_side(columns: Mapping[str, Frames]) -> Frames:
    """One animation from several of the same size, left to right, each under its name.

    Shorter ones rest on their last frame.

    Raises:
        GmpsError: there is no column, or their sizes differ.
    """
    sizes = {frames.shape[1:3] for frames in columns.values()}
    if len(sizes) != 1:
        raise GmpsError(f"Frames side by side need one common size, got {sorted(sizes)}.")
    ((height, width),) = sizes
    length = max(len(frames) for frames in columns.values())
    total = len(columns) * (width + GAP) - GAP
    canvas = np.full((length, height + CAPTION, total, 3), 255, np.uint8)
    for i, (name, frames) in enumerate(columns.items()):
        left = i * (width + GAP)
        rest = np.repeat(frames[-1:], length - len(frames), 0)
        canvas[:, CAPTION:, left : left + width] = np.concatenate([frames, rest])
        canvas[:, :CAPTION, left : left + width] = _caption(name, width)
    return canvas


def _caption(text: str, width: int) -> np.ndarray:
    image = Image.new("RGB", (width, CAPTION), "white")
    ImageDraw.Draw(image).text((6, 3), text, fill="black", font=ImageFont.load_default(14))
    return np.asarray(image)


def require_writable(path: str | Path) -> Path:
    """The path, if `write_frames` can write there; to be asked before anything is computed.

    Raises:
        GmpsError: see `require_new_file`; or its ending is not known, or the encoder for .mp4 is
            not installed.
    """
    path = require_new_file(path)
    if path.suffix not in SUFFIXES:
        raise GmpsError(
            f"{path} must end in {', '.join(SUFFIXES)}: an animation, a film, or one picture of "
            "the last frame."
        )
    if path.suffix == ".mp4" and importlib.util.find_spec("imageio_ffmpeg") is None:
        raise GmpsError(
            "Writing .mp4 takes the package imageio-ffmpeg; install gmps[video], or choose a .gif."
        )
    return path


def write_frames(path: str | Path, frames: Frames, fps: float) -> None:
    """Write frames as .gif or .mp4, or the last one as .png: whole or not at all. Never overwrites.

    Raises:
        GmpsError: see `require_writable`.
    """
    with aside(require_writable(path)) as place, naming(path):
        if place.suffix == ".png":
            Image.fromarray(frames[-1]).save(place)
        elif place.suffix == ".gif":
            _write_gif(place, frames, fps)
        else:
            _write_mp4(place, frames, fps)


def _write_gif(path: Path, frames: Frames, fps: float) -> None:
    """One palette for all frames, so that colours do not flicker; the last one stays a second."""
    sample = np.concatenate([frames[0], frames[len(frames) // 2], frames[-1]])
    palette = Image.fromarray(sample).quantize(128)
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    duration = max(20, round(1000 / fps))
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        duration=[duration] * (len(images) - 1) + [1000],
        loop=0,
        optimize=False,
    )


def _write_mp4(path: Path, frames: Frames, fps: float) -> None:
    encoder = importlib.import_module("imageio_ffmpeg")
    # H.264 takes even sizes only.
    height, width = (n // 2 * 2 for n in frames.shape[1:3])
    writer = encoder.write_frames(str(path), (width, height), fps=fps, macro_block_size=2)
    with expected_fork():
        writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(frame[:height, :width]))
    writer.close()
