from __future__ import annotations

import base64

import pytest

from iot_core.dps.tpm import read_public_key, wrap_key
from iot_core.errors import InputError
from tests.software_tpm import SoftwareTpm

STORAGE_ROOT_KEY = (
    "ARoAAQALAAMEcgAAAAYAgABDABAIAAAAAAABAJ812v/qZPKj8981eUCZ9q++D/a0XrtmzkjySPPyg7+rwns7Op+nR/C3P36mPLu31iYyQRS3t/nyVsERYc/H"
    "mI3m14iSCyRBGUib84ld69FrfHaSNlkwYEAssmzfr3vtpyEiFtPTJjYsCm3MJT5pE+orIcJGDiykzLFBrTYIgShWWH6IAMLcBR6c/QBaAjC29GlO11wcDU0y"
    "eVjd+Wrh+U81e5XePsZ5ftnFfpFazvrZwFpjT1sbXmrHLiQ2LYPmnwW0kj8x+ChYNK4UUJosPQb2mCpljKyo8xsmfoX6b6D5r58pcgD1jJCUklsjO25ZjYqx"
    "XkTPE3im0ZD4p1cFaRE="
)
"""Of swtpm 0.7.1, as tpm2_readpublic 5.4 printed it, with the name below."""
NAME = "000bc06fd8a65e4770e730d72f386606d36bcab826b719f92473a34713476887f3bc"


@pytest.fixture(scope="module")
def tpm() -> SoftwareTpm:
    return SoftwareTpm()


def wrapped(tpm: SoftwareTpm, key: bytes) -> bytes:
    endorsement, storage_root = (base64.b64decode(each) for each in (tpm.endorsement_key, tpm.storage_root_key))
    return wrap_key(key, read_public_key(endorsement), read_public_key(storage_root))


def test_a_key_has_the_name_that_its_tpm_gives_it() -> None:
    assert read_public_key(base64.b64decode(STORAGE_ROOT_KEY)).name.hex() == NAME


@pytest.mark.parametrize("key", [b"k", bytes(32), bytes(range(64))])
def test_the_tpm_with_both_keys_unwraps(tpm: SoftwareTpm, key: bytes) -> None:
    assert tpm.unwrap(wrapped(tpm, key)) == key


def test_each_wrapping_is_another(tpm: SoftwareTpm) -> None:
    first, second = (wrapped(tpm, bytes(32)) for _ in range(2))
    assert first != second
    assert bytes(32) not in first


@pytest.mark.parametrize("other", ["_endorsement", "_storage_root"])
def test_no_other_tpm_unwraps(tpm: SoftwareTpm, other: str) -> None:
    mixed = SoftwareTpm()
    setattr(mixed, "_storage_root" if other == "_endorsement" else "_endorsement", getattr(tpm, _rest(other)))
    with pytest.raises((ValueError, AssertionError)):
        mixed.unwrap(wrapped(tpm, bytes(32)))


def _rest(other: str) -> str:
    return "_storage_root" if other == "_endorsement" else "_endorsement"


@pytest.mark.parametrize("key", [b"", bytes(65)])
def test_keys_that_no_tpm_takes_are_refused(tpm: SoftwareTpm, key: bytes) -> None:
    with pytest.raises(InputError, match="1 to 64 bytes"):
        wrapped(tpm, key)


@pytest.mark.parametrize(
    ("at", "byte"),
    [(1, 0x19), (3, 0x23), (5, 0x0C), (7, 0), (13, 7), (15, 2), (18, 0x11), (20, 4), (26, 2)],
    ids=["size", "ecc", "sha384", "signing", "cipher", "aes-256", "scheme", "1024 bits", "short modulus"],
)
def test_keys_of_another_kind_are_refused(at: int, byte: int) -> None:
    data = bytearray(base64.b64decode(STORAGE_ROOT_KEY))
    data[at] = byte
    with pytest.raises(InputError, match="public area"):
        read_public_key(bytes(data))


@pytest.mark.parametrize("length", [0, 1, 2, 20, 100, 283])
def test_what_ends_too_early_is_refused(length: int) -> None:
    with pytest.raises(InputError, match="public area"):
        read_public_key(base64.b64decode(STORAGE_ROOT_KEY)[:length])
