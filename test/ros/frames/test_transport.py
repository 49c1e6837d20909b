"""The Fast DDS profile, and shared memory that is too small for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sartm_ros.frames import transport


@pytest.fixture
def profile() -> Path:
    found = transport.shipped("fastdds.xml")
    assert found is not None
    return found


def test_the_shipped_segment_is_the_one_that_is_told(profile: Path) -> None:
    assert f"<segment_size>{transport.SHIPPED_SEGMENT_BYTES}</segment_size>" in profile.read_text()


def test_enough_shared_memory_changes_nothing(profile: Path) -> None:
    for free in (None, transport.PROCESSES * transport.SHIPPED_SEGMENT_BYTES):
        assert transport.fitting(profile, free) == profile
        assert transport.too_small(free, transport.SHIPPED_SEGMENT_BYTES) == ""


@pytest.mark.parametrize("free,size", [(64 << 20, 16 << 20), (60 << 20, 8 << 20), (1 << 20, 4 << 20), (0, 4 << 20)])
def test_a_containers_64_mb_get_a_segment_that_fits(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, size: int
) -> None:
    """Regression: in Docker every process took 32 of 64 MB, the node fell to UDP and lost two thirds of the images."""
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path))
    copy = transport.fitting(profile, free)
    assert copy.parent == tmp_path
    assert copy.read_text() == profile.read_text().replace(str(transport.SHIPPED_SEGMENT_BYTES), str(size))
    assert "--shm-size=512m" in transport.too_small(free, transport.SHIPPED_SEGMENT_BYTES)


def test_a_cache_that_cannot_be_written_leaves_the_shipped_profile(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SARTM_CACHE", str(tmp_path / "file"))
    assert transport.fitting(profile, 64 << 20) == profile


def test_a_setting_of_the_user_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(transport.FASTDDS_3, "mine.xml")
    monkeypatch.setenv(transport.FASTDDS_2, "")
    assert transport.use_shipped_profile() is None


def test_without_shared_memory_there_is_nothing_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "SHARED_MEMORY", "/nowhere")
    assert transport.shared_memory_free() is None


@pytest.mark.parametrize("place", ["lib", "lib/x86_64-linux-gnu"])
def test_jazzys_fast_dds_finds_the_shipped_profile_too(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Version 2 reads FASTRTPS_DEFAULT_PROFILES_FILE alone, version 3 FASTDDS_DEFAULT_PROFILES_FILE alone, and each
    warns of the other's."""
    monkeypatch.setattr(transport.sys, "prefix", str(tmp_path / "nothing"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path}")
    for library, name in (("libfastdds.so.3.2.3", transport.FASTDDS_3), ("libfastrtps.so.2.14", transport.FASTDDS_2)):
        for each in transport.USER_VARIABLES:
            monkeypatch.setenv(each, "")
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / library).touch()
        profile = transport.use_shipped_profile()
        assert profile is not None and transport.variable() == name
        assert {each: transport.os.environ[each] for each in transport.USER_VARIABLES} == {
            each: str(profile) if each == name else "" for each in transport.USER_VARIABLES
        }
