"""gunicorn's settings; it reads this file because of its name and place.

Settings are checked here, in the master, so that a bad one stops the start with one sentence instead of workers that
die one after the other. Nothing is preloaded: the store's client must not exist before a fork.
"""

import os
import shutil
import sys
import tempfile
from typing import Any

# Before anything imports prometheus_client: it looks once. A reload (HUP) reads this file again and keeps the folder.
_OURS = "crypto-streams-metrics-"
_metrics_folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix=_OURS)
os.makedirs(_metrics_folder, exist_ok=True)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = _metrics_folder

from ingest.errors import SettingsError  # noqa: E402
from ingest.log import configure_logging  # noqa: E402
from web.settings import Settings  # noqa: E402

try:
    _settings = Settings.from_env()
except SettingsError as error:
    shutil.rmtree(_metrics_folder, ignore_errors=True)
    print("\n".join(error.problems), file=sys.stderr)
    raise SystemExit(2) from None

bind = f"{f'[{_settings.bind_host}]' if ':' in _settings.bind_host else _settings.bind_host}:{_settings.rest_port}"
workers = _settings.web_concurrency
# gthread with one change. The default, one request at a time, lets a few idle sockets block everybody else.
worker_class = "web.gthread.Worker"
threads = 8
keepalive = 5
timeout = 30
graceful_timeout = 10
# Heartbeat files in memory: on a disk that is busy, writing one can block a worker until its master kills it.
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
# It would need a writable home directory, which containers do not give.
control_socket_disable = True
# The application writes its own access log.
accesslog = None
# Leaves gunicorn's own loggers without handlers, so that their lines reach the root logger and its format.
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": _settings.log_level.upper(), "handlers": []},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": [], "propagate": True},
        "gunicorn.access": {"level": "WARNING", "handlers": [], "propagate": True},
    },
}


def on_starting(server: Any) -> None:
    """Set up logging in the master, after gunicorn set up its own; workers inherit it."""
    configure_logging(_settings.log_level, _settings.log_format)


def child_exit(server: Any, worker: Any) -> None:
    """Take a dead worker's gauges out of the sum."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the metrics' folder, unless somebody else provided it."""
    if os.path.basename(_metrics_folder).startswith(_OURS):
        shutil.rmtree(_metrics_folder, ignore_errors=True)
