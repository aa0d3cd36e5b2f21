"""Hashes with the system's libargon2: prints a tag, then, for each line that comes in, the nanoseconds of one hash.

Arguments: password, salt, m (KiB), t, p. Called through ctypes, which costs some microseconds a call.
"""

import ctypes
import sys
import time

number, length = ctypes.c_uint32, ctypes.c_size_t
text, buffer = ctypes.c_char_p, ctypes.c_void_p

argon2id = ctypes.CDLL("libargon2.so.1").argon2id_hash_raw
argon2id.argtypes = [number, number, number, text, length, text, length, buffer, length]
password, salt = sys.argv[1].encode(), sys.argv[2].encode()
m, t, p = map(int, sys.argv[3:])
tag = ctypes.create_string_buffer(32)


def hash_once():
    before = time.perf_counter_ns()
    code = argon2id(t, m, p, password, len(password), salt, len(salt), tag, len(tag))
    elapsed = time.perf_counter_ns() - before
    assert code == 0, code
    return elapsed


hash_once()
print(tag.raw.hex(), flush=True)
for _ in sys.stdin:
    print(hash_once(), flush=True)
