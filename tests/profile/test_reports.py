"""What reports look like to people and to programs."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path

import pytest

from anychip.errors import InvalidInput
from anychip.profile.document import SCHEMA, document_of, json_of
from anychip.profile.perfetto import trace_chunks
from anychip.profile.redaction import redacted
from anychip.profile.terminal import print_to, text_of
from anychip.profile.writing import check_writable, write_text
from tests.profile import workload
from tests.profile.test_summarize import profile_of


@pytest.mark.parametrize("graph", [workload.graph(), workload.graph(0), workload.forward_graph()])
def test_the_table_fits_a_hundred_columns(graph) -> None:
    text = text_of(profile_of(graph))
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text


def test_colour_only_where_a_terminal_is(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    profile = profile_of()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured, piped, asked = Terminal(), io.StringIO(), Terminal()
    print_to(profile, coloured)
    print_to(profile, piped)
    monkeypatch.setenv("NO_COLOR", "1")
    print_to(profile, asked)
    assert "\x1b[36m" in coloured.getvalue()
    assert "\x1b[3" not in piped.getvalue() + asked.getvalue()


def test_a_trace_is_balanced_and_as_long_as_the_run() -> None:
    profile = profile_of()
    document = json.loads("".join(trace_chunks(profile)))
    open_slices: list[str] = []
    latest = 0.0
    for event in document["traceEvents"]:
        latest = max(latest, event.get("ts", 0) + event.get("dur", 0))
        if event["ph"] == "B":
            open_slices.append(event["name"])
        elif event["ph"] == "E":
            assert open_slices.pop() == event["name"]
    assert not open_slices
    assert latest == pytest.approx(1e6 * profile.seconds(profile.whole.division.total))
    names = {event["args"]["name"] for event in document["traceEvents"] if event["name"] == "thread_name"}
    assert names == {"modules and kernels", "host copies", "matrix", "vector", "load", "store"}


def test_json_is_stable_and_has_no_nonsense() -> None:
    profile = profile_of()
    assert json_of(profile) == json_of(profile_of())
    assert json.loads(json_of(profile)) == document_of(profile)
    assert document_of(profile)["schema"] == SCHEMA


def test_redacted_reports_name_no_file() -> None:
    graph = redacted(workload.graph())
    profile = profile_of(graph)
    everything = json_of(profile) + repr(profile) + "".join(trace_chunks(profile))
    assert "train" not in everything
    assert "model.layers.*" in everything


def test_a_report_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.json"
    write_text(path, ["old"])

    def chunks():
        yield "half"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(InvalidInput, match=r"out\.json: No space left on device while writing"):
        write_text(path, chunks())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.json"]


def test_a_full_disk_is_one_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(InvalidInput, match="No space left on device"):
        write_text(full, ["x" * 100_000])


def test_places_that_cannot_be_written_are_told_before_the_run(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="is a folder; name a file in it"):
        check_writable(tmp_path)
    with pytest.raises(InvalidInput, match="does not exist; create it first"):
        check_writable(tmp_path / "missing" / "out.json")
    check_writable(tmp_path / "out.json")
