"""How a preview looks: what happens to configurations, what devices would see, and what stands in the way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from edgeyard.cli.differences import difference_lines
from edgeyard.cli.findings import print_findings
from edgeyard.cli.render import stdout
from hub_tools.stacks.difference import Difference
from hub_tools.stacks.preview import ClassPreview, ConfigurationChange, Preview

__all__ = ["print_preview"]

_SIGNS = {
    "create": ("+", "green"),
    "replace": ("±", "yellow"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
    "keep": (" ", "dim"),
}
_SHOWN_DEVICES = 3
_SHOWN_GROUPS = 20
"""More kinds of change than that are for --output json."""


@dataclass(kw_only=True)
class _Group:
    """Classes of devices that would see the same change."""

    difference: Difference
    classes: list[ClassPreview]

    @property
    def count(self) -> int:
        return sum(item.count for item in self.classes)

    @property
    def devices(self) -> list[str]:
        return [device for item in self.classes for device in item.devices]


def print_preview(preview: Preview) -> None:
    """Prints a preview for people: configurations, then devices by what they would see, then findings."""
    stdout.print(Text(f"{preview.stack} · {preview.environment} on {preview.host_name}", style="bold"))
    for line in [*_configurations(preview), *_devices(preview)]:
        stdout.print(line, soft_wrap=True)
    if preview.findings:
        stdout.print()
        print_findings([("findings", finding) for finding in preview.findings])
    stdout.print(_summary(preview), soft_wrap=True)


def _configurations(preview: Preview) -> Iterator[Text]:
    changes = [change for change in preview.changes if change.action != "keep"]
    width = max((len(change.name) for change in changes), default=0)
    for change in changes:
        sign, style = _SIGNS[change.action]
        line = Text(f"{sign} {change.action:<8}", style=style).append(f"{change.name:<{width}}  ", style="bold")
        yield line.append(f"{_ids(change)}  {_why(change, preview)}", style="not bold dim")
    kept = len(preview.changes) - len(changes)
    if kept:
        yield Text(f"  {kept} {_plural(kept, 'configuration stays as it is', 'configurations stay as they are')}")


def _ids(change: ConfigurationChange) -> str:
    old, new = (body["id"] if body else None for body in (change.old, change.new))
    return f"{old} → {new}" if old and new and old != new else str(new or old)


def _why(change: ConfigurationChange, preview: Preview) -> str:
    why = ", ".join(change.why)
    if change.name not in preview.targeted:
        return f"({why})"
    count = preview.targeted[change.name]
    return f"({why}; targets {count:,} {_plural(count, 'device', 'devices')})"


def _devices(preview: Preview) -> Iterator[Text]:
    groups = _groups(preview.classes)
    for group in groups[:_SHOWN_GROUPS]:
        yield Text()
        yield _title(group)
        for line in difference_lines(group.difference):
            yield Text("  ").append_text(line)
    rest = groups[_SHOWN_GROUPS:]
    if rest:
        yield Text()
        count = sum(group.count for group in rest)
        yield Text(f"{len(rest)} more kinds of change on {count:,} devices: all of them with --output json")
    same = preview.devices - preview.changed_devices
    yield Text()
    yield Text(f"{same:,} {_plural(same, 'device sees', 'devices see')} no change", style="dim")


def _groups(classes: Sequence[ClassPreview]) -> list[_Group]:
    """Classes that change put together by what they would see, those of most devices first."""
    found: dict[str, _Group] = {}
    for item in classes:
        if item.difference:
            key = json.dumps(item.difference.to_json(), sort_keys=True)
            found.setdefault(key, _Group(difference=item.difference, classes=[])).classes.append(item)
    return sorted(found.values(), key=lambda group: -group.count)


def _title(group: _Group) -> Text:
    count, names = group.count, group.devices[:_SHOWN_DEVICES]
    more = " …" if count > len(names) else ""
    title = Text(f"{count:,} {_plural(count, 'device', 'devices')}", style="bold")
    title.append(f"  {', '.join(names)}{more}", style="not bold")
    first = group.classes[0]
    applied = f"{', '.join(first.before) or 'nothing'} → {', '.join(first.after) or 'nothing'}"
    if len(group.classes) > 1:
        applied = f"in {len(group.classes)} classes"
    return title.append(f"  {applied}", style="not bold dim")


def _summary(preview: Preview) -> Text:
    if preview.errors:
        count = len(preview.errors)
        return Text(f"It cannot be applied: {count} {_plural(count, 'error', 'errors')}", style="bold red")
    if not preview.has_changes:
        return Text("Nothing to do: the hub has what the program says", style="green")
    count = sum(change.action != "keep" for change in preview.changes)
    configurations = _plural(count, "configuration changes", "configurations change")
    return Text(f"{count} {configurations}, {preview.changed_devices:,} of {preview.devices:,} devices", style="bold")


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
