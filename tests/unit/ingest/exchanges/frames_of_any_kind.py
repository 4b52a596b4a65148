"""Frames as Hypothesis makes them: from noise to nearly right."""

from collections.abc import Sequence

import msgspec
from hypothesis import strategies as st

_NUMBERS = st.one_of(
    st.integers(),
    st.integers(min_value=0, max_value=2**64),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([10**400, -1, 0, 1790138040000, 1559039640]),
)
_TEXTS = st.one_of(st.text(max_size=20), st.sampled_from(["NaN", "sNaN", "-Infinity", "1_0", "BTC-USD", "BTC/USD"]))
_LEAVES = st.one_of(st.none(), st.booleans(), _NUMBERS, _TEXTS)
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=8) | st.dictionaries(_TEXTS, inner, max_size=4))

#: Numbers that Python's own encoder would not write.
_ODD_NUMBERS = st.sampled_from(["1E999999", "1e-999999", "5.961E-4", "9" * 5000, "-0.0", "1e99999999999999999999"])
_DEEP = st.integers(min_value=1, max_value=3000).map(lambda depth: "[" * depth + "]" * depth)


def anything(keys: Sequence[str], words: Sequence[object]) -> st.SearchStrategy[str | bytes]:
    """Frames of bytes, text, JSON, and objects with an exchange's own keys and words in the wrong places."""
    values = _VALUES | st.sampled_from(list(words))
    objects = st.dictionaries(st.sampled_from(list(keys)), values, max_size=len(keys))
    texts = (objects | _VALUES).map(_encode)
    raw = st.dictionaries(st.sampled_from(list(keys)), texts_of_raw(words), max_size=len(keys)).map(
        lambda fields: "{" + ",".join(f'"{key}":{value}' for key, value in fields.items()) + "}"
    )
    return st.one_of(st.binary(max_size=200), st.text(max_size=200), texts, raw)


def texts_of_raw(words: Sequence[object]) -> st.SearchStrategy[str]:
    """Single JSON values as text, odd and deeply nested ones among them."""
    rows = st.lists(_ODD_NUMBERS | _NUMBERS.map(_encode), max_size=8).map(lambda row: "[" + ",".join(row) + "]")
    return st.one_of(_ODD_NUMBERS, _DEEP, rows, st.sampled_from(list(words)).map(_encode))


def _encode(value: object) -> str:
    # Python's `json` refuses neither long integers nor lone surrogates.
    import json

    return json.dumps(value) if not isinstance(value, msgspec.Raw) else bytes(value).decode()
