"""Sample frames of real exchanges, each with its date, where it was published, and how sure it is.

``probed`` frames were seen on the wire by whoever published them, ``documented`` ones stated by the exchange.
"""

from pathlib import Path

import msgspec


class Sample(msgspec.Struct):
    """One frame, its text exactly as published."""

    name: str
    date: str
    tag: str
    source: str
    frame: msgspec.Raw

    @property
    def text(self) -> str:
        """The frame's text."""
        return bytes(self.frame).decode()


def load(exchange: str) -> dict[str, str]:
    """Texts of an exchange's frames by name."""
    content = (Path(__file__).parent / exchange / "frames.jsonl").read_bytes()
    samples = map(msgspec.json.Decoder(Sample).decode, content.splitlines())
    return {sample.name: sample.text for sample in samples}
