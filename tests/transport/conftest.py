"""A certificate authority and a server certificate on disk, made once for all tests of this folder."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest

from transport.certificates import KeyPair, issue_server_certificate, make_authority

TEST_HOST = "127.83.17.5"


@dataclass(frozen=True, kw_only=True)
class Yard:
    """Where the files are, and a client's context that trusts them."""

    host: str
    authority: KeyPair
    authority_path: Path
    certificate_path: Path
    key_path: Path

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority_path))
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    folder = tmp_path_factory.mktemp("yard")
    result = Yard(
        host=TEST_HOST,
        authority=make_authority(),
        authority_path=folder / "ca.pem",
        certificate_path=folder / "server.pem",
        key_path=folder / "server.key",
    )
    result.authority.save(result.authority_path, folder / "ca.key")
    server = issue_server_certificate(result.authority, ["localhost"], [TEST_HOST])
    server.save(result.certificate_path, result.key_path)
    return result
