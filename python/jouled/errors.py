"""What can go wrong, named by what to do about it. The Rust extension raises these too."""


def one_line(text: str) -> str:
    """Names that others choose may hold any characters: they must not write lines, or move the cursor."""
    return "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text)


class JouledError(Exception):
    """Every error whose message is meant for the operator: it names the place and the fix."""


class ScanError(JouledError):
    """A scan failed as a whole. Stop at the start; at run time count it and try the next tick."""


class UnsupportedError(JouledError):
    """This host cannot do what was asked for: start without it, or not at all if nothing is left."""


class LimitError(JouledError):
    """A power limit was not written, or nobody knows what it holds: the others are written all the same.

    `reason` is "wrong" (nothing was tried), "denied", "gone" (the zone went away), "locked" or "failed".
    """

    def __init__(self, message: str, reason: str = "failed") -> None:
        super().__init__(message)
        self.reason = reason


class ConfigError(JouledError):
    """The configuration asks for something that cannot be: say what, and exit with code 2."""


class StoreError(JouledError):
    """The store is away, full or of another version: measuring goes on, what can wait does."""


class BooksError(JouledError):
    """The books cannot take, or do not hold, what was asked for. Nothing was changed."""


class NotFoundError(BooksError):
    """There is no such record."""


class ConflictError(BooksError):
    """It is there already and says otherwise, or its state does not allow this."""


class InvalidError(BooksError):
    """Well-formed, but it cannot be: a negative energy, a time in the far future, an unknown timezone."""
