"""`memory://NAME`: all communicators of one operating-system process that share the name.

For unit tests and simulations. It keeps the promises of a broker within the process: bodies are
encoded and decoded, unsettled tasks go back to the queue when their consumer closes, priorities and
filters hold. A queue lives as long as anybody is connected to its name.
"""

from quince_messaging.transports.memory.hub import Hub
from quince_messaging.transports.memory.transport import MemoryTransport

away, back, is_away = Hub.away, Hub.back, Hub.is_away
"""`with away(NAME):` the broker `memory://NAME` answers nobody, as one that is restarted."""

__all__ = ["MemoryTransport", "away", "back", "is_away"]
