"""What the server does for the dashboard: its files, its policies and what a page is told about this server."""

import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ingest.candle import Interval
from ingest.errors import SettingsError
from tests.unit.web.memory import Served
from web.settings import Settings
from web.static_files import DASHBOARD

VENDOR = DASHBOARD / "vendor" / "lightweight-charts"
OUR_FILES = sorted(path for path in DASHBOARD.rglob("*") if path.is_file() and VENDOR not in path.parents)
PAGES = ["/", "/status"]
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


@pytest.fixture(scope="module")
def served() -> Served:
    return Served()


class Parts(HTMLParser):
    """What a page loads, leads to and runs."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.inline: list[str] = []
        self.config = ""
        self._script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.inline += [f"{tag} {name}" for name in given if name == "style" or name.startswith("on")]
        if tag == "style":
            self.inline.append(tag)
        if tag == "a":
            self.links.append(given["href"] or "")
        elif given.get("src") or given.get("href"):
            self.loaded.append(given.get("src") or given.get("href") or "")
        self._script = given if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._script is None or not data.strip():
            return
        if self._script.get("type") == "application/json" and self._script.get("id") == "config":
            self.config = data
        else:
            self.inline.append("script")

    def handle_endtag(self, tag: str) -> None:
        self._script = None


def config_of(served: Served, path: str = "/") -> Any:
    return json.loads(Parts(served.get(path).text).config)


def test_the_chart_library_is_the_one_that_was_published() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    expected = {name: digest for digest, name in (line.split() for line in lines)}

    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.iterdir()
        if path.name != "SHA256SUMS"
    }

    assert found == expected
    assert expected["lightweight-charts.standalone.production.mjs"] == (
        "1bb1ee79f9d4dd17261b53d930f7a8995748276f80e7ba0e24412b5068062f5f"
    )


def test_the_page_shows_the_notice_of_the_chart_library_and_its_link(served: Served) -> None:
    notice = (VENDOR / "NOTICE").read_text(encoding="utf-8")

    text = served.get("/").text

    assert notice.replace("\n", " ").split(" http")[0] in text.replace("\n", " ")
    assert "https://www.tradingview.com/" in Parts(text).links


@pytest.mark.parametrize("path", PAGES)
def test_pages_load_only_files_that_are_served_and_lead_nowhere_that_is_not_there(served: Served, path: str) -> None:
    parts = Parts(served.get(path).text)

    ours = [link for link in parts.links if not link.startswith(("#", "https://www.tradingview.com/"))]
    statuses = {target: served.get(target).status_code for target in (*parts.loaded, *ours)}

    assert len(parts.loaded) > 2
    assert all(target.startswith("/static/") for target in parts.loaded)
    assert statuses == dict.fromkeys(statuses, 200)


@pytest.mark.parametrize("path", PAGES)
def test_pages_have_nothing_inline_that_their_policy_would_refuse(served: Served, path: str) -> None:
    assert Parts(served.get(path).text).inline == []


@pytest.mark.parametrize(
    "path",
    [path for path in OUR_FILES if path.suffix == ".js"],
    ids=lambda path: path.relative_to(DASHBOARD).as_posix(),
)
def test_modules_import_only_modules_that_are_served(served: Served, path: Path) -> None:
    imported = re.findall(r'^(?:import|\} from|import .* from) "([^"]+)";$', path.read_text("utf-8"), re.MULTILINE)

    names = [(path.parent / name).resolve().relative_to(DASHBOARD).as_posix() for name in imported]

    assert all(name.startswith(("./", "../")) for name in imported)
    assert {name: served.get(f"/static/{name}").status_code for name in names} == dict.fromkeys(names, 200)


@pytest.mark.parametrize("path", OUR_FILES, ids=lambda path: path.relative_to(DASHBOARD).as_posix())
def test_nothing_of_ours_names_another_server(path: Path) -> None:
    named = set(re.findall(r"(?:https?|wss?)://[^\s\"'`<$]+", path.read_text(encoding="utf-8")))

    # A link that a person may follow, and the name of a vocabulary.
    assert named <= {"https://www.tradingview.com/", "http://www.w3.org/2000/svg"}


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("main.js", "text/javascript; charset=utf-8"),
        ("status/main.js", "text/javascript; charset=utf-8"),
        (
            "vendor/lightweight-charts/lightweight-charts.standalone.production.mjs",
            "text/javascript; charset=utf-8",
        ),
        ("vendor/lightweight-charts/LICENSE", "text/plain; charset=utf-8"),
        ("page.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_files_have_their_type_and_their_bytes(served: Served, name: str, content_type: str) -> None:
    answer = served.get(f"/static/{name}")

    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert answer.content == (DASHBOARD / name).read_bytes()
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_who_holds_a_file_gets_it_not_again(served: Served) -> None:
    tag = served.get("/static/main.js").headers["etag"]

    same = served.get("/static/main.js", headers={"If-None-Match": tag})
    other = served.get("/static/main.js", headers={"If-None-Match": '"other"'})

    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert (other.status_code, other.headers["etag"]) == (200, tag)


@pytest.mark.parametrize("accepted", ["gzip", "gzip, deflate, br", "br;q=1.0, GZIP;q=0.5"])
def test_who_takes_gzip_gets_it_under_a_tag_of_its_own(served: Served, accepted: str) -> None:
    plain = served.get("/static/main.js")

    answer = served.get("/static/main.js", headers={"Accept-Encoding": accepted})

    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.content) == plain.content
    assert answer.headers["etag"] != plain.headers["etag"]
    assert answer.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.0"])
def test_who_does_not_take_gzip_does_not_get_it(served: Served, accepted: str) -> None:
    answer = served.get("/static/main.js", headers={"Accept-Encoding": accepted})

    assert "content-encoding" not in answer.headers


def test_head_is_the_file_without_its_body(served: Served) -> None:
    head = served.client.simulate_head("/static/main.js")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str((DASHBOARD / "main.js").stat().st_size)


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        "/static/nothing.js",
        "/static/index.html",
        "/static/status.html",
        "/static/view",
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/vendor/../main.js",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/main.js%00",
        "/static/main.js/",
        "/static/MAIN.JS",
    ],
)
def test_there_is_nothing_but_the_files(served: Served, path: str) -> None:
    answer = served.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", PAGES)
def test_pages_may_run_and_ask_nothing_but_this_server(served: Served, path: str) -> None:
    answer = served.get(path, headers={"Host": "candles.example.org:8080"})

    assert answer.headers["content-security-policy"] == STRICT.format("ws://candles.example.org:3004")


@pytest.mark.parametrize("host", ["[::1]:8080", "a;script-src *", "a b", "a,b", "-", "*"])
def test_a_host_that_is_no_name_does_not_get_into_the_policy(served: Served, host: str) -> None:
    answer = served.get("/", headers={"Host": host})

    assert answer.headers["content-security-policy"] == STRICT.format("ws://*:3004")


def test_a_proxy_can_be_named_that_the_socket_is_behind() -> None:
    served = Served(ws_public_url="wss://candles.example.org/live")

    answer = served.get("/")

    assert answer.headers["content-security-policy"] == STRICT.format("wss://candles.example.org/live")
    assert config_of(served)["wsUrl"] == "wss://candles.example.org/live"


@pytest.mark.parametrize("url", ["https://example.org", "wss://example.org/a b", "wss://a;script-src *", "wss://a, b"])
def test_an_address_that_is_none_of_a_socket_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match=r"expected an address like wss://example\.org/live"):
        Settings.from_env(ws_public_url=url)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_told_what_it_needs_of_this_server(path: str) -> None:
    served = Served(
        exchange=("kraken", "simkraken"),
        ws_port=3104,
        live_window=30,
        ws_max_subscriptions=50,
        max_candle_age_seconds=90,
    )

    config = config_of(served, path)

    assert config == {
        "wsUrl": None,
        "wsPort": 3104,
        "pairs": {"kraken": ["BTC-USD"], "simkraken": ["BTC-USD"]},
        "intervals": {interval.value: interval.milliseconds for interval in Interval},
        "simulated": ["sim", "simkraken"],
        "liveWindow": 30,
        "maxSubscriptions": 50,
        "maxCandleAgeMs": 90_000,
    }


def test_pages_answer_whatever_is_away() -> None:
    served = Served()
    served.store.away = served.feeds.away = True

    statuses = {path: served.get(path).status_code for path in [*PAGES, "/static/main.js"]}

    assert statuses == dict.fromkeys(statuses, 200)


def test_what_a_shared_address_says_is_for_the_script(served: Served) -> None:
    answer = served.get("/?exchange=sim&pair=</script>&interval=1h&theme=dark&view=table&utm_source=x")

    assert (answer.status_code, answer.content) == (200, served.get("/").content)
