"""Are the settings of all programs good, and do the two servers answer?

The servers' settings belong to a layer above, which is never imported here and whose packages need not be installed.
So their own command is asked, whose output is a ``.env`` file.
"""

import io
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Final

from dotenv import dotenv_values

from workers.doctor.findings import Finding, broken, ok, warning

CHECK_CONFIG: Final = (sys.executable, "-m", "web", "check-config")
CHECK_SECONDS: Final = 8.0
#: Longer than ``/readyz`` waits for the services behind it.
ANSWER_SECONDS: Final = 4.0
BAD_SETTINGS: Final = 2
_MAX_BYTES: Final = 65_536
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_SUBJECT: Final = "settings"


def find_in_programs(rest_url: str | None, ws_url: str | None) -> Iterator[Finding]:
    """Look at the settings and at both servers.

    Args:
        rest_url, ws_url: Where the servers have to be; None: perhaps where the settings say.
    """
    settings, findings = read_settings()
    yield from findings
    if settings is None and (rest_url is None or ws_url is None):
        advice = "correct the settings, or say with --rest and --ws where the servers are"
        yield warning("servers", "not looked at, since their addresses are not known", advice)
    start = "start it with `{}`, or say with {} where it runs"
    if rest_url or settings is not None:
        url = rest_url or _address(settings or {}, "REST_PORT")
        yield find_in_server("rest", f"{url}/readyz", start.format("gunicorn web.api:app", "--rest"), bool(rest_url))
    if ws_url or settings is not None:
        url = ws_url or _address(settings or {}, "WS_PORT")
        yield find_in_server("websocket", f"{url}/livez", start.format("python -m web.ws", "--ws"), bool(ws_url))


#: A proxy that the environment names is for the world outside.
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read_settings() -> tuple[Mapping[str, str | None] | None, list[Finding]]:
    """The settings of all programs, None if some are bad or cannot be read; and what is to be said about them."""
    try:
        ended = subprocess.run(CHECK_CONFIG, capture_output=True, text=True, timeout=CHECK_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, [warning(_SUBJECT, f"cannot be checked: {error}", "run `python -m web check-config` by hand")]
    said = [line for line in ended.stderr.splitlines() if line.strip()]
    if ended.returncode == BAD_SETTINGS and said:
        return None, [broken(_SUBJECT, line, "correct it in the environment or in .env") for line in said]
    if ended.returncode:
        found = f"those of the servers cannot be checked: {said[-1] if said else f'exit status {ended.returncode}'}"
        return None, [warning(_SUBJECT, found, "run the doctor where the servers' packages are installed")]
    sources = Counter(line.rpartition("  # ")[2] for line in ended.stdout.splitlines() if not line.startswith("#"))
    counts = f"{sources['environment']} from the environment, {sources['.env']} from .env, the others by default"
    settings = dotenv_values(stream=io.StringIO(ended.stdout), interpolate=False)
    return settings, [ok(_SUBJECT, f"{sources.total()} of all programs are good: {counts}")]


def find_in_server(subject: str, url: str, advice: str, is_expected: bool) -> Finding:
    """Ask a server whether it serves; where none is expected, that nobody listens is no more than worth a word."""
    restart = "look into its log, and restart it if it does not answer again"
    try:
        with _DIRECT.open(url, timeout=ANSWER_SECONDS) as answer:
            answer.read(_MAX_BYTES)
        return ok(subject, f"{url} answers {answer.status}")
    except urllib.error.HTTPError as error:
        return broken(
            subject, f"{url} answers {error.code}{_failing(error)}", "make what it needs answer, and see its log"
        )
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        found = f"{url} does not answer: {str(reason) or type(reason).__name__}"
        if isinstance(reason, ConnectionRefusedError):
            return broken(subject, found, advice) if is_expected else warning(subject, found, advice)
        return broken(subject, found, restart)


def _failing(error: urllib.error.HTTPError) -> str:
    try:
        checks = json.loads(error.read(_MAX_BYTES))["checks"]
        return "".join(f", {name} {state}" for name, state in checks.items() if state != "ok")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""


def _address(settings: Mapping[str, str | None], port: str) -> str:
    host = settings.get("BIND_HOST") or ""
    host = _ANY_ADDRESS.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.get(port)}"
