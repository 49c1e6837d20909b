"""Probes of the main job, as it is here and as it might be elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sartm_core.doctor import masks
from sartm_core.doctor.findings import BROKEN, MISSING, NOTE, OK, guarded
from sartm_core.model.checkpoint import save
from sartm_core.model.sartm import SARTM
from sartm_core.runtime import opening


@pytest.mark.parametrize("name", ["python", "torch_and_device", "weights", "masks"])
def test_here_all_is_well(name: str) -> None:
    findings = guarded(name, getattr(masks, name))
    assert findings and all(finding.status in (OK, NOTE) for finding in findings)


@pytest.mark.parametrize(("cuda", "says"), [("13.0", "nvidia-smi"), (None, "pytorch.org")])
def test_a_gpu_that_torch_cannot_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cuda: str | None, says: str
) -> None:
    (tmp_path / "version").touch()
    monkeypatch.setattr(masks, "NVIDIA", (str(tmp_path / "version"),))
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    finding = list(masks.torch_and_device())[-1]
    assert (finding.status, finding.name) == (NOTE, "cpu") and says in finding.remedy


@pytest.mark.parametrize(("content", "status"), [(None, MISSING), (b"version https://git-lfs", BROKEN)])
def test_weights_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None, status: str
) -> None:
    path = tmp_path / "default.safetensors"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setattr(opening, "default_checkpoint", lambda: path)
    (finding,) = masks.weights()
    assert finding.status == status and str(path) in finding.found and finding.remedy


def test_weights_that_give_no_numbers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, nano: SARTM) -> None:
    with torch.no_grad():
        next(nano.mask_decoder.parameters()).fill_(float("nan"))
    path = save(nano, tmp_path / "nan.safetensors")
    monkeypatch.setattr(opening, "default_checkpoint", lambda: path)
    (finding,) = guarded("masks", masks.masks)
    assert finding.status == BROKEN and "not finite" in finding.found
