"""TPM attestation, the service's side: a key that only one TPM can unwrap (TPM 2.0 Library, parts 1 and 2).

A device shows the public parts of its endorsement key (EK) and of its storage root key (SRK). What it gets back is an
HMAC key in the form of ``TPM2_Import``, its inner wrapping key being the credential of ``TPM2_ActivateCredential``, so
that it takes the TPM with both keys to load it (DPS documentation, "TPM attestation"). In the order in which the device
SDKs read it, every part with its size in front:

    credential, its secret, the duplicate of the key, the seed of its outer wrapper, the key's public area, data

The first four are TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET, TPM2B_PRIVATE and TPM2B_ENCRYPTED_SECRET; the last is empty.
Numbers of sections below are of part 1 of the library, revision 1.59.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from iot_core.errors import InputError

__all__ = ["MAX_KEY_BYTES", "PublicKey", "read_public_key", "wrap_key"]

MAX_KEY_BYTES = 64
"""Of the HMAC key: one block of SHA-256, which is what a TPM takes."""
_RSA, _KEYEDHASH, _HMAC, _SHA256, _NULL, _AES, _CFB = 0x0001, 0x0008, 0x0005, 0x000B, 0x0010, 0x0006, 0x0043
_SIGN, _USER_WITH_AUTH, _NO_DA = 1 << 18, 1 << 6, 1 << 10
_RESTRICTED, _DECRYPT = 1 << 16, 1 << 17
_DEFAULT_EXPONENT = 65_537
AES_BLOCK_BYTES = 16
_WRAPPING_KEY_BYTES, _SEED_BYTES = 16, 32
_Random = Callable[[int], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """A key that wraps others: RSA of 2048 bits, SHA-256, AES-128 in CFB mode; ``name`` is its TPM name."""

    area: bytes
    name: bytes
    rsa_key: rsa.RSAPublicKey


def read_public_key(data: bytes) -> PublicKey:
    """An EK or SRK from its TPM2B_PUBLIC; InputError for anything but a storage key of the kind above."""
    try:
        return _read_public_key(_Reader(data))
    except (IndexError, ValueError) as error:
        raise InputError(f"this is not the public area of a TPM's RSA storage key: {error}") from None


def wrap_key(key: bytes, endorsement: PublicKey, storage_root: PublicKey, random: _Random = os.urandom) -> bytes:
    """The blob that lets the TPM with these two keys sign with ``key``, which is at most ``MAX_KEY_BYTES`` long."""
    if not 0 < len(key) <= MAX_KEY_BYTES:
        raise InputError(f"a TPM takes an HMAC key of 1 to {MAX_KEY_BYTES} bytes, not of {len(key)}")
    obfuscation = random(_SEED_BYTES)
    public = _hmac_public(hashlib.sha256(obfuscation + key).digest())
    inner_key = random(_WRAPPING_KEY_BYTES)
    credential, secret = make_credential(inner_key, endorsement, storage_root.name, random)
    duplicate, seed = _duplicate(_sensitive(key, obfuscation), _name(public), inner_key, storage_root, random)
    parts = (credential, secret, duplicate, seed, public, b"")
    return b"".join(_sized(part) for part in parts)


def make_credential(
    credential: bytes, endorsement: PublicKey, name: bytes, random: _Random = os.urandom
) -> tuple[bytes, bytes]:
    """What ``TPM2_MakeCredential`` gives: TPMS_ID_OBJECT and the encrypted seed (section 24)."""
    seed = random(_SEED_BYTES)
    encrypted = _aes_cfb(_kdf(seed, b"STORAGE", name, 128), _sized(credential))
    return _with_integrity(seed, encrypted, name), _encrypted(endorsement, seed, b"IDENTITY\0")


def _duplicate(
    sensitive: bytes, name: bytes, inner_key: bytes, parent: PublicKey, random: _Random
) -> tuple[bytes, bytes]:
    """The private area in its inner and outer wrapper, and the encrypted seed of the latter (section 23.3)."""
    inner = _aes_cfb(inner_key, _sized(hashlib.sha256(sensitive + name).digest()) + sensitive)
    seed = random(_SEED_BYTES)
    outer = _aes_cfb(_kdf(seed, b"STORAGE", name, 128), inner)
    return _with_integrity(seed, outer, name), _encrypted(parent, seed, b"DUPLICATE\0")


def _with_integrity(seed: bytes, encrypted: bytes, name: bytes) -> bytes:
    key = _kdf(seed, b"INTEGRITY", b"", 256)
    return _sized(hmac.digest(key, encrypted + name, "sha256")) + encrypted


def _encrypted(to: PublicKey, seed: bytes, label: bytes) -> bytes:
    """RSA-OAEP with the key's name algorithm and a label that ends with a zero (annex B.10.4)."""
    scheme = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label)
    return to.rsa_key.encrypt(seed, scheme)


def _kdf(key: bytes, label: bytes, context: bytes, bits: int) -> bytes:
    """KDFa with SHA-256 for up to 256 bits, which is one round (section 11.4.10.2)."""
    data = (1).to_bytes(4, "big") + label + b"\0" + context + bits.to_bytes(4, "big")
    return hmac.digest(key, data, "sha256")[: bits // 8]


def _aes_cfb(key: bytes, data: bytes) -> bytes:
    """CFB of whole blocks from an initial value of zero, as the library has it: each key is used once."""
    encrypt = Cipher(AES(key), modes.ECB()).encryptor().update
    blocks, previous = [], bytes(AES_BLOCK_BYTES)
    for start in range(0, len(data), AES_BLOCK_BYTES):
        mask = encrypt(previous)
        previous = bytes(left ^ right for left, right in zip(data[start : start + AES_BLOCK_BYTES], mask, strict=False))
        blocks.append(previous)
    return b"".join(blocks)


def _hmac_public(unique: bytes) -> bytes:
    """TPMT_PUBLIC of an HMAC-SHA256 key that may move to another TPM's hierarchy."""
    attributes = _SIGN | _USER_WITH_AUTH | _NO_DA
    head = _word(_KEYEDHASH) + _word(_SHA256) + attributes.to_bytes(4, "big") + _sized(b"")
    return head + _word(_HMAC) + _word(_SHA256) + _sized(unique)


def _sensitive(key: bytes, obfuscation: bytes) -> bytes:
    """TPM2B_SENSITIVE: without an authorization value."""
    return _sized(_word(_KEYEDHASH) + _sized(b"") + _sized(obfuscation) + _sized(key))


def _name(area: bytes) -> bytes:
    return _word(_SHA256) + hashlib.sha256(area).digest()


def _word(value: int) -> bytes:
    return value.to_bytes(2, "big")


def _sized(data: bytes) -> bytes:
    return _word(len(data)) + data


class _Reader:
    """Big-endian numbers and sized parts, from the front; IndexError past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def rest(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.rest:
            raise IndexError("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, count: int = 2) -> int:
        return int.from_bytes(self.take(count), "big")

    def sized(self) -> bytes:
        return self.take(self.number())


def _read_public_key(outer: _Reader) -> PublicKey:
    area = outer.sized()
    if outer.rest:
        raise ValueError("something follows it")
    reader = _Reader(area)
    kind = (reader.number(), reader.number())
    attributes = reader.number(4)
    reader.sized()  # the policy, which is the TPM's business
    symmetric = tuple(reader.number() for _ in range(3))
    scheme, bits, exponent, modulus = reader.number(), reader.number(), reader.number(4), reader.sized()
    if kind != (_RSA, _SHA256) or symmetric != (_AES, 128, _CFB) or scheme != _NULL or bits != 2048:
        raise ValueError("only RSA of 2048 bits with SHA-256 and AES-128 in CFB mode is taken")
    if attributes & (_RESTRICTED | _DECRYPT) != _RESTRICTED | _DECRYPT or reader.rest or len(modulus) != bits // 8:
        raise ValueError("it is no storage key")
    numbers = rsa.RSAPublicNumbers(exponent or _DEFAULT_EXPONENT, int.from_bytes(modulus, "big"))
    return PublicKey(area=area, name=_name(area), rsa_key=numbers.public_key())
