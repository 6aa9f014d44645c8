from __future__ import annotations

from pathlib import Path

from iot_core.message import Message
from modules.sentiment.spool import FILE_NAME, SpoolQueue


def numbered(*numbers: int) -> list[Message]:
    return [Message(str(number).encode(), {"n": None}, {"messageId": "m"}) for number in numbers]


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-4])


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def drain(queue: SpoolQueue) -> list[Message]:
    found: list[Message] = []
    while len(queue):
        head = await queue.head(2)
        queue.done(len(head))
        found += head
    return found


async def test_messages_leave_in_the_order_they_came_through_memory_and_file(tmp_path: Path) -> None:
    queue = SpoolQueue(tmp_path, memory=3)
    for message in numbered(*range(20)):
        queue.put(message)
    assert (len(queue), queue.spooled) == (20, 17)
    assert await drain(queue) == numbered(*range(20))
    assert not (tmp_path / FILE_NAME).exists()


async def test_what_arrives_while_the_file_is_read_stays_behind_it(tmp_path: Path) -> None:
    queue = SpoolQueue(tmp_path, memory=2)
    for message in numbered(*range(5)):
        queue.put(message)
    first = await queue.head(2)
    queue.done(2)
    for message in numbered(5, 6):
        queue.put(message)
    assert first + await drain(queue) == numbered(*range(7))


async def test_a_stop_keeps_what_is_not_done_for_the_next_start(tmp_path: Path) -> None:
    queue = SpoolQueue(tmp_path, memory=3)
    for message in numbered(*range(10)):
        queue.put(message)
    await queue.head(2)
    queue.done(1)
    queue.close()
    assert await drain(SpoolQueue(tmp_path, memory=3)) == numbered(*range(1, 10))


async def test_a_stop_with_nothing_left_leaves_no_file(tmp_path: Path) -> None:
    queue = SpoolQueue(tmp_path, memory=3)
    queue.put(numbered(1)[0])
    await drain(queue)
    queue.close()
    assert files_in(tmp_path) == []


async def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    queue = SpoolQueue(tmp_path, memory=1)
    for message in numbered(1, 2, 3):
        queue.put(message)
    cut_short(tmp_path / FILE_NAME)
    again = SpoolQueue(tmp_path, memory=1)
    again.put(numbered(4)[0])
    assert await drain(again) == numbered(2, 4)


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    queue = SpoolQueue(tmp_path / "spool", memory=1)
    for message in numbered(1, 2):
        queue.put(message)
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "spool" / FILE_NAME).stat().st_mode & 0o777 == 0o600
