"""Certificates that strict clients accept, in files that only their owner can read."""

from __future__ import annotations

import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from transport import certificates
from transport.certificates import (
    CertificateError,
    KeyPair,
    issue_server_certificate,
    make_authority,
    trust_bundle,
)
from transport.private_files import write_private


def memory_handshake(server: KeyPair, authority: KeyPair, name: str, folder: Path) -> ssl.SSLObject:
    """A TLS handshake in memory between the standard library's two sides; the client checks strictly."""
    server.save(folder / "server.pem", folder / "server.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    trusting = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    server_side = context.wrap_bio(up, down, server_side=True)
    client_side = trusting.wrap_bio(down, up, server_hostname=name)
    for _turn in range(4):
        for side in (client_side, server_side):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return client_side


@pytest.mark.parametrize("name", ["localhost", "hub.example", "127.0.0.7", "::1"])
def test_a_strict_client_accepts_every_name_and_address(name: str, tmp_path: Path) -> None:
    authority = make_authority()
    server = issue_server_certificate(authority, ["localhost", "hub.example"], ["127.0.0.7", "::1"])
    assert memory_handshake(server, authority, name, tmp_path).version() == "TLSv1.3"


def test_a_client_refuses_a_name_that_is_not_in_the_certificate(tmp_path: Path) -> None:
    authority = make_authority()
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        memory_handshake(issue_server_certificate(authority, ["localhost"]), authority, "other.example", tmp_path)


def test_a_client_refuses_another_authority(tmp_path: Path) -> None:
    server = issue_server_certificate(make_authority(), ["localhost"])
    with pytest.raises(ssl.SSLCertVerificationError):
        memory_handshake(server, make_authority(), "localhost", tmp_path)


def test_openssl_verifies_the_chain_strictly(tmp_path: Path) -> None:
    authority = make_authority()
    issue_server_certificate(authority, ["localhost"]).save(tmp_path / "server.pem", tmp_path / "server.key")
    authority.save(tmp_path / "ca.pem", tmp_path / "ca.key")
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem", "server.pem"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "server.pem: OK\n"


def test_authority_may_sign_and_servers_may_not() -> None:
    authority = make_authority()
    server = issue_server_certificate(authority, ["localhost"])
    for pair, signs in ((authority, True), (server, False)):
        basic = pair.certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = pair.certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert (basic.critical, basic.value.ca) == (True, signs)
        assert (usage.critical, usage.value.key_cert_sign) == (True, signs)
        assert isinstance(pair.private_key.curve, ec.SECP256R1)


def test_a_server_certificate_lasts_no_longer_than_clients_allow() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    certificate = issue_server_certificate(make_authority(now=now), ["localhost"], now=now).certificate
    lasts = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert certificate.not_valid_before_utc < now
    assert lasts < timedelta(days=398)


def test_two_authorities_differ_in_subject() -> None:
    assert make_authority().certificate.subject != make_authority().certificate.subject


@pytest.mark.parametrize(("names", "addresses"), [([], []), (["bücher.example"], []), ([], ["300.1.1.1"])])
def test_names_that_cannot_be_certified_are_refused(names: list[str], addresses: list[str]) -> None:
    with pytest.raises(CertificateError):
        issue_server_certificate(make_authority(), names, addresses)


def test_a_name_longer_than_a_common_name_is_certified() -> None:
    name = ".".join(["long"] * 20)
    certificate = issue_server_certificate(make_authority(), [name]).certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [name]


def test_files_come_back_and_only_the_owner_can_read_them(tmp_path: Path) -> None:
    pair = make_authority()
    pair.save(tmp_path / "ca.pem", tmp_path / "ca.key")
    assert KeyPair.load(tmp_path / "ca.pem", tmp_path / "ca.key") == pair
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.key", "ca.pem"]


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    make_authority().save(tmp_path / "ca.pem", tmp_path / "ca.key")
    write_private(tmp_path / "other.key", make_authority().private_key_pem)
    with pytest.raises(CertificateError, match="is not the private key of"):
        KeyPair.load(tmp_path / "ca.pem", tmp_path / "other.key")


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_missing_and_damaged_files_are_refused(content: bytes | None, tmp_path: Path) -> None:
    make_authority().save(tmp_path / "ca.pem", tmp_path / "ca.key")
    (tmp_path / "ca.pem").unlink()
    if content is not None:
        write_private(tmp_path / "ca.pem", content)
    with pytest.raises(CertificateError, match=r"ca\.pem"):
        KeyPair.load(tmp_path / "ca.pem", tmp_path / "ca.key")


def test_the_key_stays_out_of_the_repr() -> None:
    assert "PRIVATE" not in repr(make_authority())


def test_trust_bundle_holds_ours_first_and_each_certificate_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = make_authority().certificate_pem, make_authority().certificate_pem
    (tmp_path / "roots.pem").write_bytes(b"# a comment\n" + other + ours + other)
    monkeypatch.setattr(certificates, "_certifi_file", lambda: None)
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: NoPaths)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "roots.pem"))
    found = x509.load_pem_x509_certificates(trust_bundle(ours))
    assert found == [x509.load_pem_x509_certificate(pem) for pem in (ours, other)]


def test_trust_bundle_keeps_the_roots_of_the_system() -> None:
    ours = make_authority().certificate_pem
    context = ssl.create_default_context(cadata=trust_bundle(ours).decode())
    assert context.cert_store_stats()["x509_ca"] > 50


class NoPaths:
    openssl_cafile = "/nowhere/cert.pem"
    cafile = None
