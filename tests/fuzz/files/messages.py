"""Damage to protobuf messages that still parse: by what their fields are, whatever they mean."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.fuzz.files.damage import FLOATS, NUMBERS, NUMBERS_BEYOND, TOKENS

Site = tuple[Message, FieldDescriptor]
INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
MOST_SITES = 20_000


def tampered(message: Message, random: Random) -> None:
    """Change a few fields of a message, or of those in it, in place."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        sites = list(_sites(message))
        if sites:
            _change(*random.choice(sites), sites, random)


def _sites(message: Message) -> Iterator[Site]:
    """Every field that is set, the rarer kinds of messages as likely as the common ones."""
    waiting = [message]
    count = 0
    while waiting and count < MOST_SITES:
        found = waiting.pop()
        for field, value in found.ListFields():
            count += 1
            yield found, field
            if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
                waiting += list(value) if _repeated(field) else [value]
        if found.DESCRIPTOR.fields:  # and one that may not be set
            yield found, found.DESCRIPTOR.fields[count % len(found.DESCRIPTOR.fields)]


def _repeated(field: FieldDescriptor) -> bool:
    if hasattr(field, "is_repeated"):  # newer protobuf; it has no label any more
        return bool(field.is_repeated)
    return bool(field.label == FieldDescriptor.LABEL_REPEATED)


def _change(message: Message, field: FieldDescriptor, sites: list[Site], random: Random) -> None:
    if _repeated(field):
        _change_list(getattr(message, field.name), message, field, sites, random)
    elif random.random() < 0.15:
        message.ClearField(field.name)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        _transplant(getattr(message, field.name), sites, random)
    else:
        setattr(message, field.name, _value(field, getattr(message, field.name), sites, random))


def _change_list(
    items: Any, message: Message, field: FieldDescriptor, sites: list[Site], random: Random
) -> None:
    whole = field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
    at = random.randrange(len(items)) if len(items) else -1
    kind = random.randrange(5)
    if at < 0 or kind == 0:
        new = items.add() if whole else items.append(_value(field, None, sites, random))
        if whole and random.random() < 0.7:
            _transplant(new, sites, random)
    elif kind == 1:
        del items[at]
    elif kind == 2:
        other = random.randrange(len(items))
        order = list(items)
        order[at], order[other] = order[other], order[at]
        order = [_copy(item) if whole else item for item in order]
        message.ClearField(field.name)
        getattr(message, field.name).extend(order)
    elif whole:
        _transplant(items[at], sites, random)
    else:
        items[at] = _value(field, items[at], sites, random)


def _copy(message: Message) -> Message:
    made = type(message)()
    made.CopyFrom(message)
    return made


def _transplant(target: Message, sites: list[Site], random: Random) -> None:
    """Make one message another of its kind from elsewhere."""
    same = [found for found, _ in sites if found.DESCRIPTOR is target.DESCRIPTOR]
    if same:
        source = _copy(random.choice(same))
        if source.ByteSize() < 100_000:
            target.CopyFrom(source)


def _value(field: FieldDescriptor, old: Any, sites: list[Site], random: Random) -> Any:
    """Another value for a scalar field."""
    kind = field.cpp_type
    if kind in INTEGERS:
        low, high = INTEGERS[kind]
        near = [(old or 0) + step for step in (-1, 1)] + [random.randrange(-5, 12)]
        wanted = random.choice((*near, *near, *NUMBERS, *NUMBERS_BEYOND))
        return max(low, min(high, wanted))
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return random.choice((*FLOATS, -(old or 1.0), (old or 1.0) * 1e4))
    if kind == FieldDescriptor.CPPTYPE_BOOL:
        return not old
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return random.choice(field.enum_type.values).number
    if field.type == FieldDescriptor.TYPE_BYTES:
        data = bytearray(old or b"\0\0\0\0")
        if data and random.random() < 0.7:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
            return bytes(data)
        return random.choice((b"", bytes(data[:-1]), bytes(data) + b"\0", b"\xff" * 8))
    return _string(field, old, sites, random)


def _string(field: FieldDescriptor, old: Any, sites: list[Site], random: Random) -> str:
    """A string of the same field elsewhere, or one that nothing expects."""
    others = [
        getattr(found, field.name)
        for found, other in sites
        if other.name == field.name and other.full_name == field.full_name
    ]
    flat = [s for item in others for s in ([item] if isinstance(item, str) else list(item))]
    choices = [text for text in flat if isinstance(text, str)]
    if choices and random.random() < 0.75:
        return random.choice(choices)
    return random.choice([token for token in TOKENS if "\ud83d" not in token] + [f"{old}x"])
