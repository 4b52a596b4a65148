"""The WebSocket server described in AsyncAPI 3.0, from the structs that its frames are made of.

``receive`` and ``send`` are seen from the server. Each message has an example; tests check them against the schemas.
"""

from typing import Any, Final

import msgspec

from web.ws import messages
from web.ws.stream import Line

_REF: Final = "#/components/schemas/{name}"
_DESCRIPTION: Final = """\
Live candles. A frame that begins with `{` is a JSON command; any other is lines of the line protocol, which answers
with bare candles and acknowledges nothing. Times are Unix milliseconds UTC, prices and volumes JSON numbers with
exactly the digits that the exchange sent. Keep the highest `rev` per open time.
"""

_CANDLE: Final = {
    "timestamp": 1606166220000,
    "open": 18383.38,
    "high": 18385.85,
    "low": 18376.035,
    "close": 18382.06,
    "volume": 0.002185,
    "state": "open",
    "rev": 1154229356842624,
}
_SERIES: Final = {"exchange": "sim", "pair": "BTC-USD", "interval": "1m"}
_HOURLY: Final = {"exchange": "sim", "pair": "BTC-USD", "interval": "1h"}
_HOUR: Final = {**_CANDLE, "timestamp": 1606165200000, "minutes": 18}
_CURSOR: Final = "5f3a9c:812"

#: What a command is answered with.
_ANSWERS: Final[dict[type[msgspec.Struct], tuple[type[msgspec.Struct], ...]]] = {
    messages.SubscribeCommand: (messages.SubscribeReply, messages.ErrorReply),
    messages.UnsubscribeCommand: (messages.UnsubscribeReply, messages.ErrorReply),
    messages.ListCommand: (messages.ListReply, messages.ErrorReply),
    messages.PingCommand: (messages.PingReply, messages.ErrorReply),
}

EXAMPLES: Final[dict[type[msgspec.Struct], tuple[dict[str, Any], ...]]] = {
    messages.SubscribeCommand: (
        {
            "id": 1,
            "method": "subscribe",
            "params": {"channel": "candles", "exchange": "sim", "pairs": ["BTC-USD"], "interval": "1m", "snapshot": 60},
        },
        {"id": 2, "method": "subscribe", "params": {"pairs": ["BTC-USD"], "cursors": {"BTC-USD": "5f3a9c:700"}}},
        {"method": "subscribe", "params": {"pairs": ["BTC-USD", "ETH-USD"], "max_rate": 10}},
        {"id": 7, "method": "subscribe", "params": {"pairs": ["BTC-USD"], "interval": "1h", "snapshot": 24}},
    ),
    messages.UnsubscribeCommand: ({"id": 3, "method": "unsubscribe", "params": {"pairs": ["BTC-USD"]}},),
    messages.ListCommand: ({"id": 4, "method": "list"},),
    messages.PingCommand: ({"id": 5, "method": "ping"},),
    messages.SubscribeReply: (
        {"id": 1, "result": {**_SERIES, "cursor": _CURSOR, "recovered": False}},
        {
            "id": 2,
            "result": {
                **_SERIES,
                "cursor": _CURSOR,
                "recovered": False,
                "fetch": {**_SERIES, "from": 1606162620000, "to": 1606162680000},
            },
        },
    ),
    messages.UnsubscribeReply: ({"id": 3, "result": _SERIES},),
    messages.ListReply: (
        {"id": 4, "result": {"subscriptions": [{"channel": "candles", **_SERIES, "max_rate": 10.0}]}},
    ),
    messages.PingReply: ({"id": 5, "result": {"time": 1606166220000}},),
    messages.ErrorReply: (
        {
            "id": 6,
            "error": {
                "code": "unknown_pair",
                "message": "'BTC-XXX' is not a pair of sim; expected one such as BTC-USD",
                "pair": "BTC-XXX",
            },
        },
    ),
    messages.CandleMessage: (
        {"type": "candle", **_SERIES, "cursor": _CURSOR, "candle": _CANDLE},
        {"type": "candle", **_HOURLY, "cursor": _CURSOR, "candle": _HOUR},
    ),
    messages.SnapshotMessage: ({"type": "snapshot", **_SERIES, "cursor": _CURSOR, "candles": [_CANDLE]},),
    messages.GapMessage: ({"type": "gap", **_SERIES, "from": 1606162620000, "to": 1606162680000},),
    messages.StatusMessage: ({"type": "status", "exchange": "sim", "feed": "live", "since": 1606166220000},),
    messages.ShutdownMessage: ({"type": "shutdown", "reconnect_after_ms": 1500},),
    Line: ({"pair": "BTC-USD", **{key: value for key, value in _CANDLE.items() if key not in ("state", "rev")}},),
}


def document(host: str = "127.0.0.1:3004") -> dict[str, Any]:
    """The description; ``host`` is where the server is, with its port."""
    operations = {_name(command): _receive(command, answers) for command, answers in _ANSWERS.items()}
    operations["lines"] = _operation("receive", "Subscribe and unsubscribe by lines.", ["LineCommand"])
    operations["lines"]["reply"] = {"channel": _SOCKET, "messages": _on_socket(["Line", "ErrorReply"])}
    told = [_name(message) for message in messages.MESSAGES]
    operations["tell"] = _operation("send", "What comes by itself to whoever subscribed.", told)
    described = {_name(struct): _message(struct) for struct in EXAMPLES} | {"LineCommand": _LINE_COMMAND}
    on_socket = {name: {"$ref": f"#/components/messages/{name}"} for name in described}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "crypto-streams: live candles",
            "version": "1.0.0",
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {"default": {"host": host, "protocol": "ws"}},
        "channels": {"socket": {"address": "/", "messages": on_socket}},
        "operations": operations,
        "components": {"messages": described, "schemas": schemas()},
    }


def schemas() -> dict[str, Any]:
    """The JSON schema of every frame and of what is in them, by name."""
    _, components = msgspec.json.schema_components(EXAMPLES, ref_template=_REF)
    schemas: dict[str, Any] = _with_decimals_as_numbers(components)
    for message in messages.MESSAGES:
        # It has a default, but it is always sent.
        schemas[_name(message)]["required"].insert(0, "type")
    return schemas


_SOCKET: Final = {"$ref": "#/channels/socket"}
_LINE_COMMAND: Final = {
    "title": "LineCommand",
    "summary": "Lines that add or remove a pair of the default exchange.",
    "contentType": "text/plain",
    "payload": {"type": "string", "pattern": "^\\s*(un)?subscribe\\s*,\\s*[A-Z0-9]{1,20}-[A-Z0-9]{1,20}\\s*$"},
    "examples": [{"payload": "subscribe,BTC-USD"}, {"payload": "unsubscribe,BTC-USD"}],
}


def _name(struct: type[msgspec.Struct]) -> str:
    return struct.__name__


def _message(struct: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "title": _name(struct),
        "summary": " ".join((struct.__doc__ or "").split()),
        "payload": {"$ref": _REF.format(name=_name(struct))},
        "examples": [{"payload": example} for example in EXAMPLES[struct]],
    }


def _receive(command: type[msgspec.Struct], answers: tuple[type[msgspec.Struct], ...]) -> dict[str, Any]:
    operation = _operation("receive", " ".join((command.__doc__ or "").split()), [_name(command)])
    operation["reply"] = {"channel": _SOCKET, "messages": _on_socket([_name(answer) for answer in answers])}
    return operation


def _operation(action: str, summary: str, names: list[str]) -> dict[str, Any]:
    return {"action": action, "channel": _SOCKET, "summary": summary, "messages": _on_socket(names)}


def _on_socket(names: list[str]) -> list[dict[str, str]]:
    return [{"$ref": f"#/channels/socket/messages/{name}"} for name in names]


def _with_decimals_as_numbers(schema: Any) -> Any:
    """The schema with what the encoder does to decimals: numbers, with all their digits."""
    if isinstance(schema, list):
        return [_with_decimals_as_numbers(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {"type": "number"}
    return {key: _with_decimals_as_numbers(value) for key, value in schema.items()}
