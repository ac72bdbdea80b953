"""The one tree of errors; the doors (CLI, HTTP) turn `code` into exit codes and status codes."""

from __future__ import annotations


class VisionRecError(Exception):
    """Root of every error this package raises on purpose; `code` is stable and documented."""

    code = "internal"


class InputError(VisionRecError, ValueError):
    """The caller asked for something that is not allowed: unknown aspect, negative weight, bad filter."""

    code = "invalid-input"


class NotFoundError(VisionRecError, LookupError):
    """The product, version or user named by the caller does not exist."""

    code = "not-found"


class FeedError(VisionRecError):
    """The feed as a whole is unusable: missing, empty, wrong format, too many rejected rows, shrunk."""

    code = "feed-rejected"


class FeedRowError(FeedError):
    """One row of a feed is unusable; it is counted and listed, the good rows go on."""

    code = "feed-row-rejected"

    def __init__(self, line: int, column: str, reason: str, product_id: str = "") -> None:
        super().__init__(f"line {line}, column {column!r}: {reason}")
        self.line, self.column, self.reason, self.product_id = line, column, reason, product_id

    def __reduce__(self) -> tuple[type[FeedRowError], tuple[int, str, str, str]]:
        return type(self), (self.line, self.column, self.reason, self.product_id)


class ImageError(VisionRecError):
    """A picture cannot be used; `reason` is one word for reports: empty, not-an-image, truncated."""

    code = "image-unreadable"

    def __init__(self, message: str, reason: str = "unreadable") -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return type(self), (str(self), self.reason)


class ImageTooLargeError(ImageError):
    """A picture is over a limit of bytes, pixels or sides; the message names the limit."""

    code = "image-too-large"


class ImageTooSlowError(ImageError):
    """A picture takes longer to decode than allowed, or is built to (progressive-scan bomb)."""

    code = "image-too-slow"


class UrlNotAllowedError(VisionRecError):
    """A URL names a scheme, port, host or address that must not be fetched."""

    code = "url-not-allowed"


class FetchError(VisionRecError):
    """A URL could not be fetched; `reason` is one word for reports: http-404, timeout, too-large."""

    code = "fetch-failed"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[FetchError], tuple[str, str]]:
        return type(self), (str(self), self.reason)


class IntegrityError(VisionRecError):
    """A stored file is damaged, missing or not what its manifest says."""

    code = "integrity"


class IncompatibleError(VisionRecError):
    """A stored file was written by another format version; the message names the command that cures it."""

    code = "incompatible-version"


class ChangedError(VisionRecError):
    """Somebody changed meanwhile what the caller wants to change; `current` is how it is now."""

    code = "changed-meanwhile"

    def __init__(self, message: str, current: object = None) -> None:
        super().__init__(message)
        self.current = current

    def __reduce__(self) -> tuple[type[ChangedError], tuple[str, object]]:
        return type(self), (str(self), self.current)


class LockedError(VisionRecError):
    """Another process holds the lock of these indexes; the message names it."""

    code = "locked"


class UnavailableError(VisionRecError):
    """A library, model or version that this call needs is not there; the message names the cure."""

    code = "unavailable"


class ResourceError(VisionRecError):
    """Not enough disk or memory; the message has needed and free bytes."""

    code = "out-of-space"
