"""What a reader is asked for."""

from dataclasses import dataclass

#: Bytes that one column of one episode may have.
EPISODE_BYTES = 1 << 30


@dataclass(frozen=True)
class Wanted:
    """Options of all readers; each takes those that mean something to it."""

    #: robomimic: read only the episodes that `mask/FILTER` lists.
    filter: str | None = None
    #: Columns of pictures to read, in addition to those of numbers; `("*",)` for all.
    pictures: tuple[str, ...] = ()
    #: Height and width that pictures are brought to; None leaves them.
    picture_size: tuple[int, int] | None = None

    def picture(self, name: str) -> bool:
        """Whether to read a column of pictures."""
        return name in self.pictures or "*" in self.pictures
