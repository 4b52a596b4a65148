"""What `web` relies on in falcon."""

from collections.abc import Callable
from typing import Any

import falcon
import falcon.testing
import msgspec
import pytest

Handler = Callable[[falcon.Request, falcon.Response, Exception, dict[str, Any]], None]


class Echo:
    """Answers with the parameters as falcon read them."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.data = msgspec.json.encode(req.params)


@pytest.fixture
def client() -> falcon.testing.TestClient:
    app = falcon.App()
    app.req_options.keep_blank_qs_values = True
    app.req_options.auto_parse_qs_csv = False
    app.add_route("/", Echo())
    return falcon.testing.TestClient(app)


@pytest.mark.parametrize(
    ("query", "params"),
    [
        ("pair=BTC-USD", {"pair": "BTC-USD"}),
        ("pair=a&pair=b", {"pair": ["a", "b"]}),
        ("pair[$ne]=1", {"pair[$ne]": "1"}),
        ("from=", {"from": ""}),
        ("pair=a,b", {"pair": "a,b"}),
        ("pair=a%26to%3D1", {"pair": "a&to=1"}),
    ],
)
def test_parameters_are_strings_and_only_repeated_ones_are_lists(
    client: falcon.testing.TestClient, query: str, params: dict[str, object]
) -> None:
    answer = client.simulate_get("/", query_string=query)

    assert answer.json == params


def test_the_most_specific_error_handler_wins() -> None:
    class Raises:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            raise KeyError("x")

    def handle(name: str) -> Handler:
        def handler(req: falcon.Request, resp: falcon.Response, error: Exception, params: dict[str, Any]) -> None:
            resp.text = name

        return handler

    app = falcon.App()
    app.add_route("/", Raises())
    app.add_error_handler(LookupError, handle("lookup"))
    app.add_error_handler(Exception, handle("any"))

    answer = falcon.testing.TestClient(app).simulate_get("/")

    assert answer.text == "lookup"
