"""Values to bytes and back, with their types: msgpack, and nothing that could be executed.

What can be saved: None, bool, int (of any size), float, str, bytes, bytearray, complex, list, tuple,
dict (with any saveable keys), set, frozenset, date, time, datetime, timedelta, time zones with a name,
Decimal, Fraction, UUID, paths, range, slice; OrderedDict, defaultdict, Counter and deque; arrays and scalars
of numpy; series and frames of pandas; enums, named tuples, dataclasses, classes of attrs and models of
pydantic that stand at the top level of a module; and what is registered with `register_type`. Each comes
back as the same type. Other subclasses of these are other types, and have to be registered.

What cannot be made again where it is read is an `UnreadableValue` in its place.
"""

from quince_persistence.codec.canonical import digest_of
from quince_persistence.codec.classes import ClassNames, find_classes_by, loading_nothing
from quince_persistence.codec.comparing import same
from quince_persistence.codec.folding import cuts_of, fold, unfold
from quince_persistence.codec.instances import fields_of
from quince_persistence.codec.precheck import check, check_step, check_together
from quince_persistence.codec.reading import decode
from quince_persistence.codec.registry import register_as, register_type
from quince_persistence.codec.sizing import LARGE, largest_step, largest_together, largest_value
from quince_persistence.codec.standard import register_mapping
from quince_persistence.codec.unreadable import UnreadableValue, met_unreadable
from quince_persistence.codec.writing import encode, encode_each
from quince_persistence.errors import TooLarge, Unreadable, Unsaveable

__all__ = [
    "LARGE",
    "ClassNames",
    "TooLarge",
    "Unreadable",
    "UnreadableValue",
    "Unsaveable",
    "check",
    "check_step",
    "check_together",
    "cuts_of",
    "decode",
    "digest_of",
    "encode",
    "encode_each",
    "fields_of",
    "find_classes_by",
    "fold",
    "largest_step",
    "largest_together",
    "largest_value",
    "loading_nothing",
    "met_unreadable",
    "register_as",
    "register_mapping",
    "register_type",
    "same",
    "unfold",
]
