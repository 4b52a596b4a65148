"""What every request gets: an id, a log line, its duration measured, and headers that keep browsers safe."""

import logging
import re
import time
import uuid
from typing import Any

import falcon

from web import metrics
from web.addresses import ClientAddresses

logger = logging.getLogger("web.access")

#: An id that a proxy or client sent is kept if it cannot be mistaken for anything else in a log.
_REQUEST_ID = re.compile(r"\A[A-Za-z0-9._-]{1,64}\Z")
#: Probes come every few seconds; their lines would bury the others.
_PROBES = frozenset({"/livez", "/readyz", "/health", "/metrics"})
#: Methods that get a label of their own; a client can invent any number of others.
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


class RequestRecord:
    """Request id, duration, access log."""

    def __init__(self, addresses: ClientAddresses) -> None:
        self._addresses = addresses

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start the clock and settle the id."""
        given = req.get_header("X-Request-Id") or ""
        req.context.id = given if _REQUEST_ID.match(given) else uuid.uuid4().hex
        req.context.started = time.perf_counter()
        resp.set_header("X-Request-Id", req.context.id)

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool) -> None:
        """Count and log the answer."""
        seconds = time.perf_counter() - req.context.started
        route = req.uri_template or "none"
        method = req.method if req.method in _METHODS else "other"
        metrics.rest_requests_total.labels(route, method, str(resp.status_code)).inc()
        metrics.rest_request_duration_seconds.labels(route).observe(seconds)
        logger.log(
            logging.DEBUG if req.path in _PROBES else logging.INFO,
            "request",
            extra={
                "id": req.context.id,
                "client": self._addresses.of(req.remote_addr or "", req.get_header("X-Forwarded-For")),
                "method": req.method,
                "path": req.path,
                "query": req.query_string,
                "status": resp.status_code,
                "milliseconds": round(seconds * 1000, 2),
            },
        )


class SafeHeaders:
    """Headers that tell browsers to take nothing for a script and to keep restricted answers apart."""

    def __init__(self, restricted_origins: bool) -> None:
        self._restricted_origins = restricted_origins

    def process_response(self, req: falcon.Request, resp: falcon.Response, resource: Any, req_succeeded: bool) -> None:
        """Add what the resource has not set itself."""
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("Referrer-Policy", "no-referrer")
        if resp.get_header("Content-Security-Policy") is None:
            resp.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        if self._restricted_origins:
            # Falcon's CORS middleware answers with the asking origin and does not say that answers differ by it.
            resp.append_header("Vary", "Origin")
