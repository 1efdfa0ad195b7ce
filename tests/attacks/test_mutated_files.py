"""A thousand mutated files of every kind, the same in every run; `scripts/reliability.py` tries many more."""

import pytest

from attacks.attack_files import KINDS, PHOTOS, attack, mutant

FILES = 1000


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_read_or_refused(kind, tmp_path):
    if kind == "release":
        pytest.importorskip("onnx")  # writes the tower of the tiny release
    found = attack(kind, seed=0, count=FILES, folder=tmp_path)
    assert found.failures == []
    assert found.files == FILES
    assert found.refused > 0  # the mutations do reach the reader


@pytest.mark.parametrize("kind", PHOTOS)
def test_some_mutated_photos_still_open(kind, tmp_path):
    if kind == "HEIC container":
        pytest.skip("nothing here writes HEIC: its container is that of AVIF under another brand")
    assert attack(kind, seed=1, count=60, folder=tmp_path).read > 0


def test_a_mutant_is_the_same_every_time():
    assert mutant("JPEG", 3, 17) == mutant("JPEG", 3, 17) != mutant("JPEG", 3, 18)
