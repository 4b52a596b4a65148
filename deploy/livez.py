"""``python -m deploy.livez PORT``: what a container's health check runs. Exit status 0 if ``/livez`` answers 200.

The images hold no curl, and need none.
"""

import sys
import urllib.request

TIMEOUT_SECONDS = 3.0

if __name__ == "__main__":
    # Anything but a 2xx raises, and an exception is exit status 1.
    urllib.request.urlopen(f"http://127.0.0.1:{int(sys.argv[1])}/livez", timeout=TIMEOUT_SECONDS).close()
