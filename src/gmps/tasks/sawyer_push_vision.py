"""Sawyer pushing from pixels: the learner sees a picture and where its hand is."""

from dataclasses import dataclass
from typing import ClassVar

from gmps.tasks.base import Camera
from gmps.tasks.pixels import PixelFamily, View
from gmps.tasks.sawyer_push import SawyerPush


@dataclass(frozen=True)
class SawyerPushVision(SawyerPush, PixelFamily):
    """`SawyerPush` with a camera: the learner is shown no block position.

    The camera looks back over the table, so that the block hides the fingers rather than the
    fingers the block.
    """

    view: ClassVar[View] = View(Camera((0.0, 0.63, 0.0), 0.9, 205.0, -52.0), top=18, left=10)

    @property
    def name(self) -> str:
        """`sawyer-push-vision`, with the variant where there is one."""
        return super().name.replace("sawyer-push", "sawyer-push-vision")

    @property
    def summary(self) -> str:
        """One line."""
        return "A robot hand pushes a block to a hidden goal; the learner sees pictures."
