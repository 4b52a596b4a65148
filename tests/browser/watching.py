"""What a page must never do, whatever is done to it: say an error, break its policy, ask anybody but our servers."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, WebError, WebSocket

from tests.system.stack import Stack


class Watch:
    """Hears everything that the pages of one browser context say and ask."""

    def __init__(self, context: BrowserContext, stack: Stack) -> None:
        """``stack``: its two servers, and only they, may be asked."""
        self._servers = {urlsplit(stack.rest_url)[:2], urlsplit(stack.ws_url)[:2]}
        self._errors: list[str] = []
        self._asked: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        context.on("console", self._said)
        context.on("weberror", self._failed)
        context.on("request", self._requested)
        context.on("page", self._opened)

    def expect(self, pattern: str) -> None:
        """Allow errors that match: a browser reports every request that fails, and some tests make them fail."""
        self._expected.append(re.compile(pattern))

    def complaints(self) -> list[str]:
        """What must not have been: errors, breaches of the content security policy, requests to others."""
        errors = [said for said in self._errors if not any(each.search(said) for each in self._expected)]
        return errors + [f"asked {url}" for url in self._asked if urlsplit(url)[:2] not in self._servers]

    def _said(self, message: ConsoleMessage) -> None:
        # A breach of the policy is an error on the console, too.
        if message.type in ("error", "warning", "assert"):
            self._errors.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _failed(self, error: WebError) -> None:
        self._errors.append(f"uncaught: {error.error}")

    def _requested(self, request: Request) -> None:
        # data: and blob: go nowhere.
        if request.url.startswith(("http:", "https:")):
            self._asked.append(request.url)

    def _opened(self, page: Page) -> None:
        page.on("websocket", self._connected)

    def _connected(self, socket: WebSocket) -> None:
        self._asked.append(socket.url)
