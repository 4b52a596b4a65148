"""The errors of the client.

ClientError
├── Refused         the server does not do what was asked: asking again cannot help
├── Unavailable     the server did not answer, or said that it cannot at the moment
├── NotUnderstood   what answered is not this server, or another version of it
├── NotInstalled    an optional package is missing
└── NotExact        a conversion would lose digits

Facts are attributes; ``__str__`` is the sentence a person reads.
"""


class ClientError(Exception):
    """Root of the client's errors."""


class Refused(ClientError):
    """Raised when the server refuses what was asked; ``code`` is for programs, ``message`` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message

    def __str__(self) -> str:
        return self.message


class Unavailable(ClientError):
    """Raised when the server at ``url`` gave no usable answer, also not when asked again."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(url, reason)
        self.url, self.reason = url, reason

    def __str__(self) -> str:
        return f"{self.url} does not answer: {self.reason}"


class NotUnderstood(ClientError):
    """Raised when an answer is not what this client's server sends."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(source, reason)
        self.source, self.reason = source, reason

    def __str__(self) -> str:
        return f"the answer of {self.source} cannot be read: {self.reason}"


class NotExact(ClientError):
    """Raised when a conversion that was to keep every digit cannot."""

    def __init__(self, what: str, value: object, expected: str) -> None:
        super().__init__(what, value, expected)
        self.what, self.value, self.expected = what, value, expected

    def __str__(self) -> str:
        return f"{self.what} cannot hold {self.value}: expected {self.expected}"


class NotInstalled(ClientError):
    """Raised when something needs a package that is missing here."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(what, package)
        self.what, self.package = what, package

    def __str__(self) -> str:
        return f"{self.what} needs {self.package}, which is not installed: pip install {self.package}"
