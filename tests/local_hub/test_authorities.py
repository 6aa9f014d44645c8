from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from iot_core.errors import HubError
from local_hub.hub import Hub
from tests.local_hub.device_certificates import make_certificate

ROOT = make_certificate("root", authority=True)
OTHER = make_certificate("other", authority=True)


async def test_authorities_are_kept_over_a_restart(open_hub: Callable[[], Awaitable[Hub]]) -> None:
    first = await open_hub()
    await first.authorities.trust(ROOT.pem + OTHER.pem)
    await first.stop()
    await first.store.close()
    second = await open_hub()
    assert {authority.subject for authority in second.authorities.list()} == {"CN=root", "CN=other"}
    await second.stop()
    await second.store.close()


async def test_pem_and_der_are_read_and_a_second_time_changes_nothing(hub: Hub) -> None:
    (first,) = await hub.authorities.trust(ROOT.pem)
    (again,) = await hub.authorities.trust(ROOT.der)
    assert (first, first.thumbprint) == (again, ROOT.sha256)
    assert set(first.document) == {"thumbprint", "subject", "expires", "added"}


@pytest.mark.parametrize("data", [b"", b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
async def test_what_is_no_certificate_is_refused(hub: Hub, data: bytes) -> None:
    with pytest.raises(HubError, match="no certificate"):
        await hub.authorities.trust(data)


async def test_a_device_s_certificate_is_no_authority(hub: Hub) -> None:
    with pytest.raises(HubError, match="CN=leaf"):
        await hub.authorities.trust(ROOT.pem + make_certificate("leaf", ROOT).pem)
    assert hub.authorities.list() == ()


async def test_there_may_be_25(hub: Hub) -> None:
    bundle = b"".join(make_certificate(f"a{number}", authority=True).pem for number in range(25))
    await hub.authorities.trust(bundle)
    with pytest.raises(HubError, match="25"):
        await hub.authorities.trust(ROOT.pem)
    assert len(hub.authorities.list()) == len(hub.authorities.certificates) == 25


async def test_one_is_removed_by_its_thumbprint_in_any_spelling(hub: Hub) -> None:
    await hub.authorities.trust(ROOT.pem)
    pairs = [ROOT.sha256[index : index + 2] for index in range(0, 64, 2)]
    await hub.authorities.remove(":".join(pairs).lower())
    assert hub.authorities.certificates == ()
    with pytest.raises(HubError, match="thumbprint"):
        await hub.authorities.remove(ROOT.sha256)
