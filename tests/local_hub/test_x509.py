"""Log-in by certificate, on the core: thumbprints, chains, names, dates, and which identity needs what."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from iot_core import sas
from iot_core.clock import ManualClock
from iot_core.errors import HubError
from iot_core.identity import Identity
from iot_core.topics import ConnectInfo
from local_hub.auth.authenticator import NEVER, Permission, Principal
from local_hub.hub import Hub
from tests.local_hub.device_certificates import TestCertificate, make_certificate

START = datetime(2025, 12, 31, tzinfo=UTC)
HOST = "127.0.0.1"


def made(name: str, issuer: TestCertificate | None = None, **options: Any) -> TestCertificate:
    return make_certificate(name, issuer, start=START, **options)


ROOT = made("root", authority=True)
MIDDLE = made("factory", ROOT, authority=True)
OWN = made("whatever")


def refused(words: str) -> Any:
    return pytest.raises(HubError, match=f"^IotHubUnauthorized .*{words}")


def log_in(hub: Hub, path: str, chain: Sequence[bytes], password: str | None = None) -> Principal:
    return hub.auth.mqtt_login(ConnectInfo(HOST, Identity.from_path(path)), path, password, chain)


async def self_signed(hub: Hub, primary: str | None, secondary: str | None = None) -> None:
    prints = {"primaryThumbprint": primary, "secondaryThumbprint": secondary}
    await hub.registry.put_device("d", {"authentication": {"type": "selfSigned", "x509Thumbprint": prints}}, None)


async def signed(hub: Hub, path: str) -> None:
    """Registers an identity of type certificateAuthority, its device too."""
    identity, body = Identity.from_path(path), {"authentication": {"type": "certificateAuthority"}}
    await hub.registry.put_device(identity.device_id, body, None)
    if identity.module_id:
        await hub.registry.put_module(identity, body, None)


class TestThumbprints:
    @pytest.mark.parametrize(
        ("primary", "secondary"),
        [(OWN.sha1, None), (OWN.sha256, None), (None, OWN.sha1), ("AB" * 20, OWN.sha256), (OWN.sha1.lower(), None)],
        ids=["sha1 first", "sha256 first", "sha1 second", "beside another", "lower case"],
    )
    async def test_either_hash_in_either_place_is_enough(self, hub: Hub, primary: Any, secondary: Any) -> None:
        await self_signed(hub, primary, secondary)
        principal = log_in(hub, "d", OWN.chain)
        assert (principal.identity, principal.expires_at) == (Identity("d"), NEVER)
        assert '"type":"x509Certificate"' in principal.auth_method

    async def test_another_certificate_is_refused_and_both_its_hashes_are_named(self, hub: Hub) -> None:
        await self_signed(hub, OWN.sha1)
        with refused(ROOT.sha256) as caught:
            log_in(hub, "d", ROOT.chain)
        assert ROOT.sha1 in str(caught.value)

    async def test_a_device_without_a_thumbprint_lets_nobody_in(self, hub: Hub) -> None:
        await self_signed(hub, None)
        with refused("mismatch"):
            log_in(hub, "d", OWN.chain)

    async def test_dates_do_not_count(self, hub: Hub, clock: ManualClock) -> None:
        await self_signed(hub, OWN.sha1)
        clock.advance(3600 * 24 * 365)
        assert log_in(hub, "d", OWN.chain)

    async def test_a_module_has_its_own(self, hub: Hub) -> None:
        await hub.registry.put_device("d", {}, None)
        prints = {"primaryThumbprint": OWN.sha1}
        body = {"authentication": {"type": "selfSigned", "x509Thumbprint": prints}}
        await hub.registry.put_module(Identity("d", "m"), body, None)
        assert '"scope":"module"' in log_in(hub, "d/m", OWN.chain).auth_method

    async def test_a_new_thumbprint_counts_at_once(self, hub: Hub) -> None:
        await self_signed(hub, OWN.sha1)
        body = {"authentication": {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": ROOT.sha1}}}
        await hub.registry.put_device("d", body, "*")
        with refused("mismatch"):
            log_in(hub, "d", OWN.chain)


class TestAuthorities:
    @pytest.mark.parametrize("path", ["d", "d/m"])
    @pytest.mark.parametrize("trusted", [ROOT, MIDDLE], ids=["root", "intermediate"])
    async def test_a_chain_to_a_trusted_authority_with_the_right_name_is_enough(
        self, hub: Hub, path: str, trusted: TestCertificate
    ) -> None:
        await hub.authorities.trust(trusted.pem)
        await signed(hub, path)
        assert log_in(hub, path, made(path, MIDDLE).chain).expires_at == NEVER

    @pytest.mark.parametrize(
        ("chain", "words"),
        [
            (made("other", ROOT).chain, "common name"),
            (made("D", ROOT).chain, "common name"),
            (made("d", made("root", authority=True)).chain, "no valid chain"),
            (made("d", made("no authority", ROOT)).chain, "no valid chain"),
            (made("d", MIDDLE).chain[:1], "no valid chain"),
            (made("d", ROOT, days=0).chain, "expired"),
            (made("d").chain, "no valid chain"),
            ((b"garbage",), "cannot be read"),
            ((), "showed none"),
        ],
    )
    async def test_anything_less_is_refused(self, hub: Hub, chain: Sequence[bytes], words: str) -> None:
        await hub.authorities.trust(ROOT.pem)
        await signed(hub, "d")
        with refused(words):
            log_in(hub, "d", chain)

    async def test_trust_ends_with_its_removal(self, hub: Hub) -> None:
        await hub.authorities.trust(ROOT.pem)
        await signed(hub, "d")
        chain = made("d", ROOT).chain
        assert log_in(hub, "d", chain)
        await hub.authorities.remove(ROOT.sha256)
        with refused("no valid chain"):
            log_in(hub, "d", chain)


class TestWhichIdentityNeedsWhat:
    async def test_a_device_with_keys_is_not_let_in_by_a_certificate(self, hub: Hub) -> None:
        await hub.registry.put_device("d", {}, None)
        with refused("needs a token"):
            log_in(hub, "d", OWN.chain)

    async def test_a_device_with_a_certificate_is_not_let_in_by_a_token_of_its_own(self, hub: Hub) -> None:
        await self_signed(hub, OWN.sha1)
        token = sas.sign(f"{HOST}/devices/d", "c2VjcmV0c2VjcmV0c2VjcmV0", int(hub.clock.now()) + 600)
        with refused("not with a token"):
            log_in(hub, "d", OWN.chain, token)

    async def test_a_disabled_device_is_refused(self, hub: Hub) -> None:
        await self_signed(hub, OWN.sha1)
        await hub.registry.put_device("d", {**hub.registry.get_device("d"), "status": "disabled"}, "*")
        with refused("disabled"):
            log_in(hub, "d", OWN.chain)


class TestEdgeDaemon:
    async def test_its_certificate_reads_and_writes_its_own_modules_and_nothing_else(self, hub: Hub) -> None:
        body = {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": OWN.sha1}}
        await hub.registry.put_device("e", {"capabilities": {"iotEdge": True}, "authentication": body}, None)
        for resource in ("h/devices/e", "h/devices/e/modules", "h/devices/e/modules/$edgeHub"):
            principal = hub.auth.service("", resource, Permission.REGISTRY_WRITE, OWN.chain)
            assert principal.identity == Identity("e")
        for resource, chain in (
            ("h/devices/e/modules", ROOT.chain),
            ("h/twins/e", OWN.chain),
            ("h/devices", OWN.chain),
        ):
            with pytest.raises(HubError, match=r"^IotHubUnauthorized"):
                hub.auth.service("", resource, Permission.REGISTRY_WRITE, chain)
        with pytest.raises(HubError, match=r"^IotHubUnauthorized"):
            hub.auth.service("", "h/devices/e", Permission.SERVICE_CONNECT, OWN.chain)
