"""The descriptions of both servers: valid, complete, and true to what the application does."""

from html.parser import HTMLParser
from typing import Any

import pytest
from falcon.inspect import inspect_routes
from openapi_spec_validator import validate

from tests.unit.web.memory import Served
from web.endpoints import ENDPOINTS, Endpoint
from web.errors import ProblemDocument


@pytest.fixture(scope="module")
def served() -> Served:
    return Served()


@pytest.fixture(scope="module")
def document(served: Served) -> Any:
    return served.get("/openapi.json").json


def test_the_description_is_valid(document: Any) -> None:
    validate(document)


def test_every_route_is_described_and_every_description_is_a_route(served: Served, document: Any) -> None:
    routes = {route.path for route in inspect_routes(served.client.app)}

    # Files of the pages are no interface.
    assert {*document["paths"], "/static/{name:path}"} == routes
    assert [endpoint.path for endpoint in ENDPOINTS] == list(document["paths"])


def test_numbers_are_described_as_the_numbers_that_they_are(document: Any) -> None:
    row = document["components"]["schemas"]["OhlcvRow"]

    assert row["required"] == ["_id", "close", "high", "low", "open", "pair", "timestamp", "volume"]
    assert {name: row["properties"][name]["type"] for name in ("close", "timestamp", "volume")} == {
        "close": "number",
        "timestamp": "integer",
        "volume": "number",
    }


def test_parameters_are_the_ones_that_requests_are_checked_with(document: Any) -> None:
    parameters = {each["name"]: each for each in document["paths"]["/udf/history"]["get"]["parameters"]}

    assert list(parameters) == ["symbol", "resolution", "from", "to", "countback"]
    assert [name for name, each in parameters.items() if each["required"]] == ["symbol", "resolution", "to"]
    assert parameters["resolution"]["schema"] == {
        "type": "string",
        "enum": ["1", "5", "15", "30", "60", "240", "1D", "D"],
    }


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_every_endpoint_answers_its_example_in_a_media_type_that_it_declares(
    served: Served, endpoint: Endpoint
) -> None:
    answer = served.get(endpoint.example)

    assert answer.status_code == 200
    assert answer.headers["content-type"] in endpoint.answers


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_strict_endpoints_refuse_what_they_do_not_know_and_only_they(served: Served, endpoint: Endpoint) -> None:
    separator = "&" if "?" in endpoint.example else "?"

    answer = served.get(f"{endpoint.example}{separator}nonsense=1")

    assert (answer.status_code == 400) is endpoint.strict
    assert not endpoint.strict or 400 in endpoint.failures


def test_problems_have_exactly_the_members_that_are_described(served: Served, document: Any) -> None:
    plain = served.get("/api/ohlcv?pair=btc").json
    chart = served.get("/udf/history").json

    assert list(document["components"]["schemas"]["ProblemDocument"]["properties"]) == list(
        ProblemDocument.__struct_fields__
    )
    assert list(plain) == ["type", "title", "status", "detail", "code", "instance", "errors"]
    assert list(chart) == [*plain, "s", "errmsg"]
    assert (chart["s"], chart["errmsg"]) == ("error", chart["detail"])


def test_the_socket_is_described_with_its_port(served: Served) -> None:
    document = served.get("/asyncapi.json").json

    assert document["asyncapi"].startswith("3.")
    assert document["servers"]["default"]["host"] == "127.0.0.1:3004"


class Links(HTMLParser):
    """What a page has and what it leads to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.tags: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attributes:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("href", "src") and value:
                self.targets.append(value)


def test_the_page_shows_everything_of_both_documents(served: Served, document: Any) -> None:
    asyncapi = served.get("/asyncapi.json").json

    page = Links(served.get("/docs").text)

    operations = {methods["get"]["operationId"] for methods in document["paths"].values()}
    types = {f"rest-{name}" for name in document["components"]["schemas"]}
    frames = {f"ws-{name}" for name in asyncapi["components"]["schemas"]}
    assert operations | types | frames <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


@pytest.mark.parametrize("path", ["/api", "/docs"])
def test_pages_lead_nowhere_that_is_not_there_and_load_nothing(served: Served, path: str) -> None:
    answer = served.get(path)

    page = Links(answer.text)

    inner = {target[1:] for target in page.targets if target.startswith("#")}
    assert inner <= set(page.ids)
    outer = [target for target in page.targets if not target.startswith("#")]
    assert {target: served.get(target).status_code for target in outer} == dict.fromkeys(outer, 200)
    assert page.tags.isdisjoint({"script", "img", "iframe", "link", "object", "embed", "form"})
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")


def test_the_list_of_endpoints_shows_pairs_of_this_server() -> None:
    page = Links(Served(exchange=("kraken", "sim")).get("/api").text)

    assert "/udf/symbols?symbol=kraken:BTC-USD" in page.targets


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_every_endpoint_answers_head_and_options_and_refuses_to_be_written(served: Served, endpoint: Endpoint) -> None:
    app = served.client

    get, head = served.get(endpoint.example), app.simulate_head(endpoint.example)
    options, post = app.simulate_options(endpoint.path), app.simulate_post(endpoint.path)

    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    assert (options.status_code, options.headers["allow"]) == (200, "GET, HEAD")
    assert (post.status_code, post.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert (post.headers["content-type"], post.json["code"]) == ("application/problem+json", "method_not_allowed")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_every_answer_tells_browsers_to_take_it_for_nothing_else(served: Served, endpoint: Endpoint) -> None:
    answer = served.get(endpoint.example, headers={"Origin": "https://example.org"})

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "RateLimit" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("given", ["/a%0d%0aX-Evil:1", "/%00", "/udf/%0d%0aX-Evil:1"])
def test_a_path_never_becomes_a_header(served: Served, given: str) -> None:
    answer = served.get(given)

    assert (answer.status_code, "x-evil" in answer.headers) == (404, False)
    assert answer.headers["content-type"] == "application/problem+json"
