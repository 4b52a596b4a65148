"""The errors of the REST API, and how every error becomes an answer: one table, one format.

WebError
├── BadParameters   400: every parameter at fault
├── UnknownName     404: an exchange or a pair that is neither configured nor stored
├── NotExact        406: the format asked for cannot hold the numbers exactly
└── NotInstalled    501: the format asked for needs a package that this server does not have

Answers are RFC 9457 ``application/problem+json`` without the texts of inner errors, which may tell addresses.
"""

import logging
from typing import Annotated, Any, Literal, NamedTuple

import falcon
import msgspec
import redis

from workers.errors import StoreUnavailable

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
#: When to come back after a service did not answer, in seconds.
RETRY_AFTER_SECONDS = 2
#: How much of a bad value an answer repeats.
_SHOWN = 80


class Problem(NamedTuple):
    """One parameter at fault."""

    parameter: str
    value: str
    expected: str


class ParameterProblem(msgspec.Struct):
    """One parameter at fault, its value cut to a length that is safe to show."""

    parameter: str
    value: str
    expected: str


class ProblemDocument(msgspec.Struct, omit_defaults=True):
    """Every error's answer (RFC 9457).

    ``code`` is for programs, ``detail`` for people; ``errors`` has one entry per parameter at fault; ``s`` and
    ``errmsg`` stand in answers below ``/udf/`` only.
    """

    type: str
    title: str
    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    detail: str
    code: str
    instance: str
    errors: list[ParameterProblem] | msgspec.UnsetType = msgspec.UNSET
    s: Literal["error"] | msgspec.UnsetType = msgspec.UNSET
    errmsg: str | msgspec.UnsetType = msgspec.UNSET


class WebError(Exception):
    """Root of this package's errors."""


class BadParameters(WebError):
    """Raised when a request's parameters cannot be used; it holds one entry per parameter at fault."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(
            f"{name[:_SHOWN]}={value[:_SHOWN]}: expected {wanted}" for name, value, wanted in self.problems
        )


class UnknownName(WebError):
    """Raised when a well-formed exchange or pair is not one that we know."""

    def __init__(self, parameter: str, value: str, expected: str) -> None:
        super().__init__(parameter, value, expected)
        self.parameter, self.value, self.expected = parameter, value, expected

    def __str__(self) -> str:
        return f"{self.parameter} {self.value} is not known: expected {self.expected}"


class NotExact(WebError):
    """Raised when the format that a client asked for would round what is stored."""

    def __init__(self, parameter: str, value: str, expected: str) -> None:
        super().__init__(parameter, value, expected)
        self.parameter, self.value, self.expected = parameter, value, expected

    def __str__(self) -> str:
        return f"{self.parameter}={self.value} holds only {self.expected}, and there are others: use another format"


class NotInstalled(WebError):
    """Raised when an answer needs an optional package that is missing here."""

    def __init__(self, parameter: str, value: str, package: str) -> None:
        super().__init__(parameter, value, package)
        self.parameter, self.value, self.package = parameter, value, package

    def __str__(self) -> str:
        return f"{self.parameter}={self.value} needs {self.package}, which is not installed on this server"


def install(app: "falcon.App[Any, Any]") -> None:
    """Make the app answer every error as a problem document."""
    app.set_error_serializer(_serialize)
    # The most specific class wins; falcon's own errors keep falcon's handler.
    app.add_error_handler(Exception, _internal)
    app.add_error_handler(BadParameters, _bad_parameters)
    app.add_error_handler(UnknownName, _unknown_name)
    app.add_error_handler(NotExact, _not_exact)
    app.add_error_handler(NotInstalled, _not_installed)
    app.add_error_handler(StoreUnavailable, _unavailable)
    app.add_error_handler(redis.RedisError, _unavailable)


def write_problem(resp: falcon.Response, req: falcon.Request, status: int, code: str, detail: str, **more: Any) -> None:
    """Fill the response with a problem document; ``code`` is for programs, ``detail`` for people."""
    http = falcon.util.code_to_http_status(status)
    resp.status = http
    resp.content_type = PROBLEM_JSON
    resp.set_header("Cache-Control", "no-store")
    problem = ProblemDocument("about:blank", http.partition(" ")[2], status, detail, code, req.path, **more)
    if req.path.startswith("/udf/"):
        # TradingView's charts read these two members and nothing else, whatever the status is.
        problem.s, problem.errmsg = "error", detail
    resp.data = msgspec.json.encode(problem)


def _serialize(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError) -> None:
    """Falcon's own errors: unknown path, wrong method, malformed request."""
    status = error.status_code
    detail = error.description or {
        404: "There is nothing at this path; /api lists what there is.",
        405: f"{req.method[:20]} is not possible here; the Allow header names what is.",
    }.get(status, error.title or "")
    write_problem(resp, req, status, _CODES.get(status, "bad_request" if status < 500 else "internal"), detail)


_CODES = {404: "not_found", 405: "method_not_allowed", 429: "rate_limited"}


def _bad_parameters(req: falcon.Request, resp: falcon.Response, error: BadParameters, _params: dict[str, Any]) -> None:
    errors = [
        {"parameter": name[:_SHOWN], "value": value[:_SHOWN], "expected": expected}
        for name, value, expected in error.problems
    ]
    write_problem(resp, req, 400, "bad_parameter", str(error), errors=errors)


def _unknown_name(req: falcon.Request, resp: falcon.Response, error: UnknownName, _params: dict[str, Any]) -> None:
    errors = [{"parameter": error.parameter, "value": error.value, "expected": error.expected}]
    write_problem(resp, req, 404, f"unknown_{error.parameter}", str(error), errors=errors)


def _not_exact(req: falcon.Request, resp: falcon.Response, error: NotExact, _params: dict[str, Any]) -> None:
    errors = [{"parameter": error.parameter, "value": error.value, "expected": error.expected}]
    write_problem(resp, req, 406, "not_exact", str(error), errors=errors)


def _not_installed(req: falcon.Request, resp: falcon.Response, error: NotInstalled, _params: dict[str, Any]) -> None:
    write_problem(resp, req, 501, "not_installed", str(error))


def _unavailable(req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
    service = "the store" if isinstance(error, StoreUnavailable) else "the live side"
    logger.warning("%s did not answer", service, extra={"path": req.path, "reason": str(error)})
    resp.set_header("Retry-After", str(RETRY_AFTER_SECONDS))
    write_problem(resp, req, 503, "unavailable", f"{service} does not answer at the moment; please try again")


def _internal(req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]) -> None:
    logger.error("request failed", extra={"path": req.path}, exc_info=error)
    write_problem(resp, req, 500, "internal", "This is our fault; the log has the details under the request id.")
