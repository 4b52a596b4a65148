"""Bad values of bridges and workers stop the start with one sentence each."""

import pytest

from ingest.errors import SettingsError
from workers.settings import Settings


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("redis_url", "localhost:6379", "REDIS_URL='localhost:6379': expected redis://host:port/database"),
        ("redis_url", "redis://h:99999", "REDIS_URL='redis://h:99999': expected redis://host:port/database"),
        ("mongo_uri", "mongodb://h:99999", "MONGO_URI='mongodb://h:99999': expected mongodb://host:port"),
        ("mongo_uri", "mongodb://u:se@cret@h:x", "MONGO_URI='mongodb://u:***@h:x': expected mongodb://host:port"),
        ("mongo_uri", "http://x", "MONGO_URI='http://x': expected mongodb://host:port"),
        ("mongo_db", "a b", "MONGO_DB='a b': expected the name of a database"),
        ("mongo_coll", "series", "MONGO_COLL='series': expected the name of a collection"),
        ("live_window", "0", "LIVE_WINDOW='0': expected greater than or equal to 1"),
        ("worker_threads", "many", "WORKER_THREADS='many': expected a valid integer"),
    ],
)
def test_names_the_variable_the_value_and_what_was_expected(field: str, value: str, problem: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(**{field: value})

    (sentence,) = raised.value.problems
    assert sentence.startswith(problem)


def test_the_live_side_is_on_the_jobs_redis_unless_told_otherwise() -> None:
    urls = [
        Settings.from_env(redis_url="redis://a/0").live_url,
        Settings.from_env(redis_url="redis://a/0", live_redis_url="redis://b/0").live_url,
    ]

    assert urls == ["redis://a/0", "redis://b/0"]
