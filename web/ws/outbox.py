"""What one client is owed, sans I/O: newest version per candle, and a few replies; both bounded.

Every row holds a whole candle, so a newer version may take the place of one that has not been sent. It goes to the
end then: rows leave in the order of their changes, and a cursor in them never goes back.
"""

from collections import deque
from collections.abc import Hashable
from typing import Final

#: Replies that may wait. A client that asks and does not read is not worth more memory.
MAX_WAITING_REPLIES: Final = 512
#: The same in bytes; must hold the largest snapshot.
MAX_WAITING_REPLY_BYTES: Final = 1024 * 1024

#: Whose candle (a subscription of the client), and its open time in Unix milliseconds.
RowKey = tuple[Hashable, int]


class Outbox:
    """Frames that wait for one client's socket.

    Args:
        max_rows: Candles that may wait.
    """

    def __init__(self, max_rows: int) -> None:
        self._max_rows = max_rows
        self._rows: dict[RowKey, bytes] = {}
        self._replies: deque[bytes] = deque()
        self._reply_bytes = 0
        #: Set once more was owed than the bounds allow; the client has to be let go, it would miss something.
        self.overflowed = False

    def __len__(self) -> int:
        return len(self._rows) + len(self._replies)

    def put_row(self, key: RowKey, frame: bytes) -> bool:
        """Owe the client this version of a candle; True if it took the place of an older one."""
        # Taken out first: a dictionary keeps the place of a key that is merely assigned again.
        replaced = self._rows.pop(key, None) is not None
        if len(self._rows) >= self._max_rows:
            self.overflowed = True
            return False
        self._rows[key] = frame
        return replaced

    def put_reply(self, frame: bytes) -> None:
        """Owe the client an answer."""
        if len(self._replies) >= MAX_WAITING_REPLIES or self._reply_bytes + len(frame) > MAX_WAITING_REPLY_BYTES:
            self.overflowed = True
            return
        self._replies.append(frame)
        self._reply_bytes += len(frame)

    def take(self) -> bytes | None:
        """The frame that is due, None if nothing is owed; replies go first, they are few and awaited."""
        if self._replies:
            reply = self._replies.popleft()
            self._reply_bytes -= len(reply)
            return reply
        if not self._rows:
            return None
        return self._rows.pop(next(iter(self._rows)))

    def forget(self, owner: Hashable) -> None:
        """Owe nothing of this subscription any more."""
        for key in [key for key in self._rows if key[0] == owner]:
            del self._rows[key]

    def clear(self) -> None:
        """Owe nothing."""
        self._rows.clear()
        self._replies.clear()
        self._reply_bytes = 0
