"""The doctor tells what is missing and what for."""

from __future__ import annotations

from importlib import metadata

import pytest

from anychip.products import doctor


def test_it_names_everything_it_looks_for(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.main([])
    shown = capsys.readouterr().out
    for package in doctor.PACKAGES:
        assert package.name in shown
    assert "compiled core" in shown


def test_a_missing_package_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = metadata.version

    def version(name: str) -> str:
        if name == "torch":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    assert doctor.main([]) == 1
    shown = capsys.readouterr().out
    assert "x torch" in shown
    assert "for running PyTorch scripts: pip install 'anychip[torch]'" in shown
    assert "not usable for everything: torch" in shown


def test_a_torch_for_cuda_says_that_the_gpu_stays_unused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = metadata.version
    monkeypatch.setattr(
        doctor.metadata, "version", lambda name: "2.13.0+cu130" if name == "torch" else real(name)
    )
    doctor.main([])
    assert "a GPU in this machine stays unused" in capsys.readouterr().out


def test_a_missing_tool_says_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert doctor.main([]) == 0
    assert (
        "for running hardware in `anychip crosscheck`: apt-get install verilator" in capsys.readouterr().out
    )


def test_another_version_than_the_tested_one_is_a_note() -> None:
    finding = doctor._package(doctor.Package("numpy", "0.1", "arithmetic"))
    assert finding.state == "note"
    assert "tests run with 0.1" in finding.remark
