"""Top layer: candles to people and programs, as history over REST and live over WebSocket.

Reads only: whatever happens here, what the layers below hold stays as it is. Two programs share the settings, the
notion of a known pair (`web.catalogue`) and the client's address (`web.addresses`), and nothing else: `web.api` is
WSGI under gunicorn, `web.ws` is asyncio. `web.client` is the other end of both, `web.terminal` its command line.
"""
