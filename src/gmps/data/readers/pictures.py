"""Pictures and videos to arrays of bytes, in the size that is wanted."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gmps.data.readers.options import Wanted
from gmps.errors import GmpsError

#: Pixels that a picture may declare.
_PIXELS = 1 << 26


def resized(frames: np.ndarray, wanted: Wanted) -> np.ndarray:
    """Frames `(t, height, width, 3)` in the size wanted."""
    if frames.ndim == 5 and frames.shape[1] == 1:
        frames = frames[:, 0]
    if frames.ndim != 4 or frames.shape[-1] not in (3, 4):
        raise GmpsError(f"Frames have the shape {frames.shape}; they need (t, height, width, 3).")
    frames = np.ascontiguousarray(frames[..., :3])
    if wanted.picture_size in (None, frames.shape[1:3]):
        return frames
    return np.stack([_resize(Image.fromarray(frame), wanted) for frame in frames])


def decoded(data: bytes, wanted: Wanted) -> np.ndarray:
    """A PNG or JPEG picture as `(height, width, 3)`.

    Raises:
        GmpsError: it is neither, damaged, or larger than any camera's.
    """
    try:
        picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
        if picture.width * picture.height > _PIXELS:
            raise ValueError(f"{picture.width} x {picture.height} pixels")
        return _resize(picture.convert("RGB"), wanted)
    except Exception as error:  # whatever goes wrong with such bytes means the same
        raise GmpsError(f"A picture is damaged: {error}.") from error


def _resize(picture: Any, wanted: Wanted) -> np.ndarray:
    if wanted.picture_size is not None:
        height, width = wanted.picture_size
        if (picture.height, picture.width) != (height, width):
            picture = picture.resize((width, height), Image.Resampling.BOX)
    return np.asarray(picture)


def video_frames(
    path: Path, times: np.ndarray, tolerance: float, wanted: Wanted
) -> Iterator[np.ndarray]:
    """The frames of a video at some times, in order.

    Args:
        path: the video.
        times: seconds from its start, ascending.
        tolerance: how far a frame's time may be from the one wanted, s.
        wanted: the size.

    Raises:
        GmpsError: PyAV is missing, the file is damaged, or it has no frame at one of the times.
    """
    try:
        import av  # noqa: PLC0415 - an extra
        from av.error import FFmpegError  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise GmpsError("Videos take the package av: pip install 'gmps[data]'.") from error
    done = 0
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            stream = container.streams.video[0]
            if stream.width * stream.height > _PIXELS:
                raise ValueError(f"it declares {stream.width} x {stream.height} pixels")
            height, width = wanted.picture_size or (stream.height, stream.width)
            for frame in container.decode(stream):
                while done < len(times) and frame.time is not None:
                    if frame.time < times[done] - tolerance:
                        break
                    if frame.time > times[done] + tolerance:
                        raise ValueError(f"it has no frame at {times[done]:.3f} s")
                    yield frame.to_ndarray(
                        width=width, height=height, format="rgb24", interpolation="AREA"
                    )
                    done += 1
                if done == len(times):
                    return
    except (FFmpegError, ValueError, IndexError, MemoryError) as error:
        raise GmpsError(f"The video {path} is damaged: {error}.") from error
    raise GmpsError(f"The video {path} ends before {times[done]:.3f} s: it has {done} frames.")
