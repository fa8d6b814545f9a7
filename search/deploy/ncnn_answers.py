"""A program: ncnn's answers to images, in a process of its own, since ncnn crashes on what it cannot run.

Arguments: the ``.param`` file, the input's name, a ``.npy`` file of images (n, channels, height, width), the
``.npz`` file to write, and the names of the outputs. Exit code 3: the files cannot be read.
"""

import sys

import numpy as np

UNREADABLE = 3


def main() -> None:
    import ncnn

    param, entry, images, out, *outputs = sys.argv[1:]
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(network.opt, half, False)
    if network.load_param(param) != 0 or network.load_model(f"{param.removesuffix('.param')}.bin") != 0:
        sys.exit(UNREADABLE)
    found: list[list[np.ndarray]] = [[] for _ in outputs]
    for image in np.load(images):
        extractor = network.create_extractor()
        extractor.input(entry, ncnn.Mat(image).clone())
        for name, answers in zip(outputs, found, strict=True):
            answers.append(np.array(extractor.extract(name)[1]))
    np.savez(out, *map(np.stack, found))


if __name__ == "__main__":
    main()
