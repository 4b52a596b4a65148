"""The documentation page: OpenAPI and AsyncAPI documents to HTML. Pure; every text is escaped, nothing is loaded."""

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

_CODE: Final = re.compile(r"``?([^`]+)``?")
_BOLD: Final = re.compile(r"\*\*([^*]+)\*\*")

Document = Mapping[str, Any]


def render(openapi: Document, asyncapi: Document) -> str:
    """What stands between the header and the end of the page."""
    return "\n".join([_contents(openapi), *_rest(openapi), *_socket(asyncapi)])


def _contents(openapi: Document) -> str:
    items = [_item(_anchor("group", tag["name"]), tag["name"]) for tag in openapi["tags"]]
    items += [_item("rest-types", "Types of the answers"), _item("socket", "WebSocket"), _item("ws-types", "Its types")]
    return f'<nav aria-label="On this page"><ul>{"".join(items)}</ul></nav>'


def _item(anchor: str, text: str) -> str:
    return f'<li><a href="#{anchor}">{escape(text)}</a></li>'


def _rest(openapi: Document) -> Iterable[str]:
    yield f'<section id="rest"><h2>REST</h2>{_prose(openapi["info"]["description"])}'
    yield '<p>To a program: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1).</p></section>'
    for tag in openapi["tags"]:
        yield f'<section id="{_anchor("group", tag["name"])}"><h2>{escape(tag["name"])}</h2>'
        for path, methods in openapi["paths"].items():
            if tag["name"] in methods["get"]["tags"]:
                yield _endpoint(path, methods["get"])
        yield "</section>"
    yield _types("rest", "Types of the answers", openapi["components"]["schemas"])


def _endpoint(path: str, operation: Document) -> str:
    parameters = operation.get("parameters", [])
    rows = [
        _row(
            f"<code>{escape(each['name'])}</code>{_badge('required') if each.get('required') else ''}",
            _type(each["schema"], "rest") + ("" if each["in"] == "query" else f" in the {each['in']}"),
            _inline(each.get("description", "")) + _default(each["schema"]),
        )
        for each in parameters
    ]
    answers = [_answer(status, answer) for status, answer in operation["responses"].items()]
    return (
        f'<article id="{escape(operation["operationId"])}"><h3><span class="method">GET</span> {escape(path)}</h3>'
        f"<p>{_inline(operation['summary'])}</p>{_prose(operation.get('description', ''))}"
        f"{_example(operation['x-example'])}"
        f"{_table(('Parameter', 'Value', 'Meaning'), rows) if rows else ''}"
        f"<details><summary>Answers</summary>{_table(('Status', 'Body', 'When'), answers)}</details></article>"
    )


def _example(target: str) -> str:
    return f'<p class="example"><a href="{escape(target)}">{escape(target)}</a></p>'


def _answer(status: str, answer: Document) -> str:
    bodies = [
        f"<code>{escape(media)}</code> {_type(content['schema'], 'rest') if content else 'bytes'}"
        for media, content in answer.get("content", {}).items()
    ]
    headers = "".join(f"<br>{_badge(name)}" for name in answer.get("headers", {}))
    return _row(
        f"<strong>{escape(status)}</strong>", "<br>".join(bodies) or "none", _inline(answer["description"]) + headers
    )


def _socket(asyncapi: Document) -> Iterable[str]:
    server = asyncapi["servers"]["default"]
    yield f'<section id="socket"><h2>WebSocket</h2>{_prose(asyncapi["info"].get("description", ""))}'
    yield f"<pre><code>{escape(server['protocol'])}://{escape(server['host'])}/</code></pre>"
    yield '<p>To a program: <a href="/asyncapi.json">/asyncapi.json</a> (AsyncAPI 3.0).</p>'
    for name, operation in asyncapi["operations"].items():
        yield _socket_operation(name, operation, asyncapi["components"]["messages"])
    yield "</section>"
    yield _types("ws", "Types of the frames", asyncapi["components"]["schemas"])


def _socket_operation(name: str, operation: Document, messages: Document) -> str:
    clients = operation["action"] == "receive"
    parts = [_frames("→ a client sends" if clients else "← the server sends", operation.get("messages", []), messages)]
    if "reply" in operation:
        parts.append(_frames("← answer:", operation["reply"]["messages"], messages))
    summary = _inline(operation.get("summary", ""))
    return (
        f'<article id="{_anchor("operation", name)}"><h3>{escape(name)}</h3><p>{summary}</p>{"".join(parts)}</article>'
    )


def _frames(direction: str, references: Iterable[Document], messages: Document) -> str:
    shown = []
    for reference in references:
        message = messages[reference["$ref"].rpartition("/")[2]]
        examples = "\n".join(_payload(example["payload"]) for example in message.get("examples", []))
        payload = _type(message["payload"], "ws")
        shown.append(
            f"<dt>{escape(direction)} {payload}</dt>"
            f"<dd>{_inline(message.get('summary', ''))}<pre><code>{escape(examples)}</code></pre></dd>"
        )
    return f"<dl>{''.join(shown)}</dl>"


def _payload(payload: object) -> str:
    return payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"), ensure_ascii=False)


def _types(prefix: str, title: str, schemas: Document) -> str:
    shown = "".join(_named_type(prefix, name, schema) for name, schema in sorted(schemas.items()))
    return f'<section id="{prefix}-types"><h2>{escape(title)}</h2>{shown}</section>'


def _named_type(prefix: str, name: str, schema: Document) -> str:
    required = schema.get("required", [])
    rows = [
        _row(
            f"<code>{escape(field)}</code>{'' if field in required else _badge('optional')}",
            _type(content, prefix),
            _inline(content.get("description", "")),
        )
        for field, content in schema.get("properties", {}).items()
    ]
    body = _table(("Key", "Value", "Meaning"), rows) if rows else f"<p>{_type(schema, prefix)}</p>"
    return (
        f'<article id="{prefix}-{escape(name)}"><h3>{escape(name)}</h3>'
        f"{_prose(schema.get('description', ''))}{body}</article>"
    )


def _type(schema: Document, prefix: str) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{prefix}-{name}">{name}</a>'
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(_type(each, prefix) for each in schema[union])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if "enum" in schema:
        return " ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if "prefixItems" in schema:
        return f"array: {', '.join(_type(each, prefix) for each in schema['prefixItems'])}"
    if isinstance(schema.get("items"), Mapping):
        return f"array of {_type(schema['items'], prefix)}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"object, each value {_type(schema['additionalProperties'], prefix)}"
    return escape(f"{schema.get('type', 'any')}{_range(schema)}") + _pattern(schema)


def _range(schema: Document) -> str:
    bounds = [
        f"{words} {schema[name]}"
        for name, words in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("minItems", "at least"),
            ("maxItems", "at most"),
            ("maxLength", "length to"),
        )
        if name in schema
    ]
    return f", {' '.join(bounds)}" if bounds else ""


def _pattern(schema: Document) -> str:
    return f" <code>{escape(schema['pattern'])}</code>" if "pattern" in schema else ""


def _default(schema: Document) -> str:
    default = schema.get("default")
    return "" if default in (None, "") else f" Default: <code>{escape(str(default))}</code>."


def _table(heads: Iterable[str], rows: Iterable[str]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _badge(text: str) -> str:
    return f' <span class="badge">{escape(text)}</span>'


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.strip().split("\n\n") if part)


def _inline(text: str) -> str:
    return _BOLD.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", escape(text)))


def _anchor(prefix: str, name: str) -> str:
    return f"{prefix}-{re.sub(r'[^a-z0-9]+', '-', name.lower())}"
