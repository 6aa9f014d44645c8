"""The provisioning service as one object, which the hub composes and the fronts call."""

from __future__ import annotations

from iot_core import sas
from iot_core.errors import SasError
from local_hub.auth.authenticator import Permission, Principal
from local_hub.changes import Core
from local_hub.config import HubConfig
from local_hub.controls.faults import Faults
from local_hub.dps.admission import ProvisioningAdmission
from local_hub.dps.allocation import Allocator
from local_hub.dps.assignment import Assignment
from local_hub.dps.attestation import unauthorized
from local_hub.dps.enrollments import Enrollments
from local_hub.dps.identity import OWNER, ServiceIdentity, load_or_create
from local_hub.dps.registrations import Registrations
from local_hub.dps.webhook import allocate
from local_hub.registry.registry import Registry
from local_hub.twins.twins import Twins

__all__ = ["Provisioning"]


class Provisioning:
    """``load`` first; then ``enrollments`` are for services and ``registrations`` for devices. The fronts ask
    ``admission`` for each request.
    """

    identity: ServiceIdentity
    registrations: Registrations

    def __init__(self, core: Core, registry: Registry, twins: Twins, config: HubConfig, faults: Faults) -> None:
        self._core = core
        self.admission = ProvisioningAdmission(core.clock, faults, throttle=config.throttle)
        self._assignment = Assignment(registry, twins, core.clock)
        self._config = config
        self._names = frozenset(name.lower() for name in config.host_names)
        self.enrollments = Enrollments(core.store, core.clock)

    async def load(self) -> None:
        """Read who the service is, or make it."""
        self.identity = await self._core.store.write(load_or_create)
        allocator = Allocator(
            self._core.store,
            allocate,
            assigned_hub=self._config.client_host,
            linked=self._names | {f"{self._config.hub_name}.azure-devices.net".lower()},
        )
        self.registrations = Registrations(self._core, self._assignment, allocator, id_scope=self.identity.id_scope)

    def authorize(self, token_text: str, resource: str) -> Principal:
        """A service's call on ``resource`` ("host/enrollments/e").

        HubError Unauthorized unless the policy provisioningserviceowner signed the token, for any name of this host.
        """
        try:
            token = sas.parse(token_text)
            asked, _, path = resource.partition("/")
            named = token.resource.partition("/")[0]
            wanted = f"{named}/{path}" if _bare(named) in self._names | {_bare(asked)} else resource
            sas.verify(token, resource=wanted, keys=self.identity.keys, now=self._core.token_clock.now())
        except SasError as error:
            raise unauthorized() from error
        if token.policy != OWNER:
            raise unauthorized()
        return Principal(name=OWNER, rights=Permission(0), expires_at=float(token.expiry + sas.MAX_CLOCK_SKEW_S))


def _bare(host: str) -> str:
    return host.partition(":")[0].lower()
