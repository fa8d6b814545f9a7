"""Counting a network's kernels under the emulator, for emulated targets."""

from pathlib import Path

from latency_models.emulation import counts, emulator
from latency_models.emulation.counting import count
from latency_models.emulation.work import in_half
from merges.network import Network
from search.scoring.device import Device
from search.scoring.latency import Latencies
from training.progress import Note, Watch


def set_up(note: Note) -> None:
    """Make the emulator, as far as it is missing.

    Raises
    ------
    EmulatorError
        A tool is not installed, or a step failed.
    """
    place = emulator.Emulator(emulator.folder())
    place.set_up(note)
    note(f"the emulator is ready in {place.home}")


def count_reachable(
    network: Network, device: Device, home: Path, watch: Watch, by_layer: bool
) -> tuple[int, dict[str, str]]:
    """Count the kernels that a network and its plans (not `by_layer`) need and that were not counted yet.

    Returns how many were counted, and those that cannot be, by name with the reason. Counts are kept under
    `home` after every forty or so.

    Raises
    ------
    EmulatorError
        The emulator is not there, or failed.
    """
    spec = device.spec
    half = in_half(spec.runtime, spec.core)
    path = counts.kept(home, spec.runtime, half)
    own = counts.load(path)
    place, latencies = emulator.Emulator(emulator.folder()), Latencies(network, device)
    kernels = [layer.kernel for layer in latencies.layers({})] if by_layer else latencies.reachable(watch)
    waiting = [kernel for kernel in dict.fromkeys(kernels) if kernel not in device.predictor.known]

    def keep(found: counts.Counts) -> None:
        own.update(found)
        counts.save(own, path)

    if waiting:
        place.require()
    failed = count(place, device.runtime, waiting, half, keep, watch(f"counting for {spec.name}"))
    return len(waiting) - len(failed), failed
