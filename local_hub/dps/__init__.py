"""The Device Provisioning Service of the local hub: enrolments, attestation, assignment to this hub; no sockets."""
