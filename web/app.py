"""create_app: middleware, routes, error handlers."""

from typing import Any

import falcon
from falcon import CORSMiddleware

from ingest.clock import Clock, SystemClock
from web import errors
from web.addresses import ClientAddresses
from web.catalogue import Catalogue
from web.feeds import FeedSource, LiveFeeds
from web.listing import SeriesListing
from web.live_client import LiveClient
from web.middleware import RequestRecord, SafeHeaders
from web.ratelimit import RateLimit, RequestCounter
from web.reading import GetStore
from web.resources.base import Resource
from web.resources.candles import Candles
from web.resources.dashboard import DashboardPage
from web.resources.docs import AsyncApi, Docs, OpenApi
from web.resources.feeds import Feeds
from web.resources.health import Health, Livez, Metrics, Readyz
from web.resources.ohlcv import Ohlcv
from web.resources.pairs import Pairs
from web.resources.start import Start
from web.resources.static import Static
from web.resources.status import Status
from web.resources.udf import UdfConfig, UdfHistory, UdfSearch, UdfSymbols, UdfTime
from web.settings import Settings
from web.status import LivePrograms, ProgramSource
from workers.store import get_store as get_process_store

#: What scripts of other origins may read beside what browsers always let them.
_READABLE_HEADERS = ["ETag", "Link", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"]


def create_app(
    settings: Settings,
    *,
    get_store: GetStore = get_process_store,
    feeds: FeedSource | None = None,
    programs: ProgramSource | None = None,
    clock: Clock | None = None,
) -> "falcon.App[falcon.Request, falcon.Response]":
    """The REST application; it connects to nothing before its first request.

    Args:
        settings: Checked settings.
        get_store: Gives the store, on first use.
        feeds: Where feed events are; None: the live side in ``settings``.
        programs: Where programs say how they are; None: the same.
        clock: What tells how old data is; None: the machine's.
    """
    client = LiveClient(settings.live_url)
    feeds = feeds or LiveFeeds(client)
    programs = programs or LivePrograms(client)
    clock = clock or SystemClock()
    configured = Catalogue(settings.configured)
    app = falcon.App(middleware=_middleware(settings, clock))
    app.resp_options.xml_error_serialization = False
    # Otherwise "from=" would vanish and everything be returned.
    app.req_options.keep_blank_qs_values = True
    app.req_options.auto_parse_qs_csv = False
    errors.install(app)
    routes: dict[str, Resource] = {
        "/": DashboardPage("index.html", settings),
        "/status": DashboardPage("status.html", settings),
        "/static/{name:path}": Static(),
        "/api/ohlcv": Ohlcv(get_store, configured),
        "/api/candles": Candles(get_store, configured),
        "/api/pairs": Pairs(SeriesListing(get_store, configured, clock.monotonic)),
        "/api/feeds": Feeds(feeds, clock),
        "/api/status": Status(programs),
        "/udf/config": UdfConfig(configured),
        "/udf/symbols": UdfSymbols(get_store, configured),
        "/udf/search": UdfSearch(get_store, configured),
        "/udf/history": UdfHistory(get_store, configured, clock),
        "/udf/time": UdfTime(clock),
        "/api": Start(settings),
        "/docs": Docs(settings),
        "/openapi.json": OpenApi(),
        "/asyncapi.json": AsyncApi(settings),
        "/livez": Livez(),
        "/readyz": Readyz(get_store, feeds),
        "/health": Health(get_store, feeds, clock, settings),
        "/metrics": Metrics(),
    }
    for path, resource in routes.items():
        app.add_route(path, resource)
    return app


def _middleware(settings: Settings, clock: Clock) -> list[Any]:
    anyone = settings.cors_origins == ("*",)
    addresses = ClientAddresses(settings.trusted_proxies)
    middleware: list[Any] = [
        # First in, last out: it measures what all the others do.
        RequestRecord(addresses),
        CORSMiddleware("*" if anyone else settings.cors_origins, expose_headers=_READABLE_HEADERS),
        SafeHeaders(restricted_origins=not anyone),
    ]
    if quota := settings.rest_max_requests_per_minute:
        middleware.append(RateLimit(RequestCounter(settings.live_url, quota, clock), quota, addresses))
    return middleware
