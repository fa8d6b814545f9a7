"""The state of the machine that measures."""

from __future__ import annotations

import os
import platform
import time
from typing import Any


def machine(runtime: str, version: str) -> dict[str, Any]:
    """What decides the times besides the kernels: recorded with them."""
    cpu = "/sys/devices/system/cpu/cpu0/cpufreq/"
    heat = _line("/sys/class/thermal/thermal_zone0/temp")
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "runtime": "%s %s" % (runtime, version),
        "governor": _line(cpu + "scaling_governor") or "not readable",
        "khz": _line(cpu + "scaling_cur_freq") or "not readable",
        "celsius": float(heat) / 1000 if heat else "not readable",
        "load": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d"),
    }


def _cpu_name() -> str:
    for text in (_line("/proc/cpuinfo", "model name"), _line("/proc/device-tree/model")):
        if text:
            return text.strip("\0")
    return platform.processor() or platform.machine()


def _line(path: str, key: str = "") -> str:
    """The first line of a file that starts with a key (its value), or an empty text."""
    try:
        with open(path) as file:
            found = next((text for text in file if text.startswith(key)), "")
    except OSError:
        return ""
    return found.split(":", 1)[-1].strip() if key else found.strip()
