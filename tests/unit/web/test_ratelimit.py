"""What a client is told about its allowance, by a counter that says what the test wants."""

from typing import Any

import falcon.testing
import pytest

from tests.conftest import FakeClock
from web import errors
from web.addresses import ClientAddresses
from web.ratelimit import RateLimit, RequestCounter, Verdict


class ScriptedCounter(RequestCounter):
    """Says the same of everybody, and remembers who was asked about."""

    def __init__(self, verdict: Verdict | None) -> None:
        self.verdict = verdict
        self.asked: list[str] = []

    def take(self, client: str) -> Verdict | None:
        self.asked.append(client)
        return self.verdict


class Hello:
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = "hello"

    def on_options(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = "ask"


def client_of(counter: RequestCounter, proxies: tuple[str, ...] = ()) -> falcon.testing.TestClient:
    app: Any = falcon.App(middleware=[RateLimit(counter, 60, ClientAddresses(proxies))])
    errors.install(app)
    for path in ("/api/pairs", "/livez", "/udf/config"):
        app.add_route(path, Hello())
    return falcon.testing.TestClient(app)


def limits(answer: falcon.testing.Result) -> dict[str, str]:
    names = ("ratelimit", "ratelimit-policy", "retry-after")
    return {name: value for name, value in answer.headers.items() if name in names}


def test_every_answer_says_what_is_left() -> None:
    answer = client_of(ScriptedCounter(Verdict(True, 59, 1, 0))).simulate_get("/api/pairs")

    assert (answer.status_code, answer.text) == (200, "hello")
    assert limits(answer) == {"ratelimit": '"address";r=59;t=1', "ratelimit-policy": '"address";q=60;w=60'}


def test_who_asks_too_often_is_told_when_to_come_back() -> None:
    answer = client_of(ScriptedCounter(Verdict(False, 0, 60, 7))).simulate_get("/api/pairs")

    assert (answer.status_code, answer.json["code"]) == (429, "rate_limited")
    assert answer.headers["content-type"] == "application/problem+json"
    assert limits(answer) == {
        "ratelimit": '"address";r=0;t=60',
        "ratelimit-policy": '"address";q=60;w=60',
        "retry-after": "7",
    }


def test_a_chart_reads_a_refusal_as_an_error() -> None:
    answer = client_of(ScriptedCounter(Verdict(False, 0, 60, 7))).simulate_get("/udf/config")

    assert (answer.json["s"], answer.json["errmsg"]) == ("error", answer.json["detail"])


def test_requests_pass_while_nobody_counts_them() -> None:
    answer = client_of(ScriptedCounter(None)).simulate_get("/api/pairs")

    assert (answer.status_code, limits(answer)) == (200, {})


@pytest.mark.parametrize(("method", "path"), [("GET", "/livez"), ("OPTIONS", "/api/pairs")])
def test_probes_and_preflights_are_always_answered(method: str, path: str) -> None:
    counter = ScriptedCounter(Verdict(False, 0, 60, 7))

    answer = client_of(counter).simulate_request(method, path)

    assert (answer.status_code, counter.asked) == (200, [])


def test_a_client_behind_a_trusted_proxy_counts_by_itself() -> None:
    counter = ScriptedCounter(None)

    client_of(counter, ("127.0.0.1",)).simulate_get("/api/pairs", headers={"X-Forwarded-For": "192.0.2.7"})
    client_of(counter).simulate_get("/api/pairs", headers={"X-Forwarded-For": "192.0.2.8"})

    assert counter.asked == ["192.0.2.7", "127.0.0.1"]


def test_a_redis_that_is_gone_is_left_alone_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    import redis

    clock, asked = FakeClock(), []
    counter = RequestCounter("redis://127.0.0.1:1/0", 60, clock)

    def refuse(key: str) -> list[int]:
        asked.append(key)
        raise redis.ConnectionError("refused")

    monkeypatch.setattr(counter, "_ask", refuse)

    verdicts = [counter.take("a"), counter.take("b")]
    clock.advance(1.0)
    verdicts.append(counter.take("c"))

    assert (verdicts, asked) == ([None] * 3, ["rest.rate:a", "rest.rate:c"])
