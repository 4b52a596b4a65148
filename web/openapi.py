"""The REST API described in OpenAPI 3.1, from the declarations of its endpoints and the types of its answers."""

from inspect import cleandoc
from typing import Any, Final

import msgspec

from web.endpoints import ENDPOINTS, Endpoint, Form
from web.errors import PROBLEM_JSON, ProblemDocument
from web.parameters import Parameter
from web.ratelimit import WINDOW_SECONDS

_REF: Final = "#/components/schemas/{name}"

_DESCRIPTION: Final = """\
Candles of cryptocurrency pairs. Times are Unix **milliseconds** UTC (below `/udf/` **seconds**), and a candle's \
`timestamp` is its **open** time. Prices and volumes are JSON numbers with exactly the digits that the exchange sent: \
read them as decimals to keep them all. History comes **newest first**; its first candle is normally still open.

Every error is a problem document (RFC 9457). `HEAD` answers as `GET` without the body.
"""

#: Why an endpoint fails; 503 may be something else than a problem document.
_FAILURES: Final = {
    400: "A parameter is missing, repeated, unknown or not what was expected; `errors` names each.",
    404: "An exchange or a pair that is neither followed nor stored.",
    406: "The format asked for cannot hold the numbers exactly.",
    429: "More requests from this address than the limit allows.",
    501: "The format asked for needs a package that this server does not have.",
    503: "A service behind this one does not answer in time, or the data is not fresh.",
}

_HEADERS: Final = {
    "X-Request-Id": ("Names the request in our log; one that was sent is kept if it is sensible.", {"type": "string"}),
    "Link": ('Where to go on: `<…>; rel="next"`; absent if that was all.', {"type": "string"}),
    "ETag": ("Present if every candle of the answer is final.", {"type": "string"}),
    "Retry-After": ("Seconds to wait before the next attempt.", {"type": "integer", "minimum": 0}),
    "RateLimit-Policy": (
        f"The limit, where there is one: `q` requests in `w` ({WINDOW_SECONDS}) s.",
        {"type": "string"},
    ),
    "RateLimit": ("What is left of it: `r` requests; whole again in `t` seconds.", {"type": "string"}),
}


def document() -> dict[str, Any]:
    """The description, ready to be encoded as JSON."""
    groups = dict.fromkeys(endpoint.group for endpoint in ENDPOINTS)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "crypto-streams: history of candles",
            "version": "1.0.0",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group} for group in groups],
        "paths": {endpoint.path: {"get": _operation(endpoint)} for endpoint in ENDPOINTS},
        "components": {"schemas": _schemas(), "headers": {name: _header(name) for name in _HEADERS}},
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    failures = {status: _failure(endpoint, status) for status in endpoint.failures}
    if endpoint.limited:
        failures[429] = _failure(endpoint, 429)
    answers = {200: _success(endpoint), **failures}
    if endpoint.tagged:
        answers[304] = {"description": "The client holds this answer already.", "headers": _headers("ETag")}
    parameters = [_parameter(parameter) for parameter in endpoint.parameters]
    if endpoint.tagged:
        parameters.append(_IF_NONE_MATCH)
    return {
        "operationId": _operation_id(endpoint.path),
        "tags": [endpoint.group],
        "summary": endpoint.summary,
        "x-example": endpoint.example,
        **({"description": endpoint.description} if endpoint.description else {}),
        **({"parameters": parameters} if parameters else {}),
        "responses": {str(status): answer for status, answer in sorted(answers.items())},
    }


#: Pages whose names without the first word are those of others.
_PAGES: Final = {"/": "getDashboard", "/status": "getStatusPage"}


def _operation_id(path: str) -> str:
    if path in _PAGES:
        return _PAGES[path]
    words = path.strip("/").removeprefix("api/").replace(".", "/").split("/")
    return "get" + "".join(word.capitalize() for word in words)


_IF_NONE_MATCH: Final = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of an answer that the client holds.",
    "schema": {"type": "string"},
}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = parameter.schema
    if parameter.default is not None:
        schema = schema | {"default": parameter.default}
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.description,
        "required": parameter.required,
        "schema": schema,
        **({} if parameter.example is None else {"example": parameter.example}),
    }


def _success(endpoint: Endpoint) -> dict[str, Any]:
    headers = ["X-Request-Id"]
    headers += ["Link"] if endpoint.linked else []
    headers += ["ETag"] if endpoint.tagged else []
    headers += ["RateLimit-Policy", "RateLimit"] if endpoint.limited else []
    return {
        "description": endpoint.summary,
        "headers": _headers(*headers),
        "content": {media: _content(form) for media, form in endpoint.answers.items()},
    }


def _failure(endpoint: Endpoint, status: int) -> dict[str, Any]:
    headers = ["X-Request-Id"]
    form: Form = ProblemDocument
    media = PROBLEM_JSON
    if status == 503 and endpoint.unavailable is not None:
        form, media = endpoint.unavailable, "application/json"
    elif status in (429, 503):
        headers.append("Retry-After")
    if status == 429:
        headers += ["RateLimit-Policy", "RateLimit"]
    return {"description": _FAILURES[status], "headers": _headers(*headers), "content": {media: _content(form)}}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str) -> dict[str, Any]:
    description, schema = _HEADERS[name]
    return {"description": description, "schema": schema}


def _content(form: Form) -> dict[str, Any]:
    if isinstance(form, tuple):
        return {"schema": {"anyOf": [_schema(each) for each in form]}}
    schema = _schema(form)
    return {"schema": schema} if schema else {}


def _schema(form: Form) -> dict[str, Any]:
    if isinstance(form, dict):
        return form
    (schema,), _ = msgspec.json.schema_components([form], ref_template=_REF)
    return dict(schema)


def _forms() -> list[Any]:
    """Every type that an answer is made of."""
    forms: list[Any] = [ProblemDocument]
    for endpoint in ENDPOINTS:
        for form in [*endpoint.answers.values(), endpoint.unavailable]:
            forms += form if isinstance(form, tuple) else [form]
    return [form for form in forms if form is not None and not isinstance(form, dict)]


def _schemas() -> dict[str, Any]:
    _, components = msgspec.json.schema_components(_forms(), ref_template=_REF)
    return {name: _tidy(schema) for name, schema in sorted(components.items())}


def _tidy(schema: Any) -> Any:
    """The schema with decimals as the numbers that they are on the wire, and descriptions without our indentation."""
    if isinstance(schema, list | tuple):
        return [_tidy(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {name: _tidy(value) for name, value in schema.items()}
    # msgspec knows decimals as texts; our encoder writes numbers.
    if tidy.get("format") == "decimal":
        del tidy["format"]
        tidy["type"] = "number"
    if isinstance(tidy.get("description"), str):
        tidy["description"] = cleandoc(tidy["description"])
    return tidy
