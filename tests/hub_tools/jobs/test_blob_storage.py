"""Journals in a container, as azure-storage-blob meets it at the local hub's blob endpoint."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import HttpTransport, RequestsTransport
from azure.storage.blob import BlobServiceClient, generate_account_sas

from hub_tools.jobs.blob_storage import BlobJobs, BlobStorage, is_blob_place
from hub_tools.jobs.job import JobSpec
from hub_tools.jobs.journal import Journal, JournalBusyError, JournalView
from hub_tools.jobs.journals import summaries
from hub_tools.jobs.outcomes import DeviceState
from iot_core.clock import ManualClock
from iot_core.errors import InputError, StoreError
from local_hub.environment import hub_environment

SPEC = JobSpec(where="*", desired={"rate": 5}, job_id="job-1")


@pytest.fixture
def place(hub: Any) -> tuple[str, str]:
    """A new container, by the account's key, and the authority to trust."""
    account = hub_environment(hub.home)["IOTHUB_STORAGE_CONNECTION_STRING"]
    authority = str(hub.files.authority)
    with BlobServiceClient.from_connection_string(account, connection_verify=authority) as client:
        name = f"jobs-{uuid.uuid4().hex[:8]}"
        client.create_container(name).close()
    return f"{account};Container={name}", authority


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000_000.0)


@pytest.fixture
def jobs(place: tuple[str, str], clock: ManualClock) -> Iterator[BlobJobs]:
    with BlobJobs(place[0], ca_file=place[1], clock=clock) as jobs:
        yield jobs


def test_what_one_wrote_another_goes_on_with(jobs: BlobJobs) -> None:
    with Journal.create(jobs, SPEC, host_name="hub", operator="anna@here") as journal:
        journal.before("d1", {"desired.rate": 2}, {"desired": 3})
        journal.sync()
        journal.outcome("d1", DeviceState.WRITTEN)
    with Journal.open(jobs, "job-1") as journal:
        assert (journal.head.operator, journal.head.spec) == ("anna@here", SPEC)
        journal.outcome("d1", DeviceState.ACKNOWLEDGED)
    look = JournalView.look(jobs, "job-1")
    assert look.standings()["d1"].state is DeviceState.ACKNOWLEDGED
    assert [before.previous for before in look.befores()] == [{"desired.rate": 2}]


def test_all_journals_of_a_container_are_told_the_newest_first(jobs: BlobJobs, clock: ManualClock) -> None:
    for job_id in ("job-1", "job-2"):
        clock.advance(60)
        with Journal.create(jobs, replace(SPEC, job_id=job_id), operator="anna@here", clock=clock) as journal:
            journal.before("d1", {"desired.rate": 2}, {"desired": 3})
            journal.outcome("d1", DeviceState.WRITTEN)
    found = summaries(jobs)
    assert [each.job_id for each in found] == ["job-2", "job-1"]
    assert (found[0].operator, found[0].states) == ("anna@here", {DeviceState.WRITTEN: 1})


def test_a_second_operator_is_refused_by_the_name_of_the_first_and_may_look(jobs: BlobJobs) -> None:
    with Journal.create(jobs, SPEC, operator="anna@here"):
        with pytest.raises(JournalBusyError, match="worked on by anna@here, whose lease runs until 1970-01-12"):
            Journal.open(jobs, "job-1", operator="ben@there")
        assert JournalView.look(jobs, "job-1").head.operator == "anna@here"
    Journal.open(jobs, "job-1", operator="ben@there").close()


def test_a_lease_that_ran_out_is_taken_and_its_old_holder_writes_nothing_more(
    jobs: BlobJobs, clock: ManualClock
) -> None:
    gone = Journal.create(jobs, SPEC, operator="anna@here")
    clock.advance(61)
    with Journal.open(jobs, "job-1", operator="ben@there") as journal:
        journal.outcome("d1", DeviceState.WRITTEN)
        journal.sync()
        gone.outcome("d1", DeviceState.FAILED)
        with pytest.raises(StoreError, match="somebody else writes"):
            gone.sync()
    assert JournalView.look(jobs, "job-1").standings()["d1"].state is DeviceState.WRITTEN
    storage = gone.storage
    assert isinstance(storage, BlobStorage)
    storage._over.set()
    assert storage._renewing is not None
    storage._renewing.join()


@pytest.mark.parametrize("verb", ["PUT", "DELETE"])
def test_an_answer_that_is_lost_does_not_look_like_somebody_else(
    jobs: BlobJobs, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    send, lost = RequestsTransport.send, list[str]()

    def losing_each_first_answer(self: RequestsTransport, request: Any, **options: Any) -> Any:
        answer = send(self, request, **options)
        path = urlsplit(request.url).path
        if request.method == verb and path not in lost:
            lost.append(path)
            raise ServiceResponseError("the connection was closed")
        return answer

    monkeypatch.setattr(RequestsTransport, "send", losing_each_first_answer)
    monkeypatch.setattr(HttpTransport, "sleep", lambda self, duration: None)
    with Journal.create(jobs, SPEC, operator="anna@here") as journal:
        journal.outcome("d1", DeviceState.WRITTEN)
        journal.sync()
        journal.outcome("d2", DeviceState.WRITTEN)
    with Journal.open(jobs, "job-1", operator="ben@there") as journal:
        assert list(journal.standings()) == ["d1", "d2"]
    assert {path.split("/")[-1] for path in lost} >= ({"lease", "00000001", "00000002"} if verb == "PUT" else {"lease"})


def test_beginning_again_leaves_the_job_alone_in_it(jobs: BlobJobs) -> None:
    with Journal.create(jobs, SPEC) as journal:
        journal.before("d1", {}, {})
        journal.sync()
        journal.start_over()
        assert journal.standings() == {}
        journal.before("d2", {}, {})
    assert list(JournalView.look(jobs, "job-1").standings()) == ["d2"]


def test_a_container_by_its_url_with_a_sas(place: tuple[str, str]) -> None:
    text, authority = place
    account, _, name = text.rpartition(";Container=")
    fields = dict(part.split("=", 1) for part in account.split(";") if part)
    sas = generate_account_sas(
        fields["AccountName"], fields["AccountKey"], "co", "rwdlac", expiry="2100-01-01T00:00:00Z"
    )
    with BlobJobs(f"{fields['BlobEndpoint'].rstrip('/')}/{name}?{sas}", ca_file=authority) as jobs:
        Journal.create(jobs, SPEC).close()
        assert JournalView.look(jobs, "job-1").head.spec == SPEC


@pytest.mark.parametrize(
    "text",
    [
        "https://account.blob.core.windows.net/",
        "https://account.blob.core.windows.net/jobs",
        "AccountName=a;AccountKey=c2VjcmV0",
        "AccountName;Container=x",
    ],
)
def test_what_names_no_container_is_refused_without_its_secret(text: str) -> None:
    with pytest.raises(InputError) as error:
        BlobJobs(text)
    assert "c2VjcmV0" not in str(error.value)


def test_a_container_that_is_not_there_is_told(place: tuple[str, str]) -> None:
    with BlobJobs(place[0] + "x", ca_file=place[1]) as jobs, pytest.raises(StoreError, match="ContainerNotFound"):
        JournalView.look(jobs, "job-1")
    with BlobJobs(place[0] + "x", ca_file=place[1]) as jobs, pytest.raises(StoreError, match="ContainerNotFound"):
        summaries(jobs)


def test_places_are_told_from_folders() -> None:
    assert is_blob_place("https://a/c?sig=x")
    assert is_blob_place("DefaultEndpointsProtocol=https;AccountName=a;Container=c")
    assert not is_blob_place("/srv/jobs")
