"""The description of the WebSocket server.

``asyncapi-3.0.0.json.gz`` is ``schemas/3.0.0.json`` of the npm package @asyncapi/specs 6.11.1 (Apache-2.0), without
blanks.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from web.ws import messages
from web.ws.asyncapi import EXAMPLES, document, schemas

SPECIFICATION = Path(__file__).parent / "asyncapi-3.0.0.json.gz"


def validator_of(*structs: type[msgspec.Struct]) -> jsonschema.Draft202012Validator:
    any_of = [{"$ref": f"#/components/schemas/{struct.__name__}"} for struct in structs]
    return jsonschema.Draft202012Validator({"anyOf": any_of, "components": {"schemas": schemas()}})


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def look_up(whole: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        whole = whole[part]
    return whole


def test_the_document_is_asyncapi() -> None:
    specification = json.loads(gzip.decompress(SPECIFICATION.read_bytes()))

    jsonschema.Draft7Validator(specification).validate(document())


def test_every_reference_leads_somewhere() -> None:
    whole = document()

    found = [look_up(whole, reference) for reference in sorted(references(whole))]

    assert all(isinstance(each, dict) for each in found)
    assert len(found) > 40


def test_every_frame_has_an_example_and_a_place_in_the_socket() -> None:
    frames = {*messages.REPLIES, *messages.MESSAGES, *messages.AnyCommand.__args__}
    names = {struct.__name__ for struct in frames} | {"Line", "LineCommand"}

    assert frames <= set(EXAMPLES)
    assert set(document()["channels"]["socket"]["messages"]) == names


@pytest.mark.parametrize("struct", EXAMPLES, ids=lambda struct: struct.__name__)
def test_examples_are_what_their_schema_says_and_what_the_struct_writes(struct: type[msgspec.Struct]) -> None:
    for example in EXAMPLES[struct]:
        decoded = msgspec.convert(example, struct, strict=False)

        validator_of(struct).validate(example)
        if struct not in messages.AnyCommand.__args__:  # of those the defaults may be left out
            written = msgspec.json.decode(messages.encode(decoded))
            assert (written, list(written)) == (example, list(example))


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "candle"},
        {"type": "status", "exchange": "sim", "feed": "unknown", "since": 1},
        {"id": 1.5, "error": {"code": "internal", "message": ""}},
        {"id": 1, "error": {"code": "other", "message": ""}},
        {"exchange": "sim", "feed": "live", "since": 1},
    ],
)
def test_what_is_no_frame_is_refused_by_the_schemas(frame: dict[str, Any]) -> None:
    assert not validator_of(*messages.REPLIES, *messages.MESSAGES).is_valid(frame)
