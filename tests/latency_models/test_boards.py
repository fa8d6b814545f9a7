"""Kits on other machines: over real SSH to this one, through a stand-in for adb, and by hand."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from latency_models import bench, board, kit, remote, runtime
from latency_models.kernel import Kernel
from latency_models.onnx_model import one_kernel_model
from latency_models.remote import Board, adb, heard, ssh
from latency_models.remote.adb import Adb
from latency_models.remote.heard import AddressError, BoardError, ConnectionLostError
from latency_models.remote.ssh import Ssh
from latency_models.runtimes.onnxruntime import RUNTIME as ONNXRUNTIME
from latency_models.target import Target
from merges.network import analyse
from search.scoring.alone import all_together
from tests import networks

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
BOARD = Target("b", "d", "onnxruntime", 1, "fp32", "measured", "s", remote=True)
KERNELS = [
    Kernel("conv", (16, 12, 12), (16, 12, 12), (3, 3), (1, 1), (1, 1), activation="relu"),
    Kernel("maxpool", (16, 12, 12), (16, 6, 6), (2, 2), (2, 2)),
    Kernel("linear", (32, 1, 1), (10, 1, 1)),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kit.write(tmp_path / "kit", BOARD, ONNXRUNTIME, KERNELS)
    return tmp_path / "kit"


def make_program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own on both sides, with this test's Python as the board's python3."""
    place = tmp_path / "home"
    (place / ".ssh").mkdir(parents=True, mode=0o700)
    (place / "bin").mkdir()
    make_program(place / "bin" / "python3", f'exec {sys.executable} "$@"')
    monkeypatch.setenv("HOME", str(place))
    return place


def make_key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text().strip()


@pytest.fixture
def server(home: Path, tmp_path: Path) -> Iterator[Ssh]:
    """A real SSH server on loopback, which is known and lets this home's key in."""
    if not Path(SSHD).exists():
        pytest.skip("there is no sshd on this machine (Debian: openssh-server)")
    host_key = make_key(tmp_path / "host")
    # Every command sees this home's python3 first, whatever the login shell's own files say.
    wrapper = f'command="export PATH={home}/bin:/usr/bin:/bin; eval \\"$SSH_ORIGINAL_COMMAND\\""'
    (home / ".ssh" / "authorized_keys").write_text(f"{wrapper} {make_key(home / '.ssh' / 'id_ed25519')}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n")
    options = [
        f"HostKey={tmp_path / 'host'}",
        f"AuthorizedKeysFile={home}/.ssh/authorized_keys",
        *(
            "StrictModes=no",
            "UsePAM=no",
            f"PidFile={tmp_path}/pid",
            f"Port={port}",
            "ListenAddress=127.0.0.1",
        ),
    ]
    Path("/run/sshd").mkdir(exist_ok=True)
    words = [word for option in options for word in ("-o", option)]
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", "/dev/null", *words], stderr=subprocess.DEVNULL)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield Ssh(f"{os.environ.get('USER', 'root')}@127.0.0.1:{port}", root=str(home))
    process.terminate()
    process.wait()


def measured(folder: Path) -> set[Kernel]:
    return {row.kernel for row in kit.load(folder / board.RESULTS).rows}


def test_a_board_behind_ssh_measures_a_kit(server: Ssh, folder: Path) -> None:
    seen: list[tuple[int, int]] = []
    remote.measure_on(server, folder, lambda done, total: seen.append((done, total)))
    assert measured(folder) == set(KERNELS)
    assert seen[-1] == (len(KERNELS), len(KERNELS))
    assert kit.load(folder / board.RESULTS).block in (0, 8, 16)


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    """Two finished models, the second with a tenth of the work; export's note beside the first."""
    paths = []
    for name, maps in (("large", 320), ("small", 32)):
        kernel = Kernel("conv", (64, 32, 32), (maps, 32, 32), (3, 3), (1, 1), (1, 1))
        paths.append(tmp_path / f"{name}.onnx")
        paths[-1].write_bytes(one_kernel_model(kernel).SerializeToString())
    about = {"input_shape": [64, 32, 32], "predicted_ms": {"onnxruntime": {"host": 3.5}, "ncnn": {"x": 1}}}
    (tmp_path / "large.json").write_text(json.dumps(about))
    return paths


def _check_timings(results: Path, models: list[Path]) -> None:
    machine, timings = bench.read(results)
    assert "onnxruntime" in machine
    assert [t.model for t in timings] == 2 * [str(model) for model in models]
    assert timings[0].threads == 1
    for t in timings:
        assert t.low <= t.ratio <= t.high
        assert t.median_ms > 0
        assert t.peak_bytes > 0
    assert timings[0].ratio == 1


def test_finished_models_are_timed_here_over_ssh_and_by_a_kit(
    server: Ssh, models: list[Path], tmp_path: Path
) -> None:
    for name, place in (("here", None), ("there", server)):
        folder = tmp_path / name
        bench.write(folder, models, rounds=5)
        seen: list[tuple[int, int]] = []
        remote.measure_on(place or bench.Here(folder), folder, lambda *done, seen=seen: seen.append(done))  # type: ignore[misc]
        assert seen[-1] == (12, 12), "two numbers of threads, five rounds each, and two peaks"
        _check_timings(folder / board.RESULTS, models)
    bench.write(tmp_path / "kit", models, rounds=5)
    subprocess.run([sys.executable, "-I", kit.PROGRAM, "."], cwd=tmp_path / "kit", check=True)
    _check_timings(tmp_path / "kit" / board.RESULTS, models)
    assert bench.predicted_ms(models[0]) == {"host": 3.5}
    assert bench.predicted_ms(models[1]) == {}


MACHINE = '{"machine": {"cpu": "c", "runtime": "r", "load": 0}}'


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("", "StopIteration"),
        (MACHINE + '\n{"threads": 1, "samples_us": {"a": [1, -2]}}', "times"),
        (MACHINE + '\n{"threads": 1, "samples_us": {}}', ""),
    ],
)
def test_other_files_are_no_timings(lines: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text(lines)
    with pytest.raises(kit.AnswerError, match=f"holds no timings.*{reason}"):
        bench.read(tmp_path / "r.jsonl")


def test_what_is_no_model_is_named(models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "a.param").write_text("7767517\n1 1\nInput in0 0 1 in0\n")
    (tmp_path / "b.param").write_text("other")
    for files, words in (
        ([models[0], tmp_path / "a.param"], "one runtime"),
        ([tmp_path / "a.pt"], "no model"),
        ([tmp_path / "none.onnx"], "does not exist"),
        ([tmp_path / "a.param"], "input_size"),
        ([tmp_path / "b.param"], "not one of ncnn's"),
    ):
        with pytest.raises(bench.ModelError, match=words):
            bench.write(tmp_path / "k", files)


def test_a_lost_connection_goes_on_where_it_broke(
    server: Ssh, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "_WAIT_S", 0.1)
    attempts: list[str] = []
    real = server.run

    def broken(name: str, line):  # type: ignore[no-untyped-def]
        attempts.append(name)
        if len(attempts) == 1:
            done = real(name, line)
            results = home / name / board.RESULTS
            results.write_text("\n".join(results.read_text().splitlines()[:2]) + "\n")
            assert done[0] == 0
            raise ConnectionLostError("unplugged")
        return real(name, line)

    monkeypatch.setattr(server, "run", broken)
    remote.measure_on(server, folder, lambda done, total: None)
    assert (len(attempts), measured(folder)) == (2, set(KERNELS))
    lines = (folder / board.RESULTS).read_text().splitlines()
    assert sum("machine" in json.loads(line) for line in lines) == 2


def test_unknown_hosts_and_wrong_addresses_are_refused(server: Ssh, folder: Path, home: Path) -> None:
    (home / ".ssh" / "known_hosts").write_text("")
    with pytest.raises(BoardError, match="not a known host"):
        remote.measure_on(server, folder, lambda done, total: None)
    with pytest.raises(AddressError, match="no SSH address"):
        Ssh("a b; rm -rf")


def test_a_board_without_the_runtime_says_so(server: Ssh, folder: Path, home: Path) -> None:
    make_program(home / "bin" / "python3", f'exec {sys.executable} -S -I "$@"')
    with pytest.raises(BoardError, match=r"lacks a package.*install it with pip"):
        remote.measure_on(server, folder, lambda done, total: None)


ADB = """# A stand-in for adb: the "device" is a folder.
shift 2
case "$1" in
  push) cp "$2" "$DEVICE/${3##*/}" ;;
  exec-out | shell) cd "$DEVICE" && sh -c "$(echo "$2" | sed "s#/data/local/tmp#$DEVICE#g")" ;;
esac
"""


def test_an_android_device_measures_a_kit(
    home: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "device").mkdir()
    make_program(home / "bin" / "adb", ADB)
    monkeypatch.setenv("DEVICE", str(tmp_path / "device"))
    monkeypatch.setenv("PATH", f"{home}/bin:{os.environ['PATH']}")
    remote.measure_on(Adb("emulator-5554"), folder, lambda done, total: None)
    assert measured(folder) == set(KERNELS)


def test_without_adb_the_answer_is_clear(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BoardError, match="adb is not installed"):
        remote.measure_on(Adb("x"), folder, lambda done, total: None)


@pytest.fixture(params=["ssh", "adb"])
def place(request: pytest.FixtureRequest, home: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """A board whose python3 a test replaces."""
    for module in (heard, ssh, adb):
        monkeypatch.setattr(module, "SILENCE_S", 2)
    if request.param == "ssh":
        return cast(Board, request.getfixturevalue("server"))
    make_program(home / "bin" / "adb", ADB)
    (home / "device").mkdir()
    monkeypatch.setenv("DEVICE", str(home / "device"))
    monkeypatch.setenv("PATH", f"{home}/bin:{os.environ['PATH']}")
    return Adb("emulator-5554")


BYTES = r"printf '\377\376 caf\351 \033[31mred\007' >&2; exit 1"  # no UTF-8, and orders to a terminal


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("head -c 3000000 /dev/zero | tr '\\0' x >&2; exit 9", r"ended with code 9: x+$"),
        ("head -c 3000000 /dev/zero | tr '\\0' x; sleep 60", "a line without end"),
        ("yes line; sleep 60", "sends more than"),
        ("sleep 60", "has said nothing for 2 s"),
        (BYTES, "code 1: \ufffd\ufffd caf\ufffd \\[31mred$"),
        ("echo 1 of 1; ln -sf /etc/hostname results.jsonl", ""),
    ],
)
def test_a_board_that_misbehaves_is_named_in_time(
    place: Board, program: str, said: str, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heard, "_MOST_BYTES", 4_000_000)
    make_program(home / "bin" / "python3", program)
    before = set(folder.iterdir())
    if said:
        with pytest.raises(BoardError, match=said):
            remote.measure_on(place, folder, lambda done, total: None)
    else:
        remote.measure_on(place, folder, lambda done, total: None)
        with pytest.raises(kit.AnswerError, match="is no answer of a kit"):
            kit.load(folder / board.RESULTS)
        assert not (folder / board.RESULTS).is_symlink()
    assert set(folder.iterdir()) - before <= {folder / board.RESULTS}


@pytest.mark.parametrize("name", runtime.measurable())
def test_a_kit_runs_from_its_own_folder_alone(name: str, tmp_path: Path) -> None:
    """As on a board by hand: nothing of this project can be imported there."""
    network = all_together(analyse("n", networks.fire(), (3, 16, 16)))
    kit.write(tmp_path, replace(BOARD, runtime=name), runtime.named(name), KERNELS, network=network)
    words = [sys.executable, "-I", kit.PROGRAM, "."]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    total = len(KERNELS) + 1
    assert done.stdout.splitlines()[-1] == f"{total} of {total}"
    assert measured(tmp_path) == {*KERNELS, network}


def test_a_network_that_cannot_be_written_leaves_its_kernels(tmp_path: Path) -> None:
    def refused() -> bytes:
        raise ValueError("no such operation")

    network = Kernel("network", (3, 16, 16), (3, 16, 16), details="n", model=refused)
    kit.write(tmp_path, BOARD, ONNXRUNTIME, KERNELS, network=network)
    subprocess.run([sys.executable, "-I", kit.PROGRAM, "."], cwd=tmp_path, check=True)
    assert measured(tmp_path) == set(KERNELS)
    assert kit.load(tmp_path / board.RESULTS).failed == {network.key: "no such operation"}


def test_other_files_are_no_answers(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text('{"id": "1", "median_us": 3}\n')
    with pytest.raises(kit.AnswerError, match=r"results\.jsonl is no answer of a kit"):
        kit.load(tmp_path / "results.jsonl")
