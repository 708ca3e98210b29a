"""Values to bytes and back, with their types: msgpack, and nothing that could be executed.

What can be saved: None, bool, int (of any size), float, str, bytes, bytearray, complex, list, tuple,
dict (with any saveable keys), set, frozenset, date, time, datetime, timedelta, Decimal, Fraction, UUID,
paths, arrays and scalars of numpy, and what is registered with `register_type`. Each comes back as the
same type. Subclasses of these are other types, and have to be registered.
"""

from persistence.codec.comparing import same
from persistence.codec.glancing import check
from persistence.codec.reading import decode
from persistence.codec.registry import register_type
from persistence.codec.writing import encode
from persistence.errors import Unreadable, Unsaveable

__all__ = ["Unreadable", "Unsaveable", "check", "decode", "encode", "register_type", "same"]
