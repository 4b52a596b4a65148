"""A bridge that takes a row of a minute for done when it has it in memory, published or not."""

import sys

from workers.__main__ import main
from workers.larger_live import Partition

Partition.owed_from = property(lambda self: None, lambda self, value: None)  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(main())
