#!/usr/bin/env bash
# Kits on an emulated Cortex-A57: shows that they work there, not how fast (ten minutes; Debian, once as root to install).
# Usage: [PYTHON=.venv/bin/python] bash benchmarks/emulated_board.sh [FOLDER]   (FOLDER keeps the arm64 files)
set -euo pipefail
cd "$(dirname "$0")/.."
root="${1:-/tmp/arm64}"
python="${PYTHON:-.venv/bin/python}"
command -v qemu-aarch64-static debootstrap >/dev/null || apt-get install -y -qq qemu-user-static debootstrap
if [ ! -e "$root/ready" ]; then
    debootstrap --arch=arm64 --foreign --variant=minbase --include=python3,libgomp1 bookworm "$root" >/dev/null
    for package in "$root"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$package" "$root"; done
    # onnxruntime 1.31.1 crashes on import under this emulator; 1.20.1 runs.
    "$python" -m pip download --quiet --only-binary=:all: --no-deps --dest "$root/wheels" --python-version 3.11 \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_24_aarch64 \
        --platform manylinux2014_aarch64 --platform manylinux_2_17_aarch64 numpy onnxruntime==1.20.1 ncnn
    for wheel in "$root"/wheels/*.whl; do
        "$python" -m zipfile -e "$wheel" "$root/usr/lib/python3/dist-packages/"
    done
    touch "$root/ready"
fi
board() { (cd "$1" && qemu-aarch64-static -cpu cortex-a57 -L "$root" "$root/usr/bin/python3" board.pyz . | tail -1); }
for runtime in onnxruntime ncnn; do
    home=$(mktemp -d)
    profile=("$python" cli.py profile --model squeezenet1_1 --input-size 64 --target board --runtime "$runtime" --home "$home")
    "${profile[@]}" --kit "$home/kit"
    board "$home/kit"
    "${profile[@]}" --import "$home/kit/results.jsonl"
done
