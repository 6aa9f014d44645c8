"""Automatic configurations and edge deployments (REST reference, "Configuration"; IoT Hub documentation, "Automatic
device and module management").

The id and the content of a configuration never change: content in an update is checked and otherwise ignored, as the
service does. What a configuration has written stays when it is deleted.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from iot_core import limits
from iot_core.configurations import (
    ConfigurationContentError,
    ConfigurationError,
    MetricQueryError,
    Settings,
    TargetConditionError,
    TooManyModulesError,
    check_metric,
    compile_target,
    parse_settings,
)
from iot_core.configurations.content import Content
from iot_core.errors import HubError
from iot_core.hub_errors import hub_error
from iot_core.json_types import JsonObject
from local_hub.changes import Core
from local_hub.configurations import rows as configuration_rows
from local_hub.configurations.cadence import Cadence
from local_hub.configurations.edge_content import EdgeContent
from local_hub.configurations.evaluator import Evaluator
from local_hub.configurations.metrics import measure, system_queries
from local_hub.configurations.rows import Entry
from local_hub.configurations.runner import ConfigurationRunner
from local_hub.documents import Documents
from local_hub.preconditions import check_etag, wanted_etag
from local_hub.queries.queries import Queries
from local_hub.registry.registry import Registry
from local_hub.twins.twins import Twins

__all__ = ["Configurations"]

_FREE_TIER = "F1"
_ERROR_NAMES: dict[type[ConfigurationError], str] = {
    TargetConditionError: "InvalidConfigurationTargetCondition",
    ConfigurationContentError: "InvalidConfigurationContent",
    MetricQueryError: "InvalidConfigurationCustomMetricsQuery",
    TooManyModulesError: "ConfigurationCountLimitExceeded",
    ConfigurationError: "ArgumentInvalid",
}


class Configurations:
    """Keeps configurations and has them carried out."""

    def __init__(
        self,
        core: Core,
        registry: Registry,
        twins: Twins,
        documents: Documents,
        queries: Queries,
        *,
        tier: str,
        cadence: Cadence,
    ) -> None:
        self._core = core
        self._queries = queries
        free = tier == _FREE_TIER
        self._most = limits.CONFIGURATIONS_PER_FREE_HUB if free else limits.CONFIGURATIONS_PER_HUB
        self._content = EdgeContent(core, registry, twins)
        self._runner = ConfigurationRunner(core, Evaluator(core, registry, twins), documents, queries, cadence)

    def start(self) -> None:
        """Begin to evaluate."""
        self._runner.start()

    async def stop(self) -> None:
        """Stop evaluating; the next start goes on."""
        await self._runner.stop()

    def want_pass(self) -> None:
        """Look at every device soon, whatever the cadence."""
        self._runner.want_pass()

    async def settled(self) -> None:
        """Return once what was written before this call has been evaluated."""
        await self._runner.settled()

    async def get(self, configuration_id: str) -> JsonObject:
        """The configuration with its metrics; HubError ConfigurationNotFound."""

        def work(connection: sqlite3.Connection) -> JsonObject:
            return self._document(connection, _stored(connection, configuration_id))

        return await self._core.store.aread(work)

    async def list(self) -> list[JsonObject]:
        """Every configuration with its metrics, in the order of their ids."""

        def work(connection: sqlite3.Connection) -> list[JsonObject]:
            return [self._document(connection, entry) for entry in configuration_rows.select(connection)]

        return await self._core.store.aread(work)

    async def put(self, configuration_id: str, body: JsonObject, if_match: str | None) -> JsonObject:
        """Create (``if_match`` None) or update a configuration.

        HubError ConfigurationAlreadyExists, ConfigurationNotFound, PreconditionFailed, ConfigurationCountLimitExceeded,
        or a refusal of the body: InvalidConfigurationTargetCondition, InvalidConfigurationContent,
        InvalidConfigurationCustomMetricsQuery, ArgumentInvalid.
        """
        wanted = wanted_etag(if_match)
        now = self._core.clock.now()

        def work(connection: sqlite3.Connection) -> Entry:
            entry = configuration_rows.find(connection, configuration_id)
            if wanted is None:
                return self._create(connection, configuration_id, _settings(configuration_id, body), entry, now)
            if entry is None:
                raise _missing(configuration_id)
            check_etag(wanted, entry.etag)
            settings = _settings(configuration_id, body, entry.settings.content)
            return configuration_rows.update(connection, entry, settings, now)

        entry = await self._core.store.write(work, after=lambda _: self._changed(made=wanted is None))
        return entry.document(dict(system_queries(entry)), entry.results)

    async def delete(self, configuration_id: str, if_match: str | None) -> None:
        """Delete a configuration; what it wrote stays. HubError ConfigurationNotFound, PreconditionFailed."""
        wanted = wanted_etag(if_match)

        def work(connection: sqlite3.Connection) -> None:
            check_etag(wanted, _stored(connection, configuration_id).etag)
            configuration_rows.delete(connection, configuration_id)

        await self._core.store.write(work, after=lambda _: self._changed(made=False))

    def test_queries(self, body: JsonObject) -> JsonObject:
        """What is wrong with a target condition and with metric queries; nothing is an error by itself."""
        queries = body.get("customMetricQueries") or {}
        if not isinstance(queries, dict):
            raise hub_error("ArgumentInvalid", "customMetricQueries must be an object of texts.")
        errors = {name: text for name, query in queries.items() if (text := _metric_error(name, query))}
        return {"targetConditionError": _condition_error(body), "customMetricQueryErrors": errors}

    async def apply_content(self, device_id: str, body: JsonObject) -> None:
        """Write a deployment's content to one edge device at once; see ``local_hub.configurations.edge_content``."""
        await self._content.apply(device_id, body)

    def _create(
        self,
        connection: sqlite3.Connection,
        configuration_id: str,
        settings: Settings,
        existing: Entry | None,
        now: float,
    ) -> Entry:
        if existing is not None:
            raise hub_error("ConfigurationAlreadyExists", f"Configuration {configuration_id} already exists.")
        if configuration_rows.count(connection) >= self._most:
            text = f"The hub has {self._most} configurations already; delete one first."
            raise hub_error("ConfigurationCountLimitExceeded", text)
        return configuration_rows.insert(connection, configuration_id, settings, now)

    def _changed(self, *, made: bool) -> None:
        self._runner.configuration_changed(made=made)

    def _document(self, connection: sqlite3.Connection, entry: Entry) -> JsonObject:
        results = measure(connection, entry, self._queries) if self._runner.immediate else entry.results
        return entry.document(dict(system_queries(entry)), results)


def _settings(configuration_id: str, body: JsonObject, content: Content | None = None) -> Settings:
    try:
        return parse_settings(configuration_id, body, content)
    except ConfigurationError as error:
        raise hub_error(_ERROR_NAMES[type(error)], f"{error}.") from error


def _stored(connection: sqlite3.Connection, configuration_id: str) -> Entry:
    entry = configuration_rows.find(connection, configuration_id)
    if entry is None:
        raise _missing(configuration_id)
    return entry


def _missing(configuration_id: str) -> HubError:
    return hub_error("ConfigurationNotFound", f"Configuration {configuration_id} not found.")


def _condition_error(body: JsonObject) -> str | None:
    condition = body.get("targetCondition")
    try:
        compile_target(condition if isinstance(condition, str) else "", star=False)
    except TargetConditionError as error:
        return str(error)
    return None


def _metric_error(name: str, query: Any) -> str | None:
    try:
        check_metric(name, query)
    except MetricQueryError as error:
        return str(error)
    return None
