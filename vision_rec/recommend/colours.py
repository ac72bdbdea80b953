"""Names of colours for reasons: what the image encoder calls a colour block, without its network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vision_rec.errors import VisionRecError
from vision_rec.types import Array

if TYPE_CHECKING:
    from vision_rec.settings import EncoderSettings, Settings

NameColours = Callable[[Array], tuple[str, ...]]  # a colour block (dim,) → its main colours
_log = logging.getLogger(__name__)


class ColourNames:
    """Gives the function that names colour blocks of one image encoder, None where there is none."""

    def __init__(self, settings: EncoderSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._names: dict[str, NameColours | None] = {}

    def __call__(self, fingerprint: str | None) -> NameColours | None:
        """Return the naming function for blocks that the encoder `fingerprint` wrote."""
        with self._lock:
            if str(fingerprint) not in self._names:
                self._names = {str(fingerprint): self._load(fingerprint)}
            return self._names[str(fingerprint)]

    def _load(self, fingerprint: str | None) -> NameColours | None:
        from vision_rec.encoders import bundled_folder
        from vision_rec.encoders.image import ImageEncoder

        chosen = self._settings.image
        try:
            encoder = ImageEncoder(bundled_folder() if chosen == "bundled" else Path(chosen))
            if encoder.fingerprint != fingerprint:
                return None
            encoder.encode_colour([(128, 128, 128)])  # reads and checks the weights file
        except VisionRecError as error:
            # Reasons then name the feed's colours; queries that need the encoder get the error itself.
            _log.warning("colours cannot be named: %s", error)
            return None
        return encoder.name_colours


def names_of(
    settings: Settings, encoders: object | None, given: NameColours | None
) -> Callable[[str | None], NameColours | None]:
    """Name colours as told, not at all for encoders of the caller's own, else as the settings' encoder."""
    if given is not None or encoders is not None:
        return lambda _: given
    return ColourNames(settings.encoders)
