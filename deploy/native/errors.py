"""The one error of this package."""


class StackError(Exception):
    """Raised when the system cannot be set up, started or stopped.

    Its text is one clear sentence: what is wrong, and what to do about it.
    """
