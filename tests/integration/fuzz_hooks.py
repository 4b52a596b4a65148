"""Loaded by schemathesis: keeps generated good requests within the rules between parameters.

OpenAPI says what each parameter may be, and not which of them may come together; such requests are 400 by design, and
are tested by hand. Everything else that the description allows must be accepted.
"""

from typing import Any

import schemathesis
from schemathesis import GenerationMode

STREAMED = ("csv", "ndjson", "arrow")


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: schemathesis.Case[Any], kwargs: dict[str, Any]) -> None:
    """Take out of a good request what does not go with the rest of it."""
    query = case.query
    if not query or case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    form = query.get("format")
    if "from" in query:
        query.pop("since", None)
    if form == "ccxt" and query.get("order") == "desc":
        del query["order"]
    limit = str(query.get("limit", ""))
    if case.path in ("/api/ohlcv", "/api/candles") and form not in STREAMED and limit.isdigit() and int(limit) > 10_000:
        del query["limit"]
