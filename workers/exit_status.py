"""What the commands' exit statuses mean; the same for all of them."""

from typing import Final

#: Done, and nothing is wrong.
FINE: Final = 0
#: The answer is "no": something differs, is not there, or stays a dead letter.
DIFFERENT: Final = 1
#: Bad usage or a bad setting.
USAGE: Final = 2
#: Kafka or the store does not answer, or lacks the topic.
UNAVAILABLE: Final = 3
#: Ended by Ctrl-C. As shells count it; so is 141, see `ingest.output`.
INTERRUPTED: Final = 130

EXPLAINED: Final = """exit status:
  0  done, nothing is wrong
  1  something differs, is not there, or stays a dead letter
  2  bad usage, or a bad setting
  3  Kafka or the store does not answer, or lacks the topic
"""

DOCTOR_EXPLAINED: Final = """examples:
  python -m workers doctor
  python -m workers doctor --rest https://candles.example.org --ws wss://candles.example.org
  python -m workers doctor --json | grep -v '"verdict":"ok"'

exit status:
  0  nothing is broken; there may be warnings
  1  something is broken
  2  bad usage, or a bad setting of ingest or the workers, of which nothing can be looked at without
"""
