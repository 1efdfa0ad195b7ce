"""Every error that whyhere raises on purpose.

Messages say what was looked for, where, and what to do about it. `exit_code` is what the command line
returns when the error ends a command.
"""

from __future__ import annotations


class WhyhereError(Exception):
    """Base of all deliberate errors; each argument is a line of the message.

    So a newline within an argument is part of somebody's name, and is shown as an escape where it is printed.
    """

    exit_code = 1

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class UsageError(WhyhereError):
    """An argument that cannot be understood (exit code 2)."""

    exit_code = 2


class MissingFileError(WhyhereError):
    """A model or data file is missing, incomplete or not what it should be (exit code 3)."""

    exit_code = 3


class PhotoError(WhyhereError):
    """One photo that cannot be read; the others are not affected.

    Attributes:
        photo: The photo as the caller named it.
        reason: Why it cannot be read, without the name.
    """

    def __init__(self, photo: str, reason: str) -> None:
        super().__init__(f"{photo}: {reason}")
        self.photo = photo
        self.reason = reason
