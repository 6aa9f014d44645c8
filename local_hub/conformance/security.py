"""Who may call, what a refusal looks like, and the limits that hold for every protocol."""

from __future__ import annotations

from local_hub.conformance.entries import State, area, row

__all__ = ["ROWS"]

_EXACT, _DOCUMENTED, _APPROXIMATE, _REFUSED = State
_HTTP = "tests/local_hub/fronts/test_http.py"
_BY_NAME = "tests/local_hub/fronts/test_refused_by_name.py"
_AUTH = "local_hub/auth/authenticator.py"

_LOG_IN = area(
    "Security",
    row(
        "SAS tokens",
        _DOCUMENTED,
        "tests/iot_core/test_sas.py::test_what_is_signed_verifies",
        "Signature, expiry (five minutes of clock skew), resource by whole segments, both keys, fields in any order.",
        "iot_core/sas.py::verify",
        "iot_core/sas.py::covers",
    ),
    row(
        "Permissions",
        _DOCUMENTED,
        f"{_HTTP}::test_a_policy_without_the_right_is_refused_even_with_a_true_signature",
        "A right that lacks is 401 too, as observed on the service.",
        f"{_AUTH}::Authenticator.service",
    ),
    row(
        "Shared access policies",
        _APPROXIMATE,
        "tests/local_hub/test_auth.py::TestService::test_each_policy_allows_what_it_holds_and_nothing_more",
        "The five default ones with generated keys; none can be added or changed.",
        "local_hub/auth/policies.py::Policies",
    ),
    row(
        "Policies as a device's credential",
        _DOCUMENTED,
        "tests/local_hub/fronts/test_mqtt.py::test_a_device_may_use_the_token_of_the_policy_for_devices",
        "With DeviceConnect, for any device that exists and is enabled.",
        f"{_AUTH}::Authenticator.device",
    ),
    row(
        "An edge device's own token",
        _APPROXIMATE,
        "tests/local_hub/test_auth.py::TestEdgeDaemon::test_it_may_read_and_write_its_own_identity_and_modules",
        "Reads and writes its own identity and modules, as the IoT Edge daemon asks it.",
        f"{_AUTH}::Authenticator.service",
    ),
    row(
        "X.509 thumbprints",
        _EXACT,
        "tests/local_hub/fronts/test_x509_login.py::"
        "test_a_self_signed_certificate_logs_in_and_is_named_on_its_messages",
        "SHA-1 or SHA-256, over MQTT, WebSocket and HTTPS, for devices and modules; dates do not count.",
        "local_hub/auth/x509.py::check_certificate",
    ),
    row(
        "X.509 certificate authorities",
        _APPROXIMATE,
        "tests/local_hub/fronts/test_x509_login.py::test_a_certificate_of_a_trusted_authority_logs_in_by_its_name",
        "Trusted by edgeyard hub trust-ca, without the proof of possession; at most 25; a module's common name is "
        "device/module.",
        "local_hub/auth/authorities.py::Authorities",
    ),
    row(
        "Microsoft Entra tokens (HTTPS)",
        _REFUSED,
        f"{_BY_NAME}::test_entra_tokens_over_https",
        "401: a hub without a tenant has nobody to ask whether a token is right.",
        f"{_AUTH}::_parsed",
    ),
    row(
        "Microsoft Entra tokens (AMQP)",
        _REFUSED,
        f"{_BY_NAME}::test_entra_tokens_over_amqp",
        "put-token of type jwt or bearer is answered 401.",
        "local_hub/fronts/amqp/cbs.py::_UNSUPPORTED",
    ),
)

_ANSWERS = area(
    "Answers and errors (HTTPS)",
    row(
        "api-version",
        _APPROXIMATE,
        f"{_HTTP}::test_every_dated_api_version_is_accepted",
        "Any date is taken and none changes an answer; without one, 400001.",
        "local_hub/fronts/http.py::_check_api_version",
    ),
    row(
        "Paths",
        _DOCUMENTED,
        "tests/local_hub/fronts/test_routes.py::test_literal_segments_match_in_any_case",
        "Fixed segments match in any case; ids are percent-decoded once.",
        "local_hub/fronts/rest/routes.py::match",
    ),
    row(
        "Error codes and the iothub-errorcode header",
        _DOCUMENTED,
        "tests/iot_core/test_errors.py::test_codes_are_those_of_the_service",
        "",
        "iot_core/hub_errors.py::ERRORS",
    ),
    row(
        "Error bodies",
        _DOCUMENTED,
        "tests/local_hub/fronts/test_envelopes.py::test_registry_errors_put_the_name_before_the_text",
        "Three shapes, by area, as observed on the service; texts are ours unless a client reads them.",
        "local_hub/fronts/envelopes.py::Envelope",
    ),
    row(
        "If-Match of identities",
        _EXACT,
        "tests/local_hub/fronts/test_service_sdk.py::test_a_second_device_of_the_same_id_is_a_conflict",
        "PUT without it creates only, DELETE without it is 412; a star may be quoted, an etag may be bare.",
        "local_hub/preconditions.py::wanted_etag",
    ),
    row(
        "If-Match of twins",
        _EXACT,
        "tests/local_hub/fronts/test_service_sdk.py::test_a_stale_etag_is_refused",
        "",
        "local_hub/preconditions.py::check_etag",
    ),
    row(
        "If-Match of configurations",
        _EXACT,
        "tests/local_hub/fronts/test_configurations.py::TestIfMatch::test_an_etag_without_quotes_counts_for_nothing",
        "",
        "local_hub/fronts/rest/configurations.py::put_configuration",
    ),
    row(
        "Malformed requests",
        _APPROXIMATE,
        "tests/local_hub/fronts/test_malformed_http.py::test_bad_requests_are_refused_or_hung_up_on",
        "400 and 413 are the service's; 405, 408, 415 and 426 say what the protocol's standard says.",
        "local_hub/fronts/http_connection.py::HttpConnection",
    ),
)

_LIMITS = area(
    "Throttles, quotas and tiers",
    row(
        "Throttling",
        _APPROXIMATE,
        "tests/local_hub/test_admission.py::test_what_is_over_the_rate_waits_and_then_is_refused_as_the_service_does",
        "Off unless --throttle or --like-azure TIER:UNITS is given; then the documented rates hold: a minute's worth "
        "at once, ten seconds of queue, then 429. Only the operation type ConfigurationWrite is known from the "
        "service; over MQTT, telemetry that is over the rate ends the connection and log-ins get return code 3; over "
        "AMQP, the first link of each device is a new connection, and what is over the rate is refused or rejected as "
        "com.microsoft:device-container-throttled.",
        "local_hub/controls/admission.py::Admission",
    ),
    row(
        "Throttling of device provisioning",
        _APPROXIMATE,
        "tests/local_hub/dps/test_admission.py::test_a_thousand_a_minute_pass_and_the_next_is_refused_at_once",
        "With the throttles: 1,000 registrations and 1,000 operations a minute, 5 polls of a device in ten seconds, "
        "then 429001 with the time to wait that an accepted registration has.",
        "local_hub/dps/admission.py::ProvisioningAdmission",
    ),
    row(
        "Daily message quota",
        _APPROXIMATE,
        "tests/local_hub/test_admission.py::test_the_daily_quota_is_refused_until_utc_midnight_of_the_hubs_clock",
        "With the throttles: 403002 until UTC midnight of the hub's clock; telemetry, cloud-to-device messages, "
        "methods, twin operations and queries count by their request. It outlives a restart; a hub that is killed may "
        "forget its last second.",
        "local_hub/controls/quota.py::DailyQuota",
    ),
    row(
        "Tiers F1, S1, S2, S3",
        _DOCUMENTED,
        "tests/iot_core/test_limits.py::test_what_devices_may_send_grows_with_tier_and_units",
        "",
        "iot_core/limits.py::TIERS",
    ),
    row(
        "Basic tiers (B1, B2, B3)",
        _REFUSED,
        "tests/local_hub/test_like_azure.py::test_what_no_hub_has_is_refused",
        "The hub does not start as one; 403010 is never given.",
        "local_hub/controls/like_azure.py::like_azure",
    ),
)

ROWS = (*_LOG_IN, *_ANSWERS, *_LIMITS)
