"""The command line over the client: ``python -m web tail | export | top``.

`app` declares the commands with their options and help, the modules beside it carry them out. Everything they show
comes over REST and WebSocket from running servers, wherever these are.
"""
