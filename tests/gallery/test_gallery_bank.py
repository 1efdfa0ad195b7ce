"""An embedded gallery is whole or absent, whatever interrupts, and rebuilt when its sources change."""

from __future__ import annotations

import json
import mmap
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from whyhere.encoders import LocationEncoder
from whyhere.errors import MissingFileError
from whyhere.gallery import _bank as bank_module
from whyhere.gallery import bank_problem, gallery_fingerprint, open_gallery


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "galleries"


def opened(coordinates, weights, cache, **kwargs):
    """Open and tell whether it was embedded."""
    calls = []
    gallery = open_gallery(coordinates, weights, cache, progress=lambda *call: calls.append(call), **kwargs)
    return gallery, calls


def assert_sound(coordinates, weights, cache):
    gallery, calls = opened(coordinates, weights, cache)
    assert calls == []
    assert bank_problem(cache / gallery.fingerprint, lambda done: None) is None


def visible(cache):
    return sorted(path.name for path in cache.iterdir() if not path.name.startswith("."))


def leftovers(cache):
    return list(cache.glob(".*.partial"))


def test_embeds_once_and_maps_afterwards(coordinates, weights, cache):
    first, calls = opened(coordinates, weights, cache)
    assert calls[0] == (0, 300)
    assert calls[-1] == (300, 300)
    again, calls = opened(coordinates, weights, cache)
    assert calls == []
    points = np.load(coordinates)
    raw = LocationEncoder.load(weights).embed(*points.T).astype(np.float64)
    for gallery in (first, again):
        np.testing.assert_array_equal(gallery.lat, points[:, 0])
        np.testing.assert_array_equal(gallery.lon, points[:, 1])
        np.testing.assert_allclose(
            gallery.embeddings, raw / np.linalg.norm(raw, axis=1, keepdims=True), rtol=0, atol=1e-6
        )
        np.testing.assert_allclose(
            np.linalg.norm(gallery.embeddings.astype(np.float64), axis=1), 1, atol=1e-7
        )
        assert len(gallery) == 300
        assert visible(cache) == [gallery.fingerprint]
    assert leftovers(cache) == []


def test_is_a_read_only_memory_map(coordinates, weights, cache):
    gallery, _ = opened(coordinates, weights, cache)
    base = gallery.embeddings
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap)
    for array in (gallery.embeddings, gallery.lat, gallery.lon):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_chunks_leave_no_trace(coordinates, weights, cache, monkeypatch):
    whole, _ = opened(coordinates, weights, cache / "a")
    monkeypatch.setattr(bank_module, "_CHUNK", 64)
    parts, calls = opened(coordinates, weights, cache / "b")
    assert [done for done, _ in calls] == [0, 64, 128, 192, 256, 300]
    np.testing.assert_allclose(parts.embeddings, whole.embeddings, rtol=0, atol=1e-6)
    assert_sound(coordinates, weights, cache / "b")


def test_changed_sources_make_another_gallery(coordinates, weights, cache, tmp_path, monkeypatch):
    first, _ = opened(coordinates, weights, cache)
    points = np.load(coordinates)
    points[0, 0] = np.nextafter(points[0, 0], 0)
    np.save(tmp_path / "moved.npy", points)
    moved, calls = opened(tmp_path / "moved.npy", weights, cache)
    assert calls
    other = tmp_path / "other.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    content[-2] ^= 1
    other.write_bytes(content)
    assert gallery_fingerprint(coordinates, other) not in (first.fingerprint, moved.fingerprint)
    monkeypatch.setattr(LocationEncoder, "algorithm", "another")
    renewed, calls = opened(coordinates, weights, cache)
    assert calls
    assert len({first.fingerprint, moved.fingerprint, renewed.fingerprint}) == 3
    assert len(visible(cache)) == 3


def damage_cases():
    def rewrite(change):
        def apply(folder):
            path = folder / "manifest.json"
            manifest = json.loads(path.read_text())
            change(manifest)
            path.write_text(json.dumps(manifest))

        return apply

    def replace(array):
        def apply(folder):
            np.save(folder / "embeddings.npy", array)
            rewrite(lambda m: m.update(bytes=(folder / "embeddings.npy").stat().st_size))(folder)

        return apply

    def cut(folder):
        os.truncate(folder / "embeddings.npy", 1000)

    def zero(folder):
        path = folder / "embeddings.npy"
        size = path.stat().st_size
        os.truncate(path, 128)
        os.truncate(path, size)

    unit = np.zeros((300, 512), np.float32)
    unit[:, 0] = 1
    yield pytest.param(cut, id="truncated")
    yield pytest.param(zero, id="holes")
    yield pytest.param(lambda f: (f / "embeddings.npy").write_bytes(b""), id="empty")
    yield pytest.param(lambda f: (f / "embeddings.npy").unlink(), id="bank-absent")
    yield pytest.param(lambda f: (f / "manifest.json").unlink(), id="manifest-absent")
    yield pytest.param(lambda f: (f / "manifest.json").write_text("{"), id="manifest-cut")
    yield pytest.param(lambda f: (f / "manifest.json").write_text("[]"), id="manifest-foreign")
    yield pytest.param(rewrite(lambda m: m.update(fingerprint="0" * 32)), id="other-fingerprint")
    yield pytest.param(replace(unit[:299]), id="too-few")
    yield pytest.param(replace(unit.astype(np.float64)), id="float64")
    yield pytest.param(replace(np.asfortranarray(unit)), id="fortran")
    yield pytest.param(replace(unit * 2), id="not-unit")


@pytest.mark.parametrize("damage", list(damage_cases()))
def test_a_damaged_bank_is_built_again(coordinates, weights, cache, damage):
    first, _ = opened(coordinates, weights, cache)
    expected = first.embeddings.copy()
    damage(cache / first.fingerprint)
    again, calls = opened(coordinates, weights, cache)
    assert calls
    np.testing.assert_array_equal(again.embeddings, expected)
    assert_sound(coordinates, weights, cache)
    assert leftovers(cache) == []


def flip(path, *places):
    content = bytearray(path.read_bytes())
    for place in places:
        content[place] ^= 1
    path.write_bytes(content)


def test_a_flipped_bit_is_found_at_once_and_told(coordinates, weights, cache, capsys):
    first, _ = opened(coordinates, weights, cache)
    expected = first.embeddings.copy()
    path = cache / first.fingerprint / "embeddings.npy"
    status = path.stat()
    flip(path, 200_001)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # copied back with its old time
    again, calls = opened(coordinates, weights, cache)
    assert calls
    np.testing.assert_array_equal(again.embeddings, expected)
    assert f"{path.parent} is damaged: the gallery is embedded again" in capsys.readouterr().err
    assert_sound(coordinates, weights, cache)


def test_a_row_that_is_not_a_number_never_reaches_an_answer(coordinates, weights, cache):
    first, _ = opened(coordinates, weights, cache)
    path = cache / first.fingerprint / "embeddings.npy"
    rows = np.load(path)
    rows[[17, 203]] = np.nan
    np.save(path, rows)
    again, calls = opened(coordinates, weights, cache)
    assert calls
    assert np.isfinite(again.embeddings).all()


def test_what_only_the_disk_changed_is_found_on_request(coordinates, weights, cache, monkeypatch):
    monkeypatch.setattr("whyhere._io._stamp", lambda path: [path.stat().st_size, 0, 0, 1])
    first, _ = opened(coordinates, weights, cache)
    path = cache / first.fingerprint / "embeddings.npy"
    flip(path, 200_001)
    assert opened(coordinates, weights, cache)[1] == []  # nothing of its file tells that it changed
    assert "SHA-256" in bank_problem(path.parent, lambda done: None)
    assert opened(coordinates, weights, cache)[1]  # and what was found then is not forgotten
    assert bank_problem(path.parent, lambda done: None) is None


def child(coordinates, weights, cache, *, before="", **kwargs):
    code = (
        f"import sys\nfrom pathlib import Path\nfrom whyhere.gallery import open_gallery\n{before}\n"
        "def progress(done, total):\n    print('done', done, flush=True)\n"
        "g = open_gallery(*map(Path, sys.argv[1:]), progress=progress)\n"
        "print('sum', float(g.embeddings.sum(dtype='f8')), flush=True)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, str(coordinates), str(weights), str(cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


@pytest.fixture
def slow_coordinates(tmp_path):
    """Enough places that a process can be caught at work."""
    rng = np.random.default_rng(2)
    path = tmp_path / "many.npy"
    np.save(path, np.stack((rng.uniform(-90, 90, 40_000), rng.uniform(-180, 180, 40_000)), 1))
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_killed_build_leaves_nothing_that_counts(slow_coordinates, weights, cache):
    process = child(slow_coordinates, weights, cache)
    with process:
        for line in process.stdout:
            if line.startswith("done ") and int(line.split()[1]) > 0:
                process.send_signal(signal.SIGKILL)
                break
        process.stdout.read()
    assert process.returncode == -signal.SIGKILL
    assert visible(cache) == []
    assert len(leftovers(cache)) == 1
    points = np.load(slow_coordinates)[:50]
    np.save(slow_coordinates, points)
    gallery, calls = opened(slow_coordinates, weights, cache)
    assert calls
    assert visible(cache) == [gallery.fingerprint]
    assert leftovers(cache) == []


def test_two_processes_build_one_bank(coordinates, weights, cache):
    processes = [child(coordinates, weights, cache) for _ in range(3)]
    outputs = [process.communicate(timeout=300) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sum("done 300" in out for out, _ in outputs) == 1
    assert len({out.split("sum")[1] for out, _ in outputs}) == 1
    assert len(visible(cache)) == 1
    assert leftovers(cache) == []


def test_without_locks_two_builders_still_leave_one_whole_bank(coordinates, weights, cache, monkeypatch):
    def no_lock(handle):
        raise OSError("no locks here")

    monkeypatch.setattr("whyhere._io._try_lock", no_lock)
    inner = []

    def meddle(done, total):
        if done == 0 and not inner:
            inner.append(None)
            inner.append(open_gallery(coordinates, weights, cache))

    outer = open_gallery(coordinates, weights, cache, progress=meddle)
    np.testing.assert_array_equal(outer.embeddings, inner[1].embeddings)
    assert visible(cache) == [outer.fingerprint]
    assert leftovers(cache) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_is_an_error_that_names_the_remedy(coordinates, weights, cache):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))"
    process = child(coordinates, weights, cache, before=limit)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "MissingFileError" in err
    assert "WHYHERE_HOME" in err
    assert "done 300" not in out
    assert visible(cache) == []
    assert leftovers(cache) == []


def test_a_write_that_fails_half_way_leaves_nothing(coordinates, weights, cache, monkeypatch):
    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(MissingFileError, match="No space left on device"):
        opened(coordinates, weights, cache)
    assert visible(cache) == []
    assert leftovers(cache) == []


def test_a_cache_that_cannot_be_made_is_named(coordinates, weights, tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(MissingFileError, match="WHYHERE_HOME"):
        open_gallery(coordinates, weights, blocker / "galleries")


def test_an_interrupted_build_cleans_up(coordinates, weights, cache):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_gallery(coordinates, weights, cache, progress=interrupt)
    assert visible(cache) == []
    assert leftovers(cache) == []


def test_sources_that_change_during_the_build_are_noticed(coordinates, weights, cache):
    def replace(done, total):
        np.save(coordinates, np.roll(np.load(coordinates), 1, axis=0))

    with pytest.raises(MissingFileError, match="changed"):
        open_gallery(coordinates, weights, cache, progress=replace)
    assert visible(cache) == []


def test_a_bank_in_use_survives_its_replacement(coordinates, weights, cache):
    gallery, _ = opened(coordinates, weights, cache)
    before = gallery.embeddings.copy()
    (cache / gallery.fingerprint / "manifest.json").unlink()
    assert opened(coordinates, weights, cache)[1]
    np.testing.assert_array_equal(gallery.embeddings, before)


@pytest.mark.parametrize(
    "content",
    [
        np.zeros((3, 2), np.float32),
        np.zeros((3, 3)),
        np.zeros((0, 2)),
        np.zeros(2),
        np.array([[0, np.nan]]),
        np.array([[120.0, 30.0]]),
        np.array([[0.0, 180.5]]),
    ],
    ids=["float32", "three-columns", "empty", "flat", "nan", "swapped", "beyond-180"],
)
def test_wrong_coordinates_are_refused(tmp_path, weights, cache, content):
    path = tmp_path / "gallery.npy"
    np.save(path, content)
    with pytest.raises(MissingFileError, match="whyhere releases fetch") as caught:
        open_gallery(path, weights, cache)
    assert str(path) in str(caught.value)


def test_absent_and_foreign_files_are_refused(tmp_path, coordinates, weights, cache):
    for present in (b"", b"lat,lon\n1,2\n", None):
        path = tmp_path / "gallery.npy"
        path.unlink(missing_ok=True)
        if present is not None:
            path.write_bytes(present)
        with pytest.raises(MissingFileError, match=r"gallery\.npy"):
            open_gallery(path, weights, cache)
    np.save(path, np.zeros((1, 2)))
    with pytest.raises(MissingFileError, match=r"absent\.safetensors"):
        open_gallery(path, tmp_path / "absent.safetensors", cache)
    np.savez(tmp_path / "archive.npz", np.zeros((1, 2)))
    with pytest.raises(MissingFileError, match="archive"):
        open_gallery(tmp_path / "archive.npz", weights, cache)


def test_weights_that_give_no_direction_are_refused(tmp_path, coordinates, cache):
    from safetensors.numpy import save_file

    from whyhere.encoders import location_encoder_shapes

    path = tmp_path / "zero.safetensors"
    save_file({name: np.zeros(shape, np.float32) for name, shape in location_encoder_shapes().items()}, path)
    with pytest.raises(MissingFileError, match="no direction"):
        open_gallery(coordinates, path, cache)
    assert visible(cache) == []
