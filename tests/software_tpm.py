"""What a TPM does with a wrapped key, in software: the other half of `iot_core.dps.tpm`, by the library's own words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode

from iot_core import sas

STORAGE_KEY = bytes.fromhex("0001000b0003007200000006008000430010080000000000")
"""The head of a TPMT_PUBLIC: RSA, SHA-256, the attributes of a storage key, no policy, AES-128-CFB, 2048 bits."""


class SoftwareTpm:
    """An endorsement key, a storage root key, and what can be done with both."""

    def __init__(self) -> None:
        self._endorsement = rsa.generate_private_key(65_537, 2048)
        self._storage_root = rsa.generate_private_key(65_537, 2048)

    @property
    def endorsement_key(self) -> str:
        return base64.b64encode(sized(area_of(self._endorsement))).decode()

    @property
    def storage_root_key(self) -> str:
        return base64.b64encode(sized(area_of(self._storage_root))).decode()

    @property
    def keys(self) -> dict[str, str]:
        return {"endorsementKey": self.endorsement_key, "storageRootKey": self.storage_root_key}

    def sign(self, wrapped: bytes, resource: str) -> str:
        """A token for the provisioning service, signed with a key that was wrapped for this TPM."""
        key = base64.b64encode(self.unwrap(wrapped)).decode()
        return sas.sign(resource, key, int(time.time()) + 60, "registration")

    def unwrap(self, wrapped: bytes) -> bytes:
        """ActivateCredential and Import; AssertionError when an integrity value does not fit."""
        credential, secret, duplicate, seed, public, rest = parts_of(wrapped, 6)
        assert rest == b""
        inner_key = self._activate(credential, secret)
        return self._imported(duplicate, seed, public, inner_key)

    def _activate(self, credential: bytes, secret: bytes) -> bytes:
        seed = decrypted(self._endorsement, secret, b"IDENTITY\0")
        (inner_key,) = parts_of(opened(seed, credential, name_of(area_of(self._storage_root))), 1)
        return inner_key

    def _imported(self, duplicate: bytes, secret: bytes, public: bytes, inner_key: bytes) -> bytes:
        name = name_of(public)
        seed = decrypted(self._storage_root, secret, b"DUPLICATE\0")
        inner = aes_cfb(inner_key, opened(seed, duplicate, name))
        integrity, sensitive = parts_of(inner, 2)
        assert integrity == hashlib.sha256(sized(sensitive) + name).digest()
        assert sensitive[:2] == b"\x00\x08"
        authorization, obfuscation, key = parts_of(sensitive[2:], 3)
        assert authorization == b""
        assert public.endswith(sized(hashlib.sha256(obfuscation + key).digest()))
        return key


def opened(seed: bytes, protected: bytes, name: bytes) -> bytes:
    """What the outer wrapper holds, its HMAC checked."""
    size = int.from_bytes(protected[:2], "big") + 2
    mac, encrypted = protected[2:size], protected[size:]
    assert mac == hmac.digest(kdf(seed, b"INTEGRITY", b"", 32), encrypted + name, "sha256")
    return aes_cfb(kdf(seed, b"STORAGE", name, 16), encrypted)


def kdf(seed: bytes, label: bytes, context: bytes, length: int) -> bytes:
    """KDFa is the KDF in counter mode of NIST SP 800-108."""
    derive = KBKDFHMAC(
        algorithm=hashes.SHA256(),
        mode=Mode.CounterMode,
        length=length,
        rlen=4,
        llen=4,
        location=CounterLocation.BeforeFixed,
        label=label,
        context=context,
        fixed=None,
    )
    return derive.derive(seed)


def aes_cfb(key: bytes, data: bytes) -> bytes:
    """Decrypted, from an initial value of zero, block by block."""
    encrypt = Cipher(AES(key), modes.ECB()).encryptor().update
    blocks = [bytes(16), *(data[at : at + 16] for at in range(0, len(data), 16))]
    pairs = itertools.pairwise(blocks)
    return b"".join(bytes(a ^ b for a, b in zip(encrypt(last), block, strict=False)) for last, block in pairs)


def decrypted(key: rsa.RSAPrivateKey, secret: bytes, label: bytes) -> bytes:
    return key.decrypt(secret, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), label))


def area_of(key: rsa.RSAPrivateKey) -> bytes:
    modulus = key.public_key().public_numbers().n
    return STORAGE_KEY + sized(modulus.to_bytes(256, "big"))


def name_of(area: bytes) -> bytes:
    return b"\x00\x0b" + hashlib.sha256(area).digest()


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def parts_of(data: bytes, count: int) -> list[bytes]:
    parts = []
    for _ in range(count):
        size = int.from_bytes(data[:2], "big") + 2
        parts.append(data[2:size])
        data = data[size:]
    assert data == b""
    return parts
