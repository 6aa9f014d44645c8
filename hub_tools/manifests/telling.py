"""Secrets in plain sight: names that tell of one, and values that look like one."""

from __future__ import annotations

import re
from collections import Counter
from math import log2

from hub_tools.manifests.secrets import SECRET

__all__ = ["holds_credentials", "looks_random", "tells_of_secret"]

_SURE = re.compile(r"secret|password|passwd|pwd$|token|connectionstring|connection_string|credential|sas$", re.I)
_KEY = re.compile(r"keys?$", re.I)
_ELSEWHERE = re.compile(r"(?:/|\.{1,2}/|[A-Za-z]:\\|[a-z][a-z0-9+.-]*://)[^\s@]*")
"""A path or an address, which says where a secret is rather than what."""
_CREDENTIALS = re.compile(
    r"(?:SharedAccessKey|AccountKey|SharedAccessSignature|Password|Pwd)\s*=\s*[^;\s]+"
    r"|[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s@]+@"
    r"|\bsig=[A-Za-z0-9%+/]{20,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----",
    re.I,
)
_UNIFORM = re.compile(r"[A-Za-z0-9+/_=-]+")
_HEXADECIMAL = re.compile(r"[0-9a-f]+", re.I)
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.I)
RANDOM_CHARACTERS = 24
"""Below that, words joined together can have as much entropy as keys."""
RANDOM_BITS = 4.0
"""Shannon entropy of a character from which on a text is taken for base64 of random bytes; English has under 4.2 over
long texts, but not in one word without a space."""
RANDOM_BITS_HEXADECIMAL = 3.2


def tells_of_secret(name: str, value: str) -> bool:
    """Whether a setting of this name holds a secret itself: not a reference to one, a path or an address."""
    if not value.strip() or SECRET.search(value) or _ELSEWHERE.fullmatch(value.strip()):
        return False
    if _SURE.search(name):
        return not value.strip().isdecimal()
    return _KEY.search(name) is not None and len(value) >= 16 and any(map(str.isdigit, value)) and " " not in value


def holds_credentials(value: str) -> bool:
    """Whether a value is a connection string with its key, an address with a password, or a private key."""
    return _CREDENTIALS.search(SECRET.sub("", value)) is not None


def looks_random(value: str) -> bool:
    """Whether a value is one word of so high an entropy that it is likely a key; GUIDs and digests are not."""
    text = value.strip()
    if len(text) < RANDOM_CHARACTERS or _UNIFORM.fullmatch(text) is None or _GUID.fullmatch(text):
        return False
    if _HEXADECIMAL.fullmatch(text):
        return len(text) >= 32 and entropy(text) >= RANDOM_BITS_HEXADECIMAL
    kinds = (str.islower, str.isupper, str.isdigit)
    return all(any(map(kind, text)) for kind in kinds) and entropy(text) >= RANDOM_BITS


def entropy(text: str) -> float:
    """Bits a character, by how often each occurs in the text itself."""
    return -sum(count / len(text) * log2(count / len(text)) for count in Counter(text).values())
