"""QEMU's user emulation with the counting plugin, and an arm64 system that holds the runtimes.

All of it stands in a cache folder: the plugin, compiled here; Debian's arm64 files, taken from their
packages and never started; the runtimes' aarch64 wheels; and the /sys and /proc that a program asks which
caches it has, so that counts are the same on every machine.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from latency_models.board.counted import COUNT
from latency_models.kit import PROGRAM

# onnxruntime 1.31.1 crashes on import under QEMU 7.2. Counts are of these versions.
WHEELS = {"numpy": "2.4.6", "ncnn": "1.0.20261020", "onnxruntime": "1.20.1"}
CPUS = {False: "cortex-a57", True: "cortex-a76"}  # by whether it computes in half precision
COUNTS = "counts.txt"
_SOURCE = Path(__file__).with_name("counter.c")
_PYTHON = "3.11"  # of Debian 12
_PLATFORMS = ("2_28", "2_27", "2_24", "2_17")
_TOOLS = {
    "qemu-aarch64": "qemu-user",
    "debootstrap": "debootstrap",
    "dpkg-deb": "dpkg",
    "cc": "gcc",
}
# (level, type, size) of each cache; the last is none, and hides that of this machine.
_CACHES = (("1", "Data", "32K"), ("1", "Instruction", "32K"), ("2", "Unified", "1024K"), ("9", "", "0K"))
_CORES = 4
_PROCESSOR = "processor\t: {}\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\nCPU part\t: 0xd07\n\n"


class EmulatorError(RuntimeError):
    """The emulator is not there, or failed; the message says what to do."""


def folder() -> Path:
    """Where the emulator's files are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rebirth-arm64"


@dataclass(frozen=True)
class Emulator:
    """The emulator in its cache folder."""

    home: Path

    @property
    def root(self) -> Path:
        return self.home / "root"

    @property
    def plugin(self) -> Path:
        """The plugin of today's source: another source is compiled anew."""
        return self.home / f"counter-{hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:12]}.so"

    @property
    def _packages(self) -> Path:
        return self.root / "usr/lib/python3/dist-packages"

    def missing(self) -> list[str]:
        """What has to be there and is not, each with what brings it."""
        tools = [
            f"{tool} (Debian's package {package})"
            for tool, package in _TOOLS.items()
            if not shutil.which(tool)
        ]
        return tools + [name for name, ready, _ in self._steps() if not ready]

    def set_up(self, told: Callable[[str], None]) -> None:
        """Make what is missing; what is there stays.

        Raises
        ------
        EmulatorError
            A tool is not installed, or a step failed.
        """
        without = [tool for tool in _TOOLS if not shutil.which(tool)]
        if without:
            packages = " ".join(_TOOLS[tool] for tool in without)
            raise EmulatorError(f"{', '.join(without)} not found; on Debian: apt-get install {packages}")
        self.home.mkdir(parents=True, exist_ok=True)
        for name, ready, make in self._steps():
            if not ready:
                told(f"{name} ...")
                make()

    def require(self) -> None:
        """Refuse to go on where something is missing.

        Raises
        ------
        EmulatorError
            It says what is missing.
        """
        if missing := self.missing():
            raise EmulatorError(
                f"the emulator is not set up; missing: {', '.join(missing)}. "
                "'profile --emulate --setup' makes what is missing"
            )

    def count(self, kit: Path, half: bool = False) -> None:
        """Run a kit and keep, beside its runs, what had been executed whenever they looked.

        Raises
        ------
        EmulatorError
            As ``python``.
        """
        self.python([PROGRAM, ".", COUNT], kit, half)

    def python(self, arguments: list[str], folder: Path, half: bool = False) -> None:
        """Run the emulated Python in a folder, where the counts of its readings are kept.

        Raises
        ------
        EmulatorError
            Something is missing, or the emulated program ended before its work was done.
        """
        self.require()
        program = self.root / "usr/bin/python3"
        plugin = ["-plugin", f"{self.plugin},counts={folder / COUNTS}"]
        emulated = ["qemu-aarch64", "-cpu", CPUS[half], *plugin, "-L", str(self.root)]
        settings = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": "", "LC_ALL": "C"}
        _run([*emulated, str(program), *arguments], folder, settings)

    def _steps(self) -> list[tuple[str, bool, Callable[[], None]]]:
        return [
            ("the counting plugin", self.plugin.exists(), self._compile),
            ("an arm64 system (100 MB)", (self.home / "unpacked").exists(), self._unpack_system),
            ("the runtimes for arm64 (40 MB)", self._wheels_stamp.exists(), self._unpack_wheels),
            ("the caches that it tells programs of", (self.root / "proc/cpuinfo").exists(), self._describe),
        ]

    @property
    def _wheels_stamp(self) -> Path:
        return self.home / "-".join(["wheels", *WHEELS.values()])

    def _compile(self) -> None:
        made = self.plugin.with_suffix(".tmp")
        _run(["cc", "-O2", "-shared", "-fPIC", str(_SOURCE), "-o", str(made)], self.home)
        made.replace(self.plugin)

    def _unpack_system(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        wanted = ["--arch=arm64", "--foreign", "--variant=minbase", "--include=python3,libgomp1"]
        _run(["debootstrap", *wanted, "bookworm", str(self.root)], self.home)
        for package in sorted((self.root / "var/cache/apt/archives").glob("*.deb")):
            _run(["dpkg-deb", "-x", str(package), str(self.root)], self.home)
        (self.home / "unpacked").touch()

    def _unpack_wheels(self) -> None:
        names = [f"{name}=={version}" for name, version in WHEELS.items()]
        places = [word for tag in _PLATFORMS for word in ("--platform", f"manylinux_{tag}_aarch64")]
        asked = ["--only-binary=:all:", "--no-deps", "--python-version", _PYTHON, *places]
        wheels = self.home / "wheels"
        _run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(wheels), *asked, *names],
            self.home,
        )
        for wheel in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(wheel) as packed:
                packed.extractall(self._packages)
        self._wheels_stamp.touch()

    def _describe(self) -> None:
        """Four cores with the caches of a Cortex-A72: runtimes choose their tiles by them."""
        cores = self.root / "sys/devices/system/cpu"
        for core in range(_CORES):
            for number, cache in enumerate(_CACHES):
                place = cores / f"cpu{core}/cache/index{number}"
                place.mkdir(parents=True, exist_ok=True)
                for name, text in zip(("level", "type", "size"), cache, strict=True):
                    (place / name).write_text(f"{text}\n")
                (place / "shared_cpu_map").write_text("f\n")
            (cores / f"cpu{core}/topology").mkdir(exist_ok=True)
            (cores / f"cpu{core}/topology/thread_siblings_list").write_text(f"{core}\n")
        (cores / "possible").write_text(f"0-{_CORES - 1}\n")
        (self.root / "proc").mkdir(exist_ok=True)
        (self.root / "proc/cpuinfo").write_text("".join(map(_PROCESSOR.format, range(_CORES))))


def _run(command: list[str], where: Path, settings: dict[str, str] | None = None) -> None:
    environment = os.environ | (settings or {})
    done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise EmulatorError(f"{command[0]} failed with code {done.returncode}: {last}")
