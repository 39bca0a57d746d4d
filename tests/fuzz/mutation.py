"""Inputs made from samples by chance, the same for the same seed: what is tried where there is no
atheris, and in the short form.
"""

import random

TOKENS = (
    b"\x00", b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\n", b"\r\n", b"\r", b"\t",
    b"{", b"}", b"[", b"]", b'"', b"'", b":", b": ", b"- ", b",", b"&a ", b"*a", b"<<: *a",
    b"!!x ", b"|\n", b">\n", b"#", b"---\n", b"...\n", b"null", b"true", b"NaN", b"Infinity",
    b"-0", b"1e999", b"9" * 30, b"0x10", b"1e-400", b"99999999999999999999999999", b"\\u0000",
    b"\\ud800", b"\\", b"../", b"/etc/passwd", b"~", b"${A}", b"${", b"{{ ", b" }}",
    b"{% for i in range(9) %}", b"{% endfor %}", b"{% if n %}", b"{% endif %}", b"| ", b"**9",
    b"__class__", b".x", b"data: ", b"event: ", b"id: ", b"retry: ", b"[DONE]",
    b"HTTP/1.1 200 OK\r\n", b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n",
    b"content-encoding: gzip\r\n", b"5\r\n", b'{"$ref":"#"}', b'"pattern":"(a+)+$"',
    b'{"jsonrpc":"2.0","id":1,"result":', b'"method":"ping"', b'["sum",0,0]',
)  # fmt: skip


def mutated(chance: random.Random, seeds: tuple[bytes, ...], limit: int) -> bytes:
    """One sample, changed in one to eight ways; at most `limit` bytes."""
    data = bytearray(chance.choice(seeds))
    if len(data) > limit:
        start = chance.randrange(len(data) - limit)
        data = data[start : start + limit] if chance.random() < 0.5 else data[:limit]
    for _ in range(chance.randint(1, 8)):
        _CHANGES[chance.randrange(len(_CHANGES))](chance, data, seeds)
    return bytes(data[:limit])


def _place(chance: random.Random, data: bytearray) -> int:
    return chance.randrange(len(data) + 1)


def _insert(chance: random.Random, data: bytearray, seeds: tuple[bytes, ...]) -> None:
    at = _place(chance, data)
    data[at:at] = chance.choice(TOKENS)


def _repeat(chance: random.Random, data: bytearray, seeds: tuple[bytes, ...]) -> None:
    at = _place(chance, data)
    data[at:at] = chance.choice(TOKENS) * chance.randint(2, 200)


def _flip(chance: random.Random, data: bytearray, seeds: tuple[bytes, ...]) -> None:
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(chance: random.Random, data: bytearray, seeds: tuple[bytes, ...]) -> None:
    at = _place(chance, data)
    del data[at : at + chance.randint(1, 1 + len(data) // 2)]


def _double(chance: random.Random, data: bytearray, seeds: tuple[bytes, ...]) -> None:
    at, size = _place(chance, data), chance.randint(1, 64)
    data[at:at] = data[at : at + size]


def _splice(chance: random.Random, data: bytearray, seeds: tuple[bytes, ...]) -> None:
    other = chance.choice(seeds)
    start, at = chance.randrange(len(other) + 1), _place(chance, data)
    data[at:at] = other[start : start + chance.randint(1, 200)]


def _noise(chance: random.Random, data: bytearray, seeds: tuple[bytes, ...]) -> None:
    at = _place(chance, data)
    data[at:at] = chance.randbytes(chance.randint(1, 8))


_CHANGES = (_insert, _insert, _insert, _repeat, _flip, _flip, _cut, _double, _splice, _noise)
