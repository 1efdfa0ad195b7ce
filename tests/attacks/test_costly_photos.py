"""Photos that would take all time or memory: a message, and never much of either."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attacks import attack_photos as attack
from whyhere.errors import PhotoError
from whyhere.images import Room, open_photo, prepared_ahead

HERE = Path(__file__).parent.parent


def reason(source, **options) -> str:
    with pytest.raises(PhotoError) as caught:
        open_photo(source, **options)
    return caught.value.reason


# ---- time


def test_a_jpeg_of_very_many_scans_ends_and_names_the_option():
    said = reason(attack.jpeg_of_many_scans(3000, size=(2000, 2000)), decode_seconds=0.3)
    assert "0.3 seconds" in said
    assert "--decode-seconds" in said


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: attack.jpeg_of_fill_bytes(30_000_000), "padding"),
        (lambda: attack.jpeg_of_empty_markers(8_000_000), "segments"),
        (lambda: attack.jpeg_of_many_exif_segments(60), "refers to itself"),
        (lambda: attack.self_referring_tags(3_000_000, tags=60_000), "refers to itself"),
    ],
    ids=["fill bytes", "empty markers", "EXIF segments", "tags"],
)
def test_headers_without_end_are_refused_before_they_are_read(make, said):
    assert said in reason(make())


@pytest.mark.parametrize(
    "make",
    [lambda: attack.png_of_many_chunks(300_000), lambda: attack.gif_of_many_comments(2_000_000)],
    ids=["PNG chunks", "GIF comments"],
)
def test_containers_of_nothing_but_containers_end(make):
    assert "--decode-seconds" in reason(make(), decode_seconds=0.2)


def test_a_tiff_whose_strips_are_all_the_same_bytes_is_refused():
    data = attack.tiff(2000, 2000, values=np.random.default_rng(0).random((40, 2000)), strips=50)
    assert "parts claim" in reason(data)


def test_sound_photos_with_a_little_of_each_are_read():
    for data in (
        attack.jpeg_of_many_scans(20, size=(64, 64)),
        attack.jpeg_of_fill_bytes(1000),
        attack.jpeg_of_empty_markers(200),
        attack.png_of_many_chunks(50),
        attack.gif_of_many_comments(50),
    ):
        assert min(open_photo(data).image.size) >= 8


# ---- memory


def test_the_memory_of_a_photo_is_judged_by_its_mode_before_it_is_decoded():
    said = reason(attack.blank_png(8000, 8000, colour=6), decode_memory_mb=500)
    for part in ("8000 x 8000 pixels (RGBA)", "500 MB", "--decode-memory-mb"):
        assert part in said
    assert open_photo(attack.blank_png(8000, 8000, colour=0), decode_memory_mb=500).image.size == (8000, 8000)


PEAK = """
    import resource, sys
    sys.path.insert(0, sys.argv[1])
    from attacks import attack_photos as attack
    from whyhere.errors import PhotoError
    from whyhere.images import open_photo, prepared_ahead
    photos = {photos}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    read = lambda photo, room: open_photo(photo, room=room).image.size
    for found in prepared_ahead(photos, read):
        print(getattr(found, "reason", found))
    print("peak", (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def peak_mb(photos: str) -> tuple[int, list[str]]:
    code = textwrap.dedent(PEAK).replace("{photos}", photos)
    done = subprocess.run([sys.executable, "-c", code, str(HERE)], capture_output=True, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    return int(last.split()[1]), lines


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_two_large_photos_never_take_more_than_one_may():
    # Decoded at once, and with colours computed as a whole, they took 13 GB.
    peak, lines = peak_mb("[attack.float_tiff(7000)] * 2")
    assert lines == ["(7000, 7000)"] * 2
    assert peak < 1000


def test_photos_that_do_not_fit_together_wait_for_each_other():
    at_once, most = [], []

    def prepare(photo, room):
        read = open_photo(photo, room=room, decode_memory_mb=100)
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.02)
        at_once.pop()
        return read.image.size

    small = [attack.blank_png(20, 20)] * 4
    large = [attack.blank_png(2200, 2200)] * 4  # 79 MB each
    assert list(prepared_ahead(large, prepare)) == [(2200, 2200)] * 4
    assert max(most) == 1
    assert list(prepared_ahead(small, prepare)) == [(20, 20)] * 4


def test_memory_is_given_back_by_photos_that_fail():
    for _ in range(3):
        with pytest.raises(PhotoError):
            open_photo(attack.blank_png(2200, 2200)[:-60], decode_memory_mb=100)
    assert open_photo(attack.blank_png(2200, 2200), decode_memory_mb=100).image.size == (2200, 2200)


# ---- endings


def test_a_photo_that_nobody_wants_any_more_is_not_decoded_to_its_end():
    ended = threading.Event()
    threading.Timer(0.2, ended.set).start()
    with Room(ended) as room:
        said = reason(attack.jpeg_of_many_scans(3000), room=room, decode_seconds=60)
    assert "no longer wanted" in said


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_does_not_wait_for_decoders(tmp_path):
    code = """
        import sys
        sys.path.insert(0, sys.argv[1])
        from attacks import attack_photos as attack
        from whyhere.images import open_photo, prepared_ahead
        photo = attack.jpeg_of_many_scans(3000)
        print("ready", flush=True)
        read = lambda photo, room: open_photo(photo, room=room, decode_seconds=600)
        for one in prepared_ahead([photo] * 4, read):
            pass
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(HERE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"ready\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)  # it would go on for minutes
    assert process.returncode


# ---- odd numbers


def test_signalling_nans_are_missing_values():
    photo = np.asarray(open_photo(attack.tiff_of_signalling_nans()).image)
    assert (photo[::3, ::3] == 0).all()
    assert photo[-2, -2, 0] > 200


def test_colours_computed_in_strips_are_those_of_the_whole(monkeypatch):
    rng = np.random.default_rng(0)
    images = [
        Image.fromarray(rng.random((40, 30), np.float32) * 9 - 3),
        Image.fromarray(rng.integers(0, 65536, (40, 30)).astype(np.uint16)),
        Image.fromarray(rng.integers(-9, 70000, (40, 30)).astype(np.int32)),
        Image.fromarray(rng.integers(0, 256, (40, 30, 4), dtype=np.uint8)),
    ]
    whole = [open_photo(image).image.tobytes() for image in images]
    monkeypatch.setattr("whyhere.images._decode._STRIP_PIXELS", 70)
    assert [open_photo(image).image.tobytes() for image in images] == whole


# ---- files that are none


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names")
def test_a_pipe_with_a_name_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    assert "pipe" in reason(tmp_path / "pipe.jpg")


def test_addresses_have_their_hint_however_they_are_written():
    assert "download it first" in reason("https://example.org/a.jpg")
    assert "download it first" in reason(Path("https://example.org/a.jpg"))


def test_bytes_and_file_objects_are_read_alike():
    data = attack.blank_png(30, 20)
    assert open_photo(io.BytesIO(data)).image.tobytes() == open_photo(data).image.tobytes()
