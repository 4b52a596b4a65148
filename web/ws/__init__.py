"""Live candles over WebSocket: ``python -m web.ws``.

`protocol` and `outbox` know nothing of sockets, `stream` nothing of Redis: they take values and return values.
`relay` brings Redis to `stream`, `client` brings `outbox` to a socket, `server` holds the limits.
"""
