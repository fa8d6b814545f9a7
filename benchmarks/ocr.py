"""A text recogniser made faster: PP-OCRv4's detector and direction classifier in RapidOCR (half an hour).

pip install rapidocr-onnxruntime; python benchmarks/ocr.py FOLDER [--target host] [--pages 200]

Draws pages (no labels are used), searches, trains and exports both networks with the commands of the docs,
puts the files back into RapidOCR, and compares character errors and times on pages that nothing has learned
on.
Needs Noto's CJK fonts (fonts-noto-cjk). What stands in FOLDER already is not made again.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import ocr_pages  # noqa: E402

PAGES, STRIPS, PAGE, EVAL_PAGE = 400, 800, 256, 736
UNSEEN = 10_000_000  # seeds of the pages that are compared on


def draw(folder: Path) -> None:
    """Pages for the detector, and lines for the classifier, half of them upside down."""
    pages, strips = folder / "pages", folder / "strips"
    pages.mkdir(parents=True, exist_ok=True)
    for number in range(PAGES):
        if not (pages / f"{number}.png").exists():
            ocr_pages.page(number, PAGE)[0].save(pages / f"{number}.png")
    for number in range(STRIPS):
        side = ("0", "180")[number % 2]
        (strips / side).mkdir(parents=True, exist_ok=True)
        if not (strips / side / f"{number}.png").exists():
            picture = ocr_pages.strip(number)
            upside = picture.rotate(180) if side == "180" else picture
            upside.save(strips / side / f"{number}.png")


def program(*words: object) -> None:
    """Run a command of the program, and show it."""
    print("$ python cli.py", *words, flush=True)
    subprocess.run([sys.executable, str(ROOT / "cli.py"), *map(str, words)], cwd=ROOT, check=True)


def make(folder: Path, name: str, model: Path, data: str, size: str, target: str, more: list[str]) -> Path:
    """Search, select the plan at the knee, train and export; the merged file."""
    out, home = folder / f"{name}.onnx", ("--home", folder / "studies")
    if out.exists():
        return out
    images = ("--data", data, "--input-size", size, "--preprocess", "symmetric-bgr")
    study = ("--study", f"{name}-{target}")
    program("search", "--model", model, *images, "--target", target, *study, *more, *home)
    plan = folder / f"{name}.json"
    program("plan", *study, *SELECT[name], "--out", plan, *home)
    run = folder / f"run-{name}"
    program("train", "--plan", plan, *TRAIN[name], "--no-augment", "--out", run, *home)
    program("export", "--run", run, "--out", out, "--original", folder / f"{name}-original.onnx", *home)
    return out


SELECT = {"det": ("--speedup", "1.3"), "cls": ("--speedup", "1.6")}
TRAIN = {
    "det": ("--epochs", "12", "--relearn-steps", "200"),
    "cls": ("--epochs", "20", "--relearn-steps", "300"),
}


def distance(first: str, second: str) -> int:
    """Levenshtein's."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first):
        last, row[0] = row[0], i + 1
        for j, b in enumerate(second):
            last, row[j + 1] = row[j + 1], min(row[j] + 1, row[j + 1] + 1, last + (a != b))
    return row[-1]


def read(engine: Any, count: int) -> tuple[float, float, list[float]]:
    """Character error (percent), seconds a page, and of that in detector, classifier and recogniser."""
    wrong, characters, seconds, parts = 0, 0, list[float](), list[list[float]]()
    for number in range(count):
        picture, lines = ocr_pages.page(UNSEEN + number, EVAL_PAGE)
        image = np.asarray(picture)[:, :, ::-1].copy()
        begin = time.perf_counter()
        found, elapsed = engine(image)
        seconds.append(time.perf_counter() - begin)
        parts.append(elapsed or [0.0, 0.0, 0.0])
        boxes = sorted(found or [], key=lambda one: min(point[1] for point in one[0]))
        text = "".join(one[1] for one in boxes).replace(" ", "")
        wanted = "".join(lines).replace(" ", "")
        wrong += distance(text.lower(), wanted.lower())
        characters += len(wanted)
    split = [statistics.median(part) for part in zip(*parts, strict=True)]
    return 100 * wrong / characters, statistics.median(seconds), split


def directions(model: Path, count: int) -> float:
    """The share of unseen lines whose direction a classifier tells (percent)."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    name, right = session.get_inputs()[0].name, 0
    for number in range(count):
        picture = ocr_pages.strip(UNSEEN + number)
        upside = number % 2
        shown = picture.rotate(180) if upside else picture
        values = (np.asarray(shown)[:, :, ::-1].transpose(2, 0, 1)[None] / 255.0 - 0.5) / 0.5
        right += int(session.run(None, {name: values.astype(np.float32)})[0].argmax()) == upside
    return 100 * right / count


def main() -> None:
    """Draw, make both networks faster, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--target", default="host")
    parser.add_argument("--pages", type=int, default=200)
    given = parser.parse_args()
    import rapidocr_onnxruntime
    from rapidocr_onnxruntime import RapidOCR

    folder = given.folder.absolute()
    draw(folder)
    models = Path(rapidocr_onnxruntime.__file__).parent / "models"
    det, cls = models / "ch_PP-OCRv4_det_infer.onnx", models / "ch_ppocr_mobile_v2.0_cls_infer.onnx"
    quick = ["--bank-images", "64", "--proxy-steps", "2"]
    made_cls = make(
        folder,
        "cls",
        cls,
        f"imagefolder:{folder / 'strips'}",
        "48x192",
        given.target,
        ["--budget", "24", *quick],
    )
    made_det = make(
        folder,
        "det",
        det,
        f"imagefolder:{folder / 'pages'}",
        str(PAGE),
        given.target,
        ["--budget", "16", *quick],
    )
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    one = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
    table = Table(title=f"{given.pages} unseen pages of {EVAL_PAGE} pixels, one thread")
    for heading in ("networks", "character error %", "direction %", "ms a page", "detector", "classifier"):
        table.add_column(heading, justify="left" if heading == "networks" else "right")
    for what, paths in (("original", (det, cls)), ("merged", (made_det, made_cls))):
        engine = RapidOCR(det_model_path=str(paths[0]), cls_model_path=str(paths[1]), **one)
        error, seconds, split = read(engine, given.pages)
        cells = (error, directions(paths[1], 5 * given.pages), 1000 * seconds, *(1000 * s for s in split[:2]))
        table.add_row(what, *(f"{cell:.2f}" for cell in cells))
    Console(width=140).print(table)
    for size in (str(PAGE), str(EVAL_PAGE)):
        program("bench", det, folder / "det-original.onnx", made_det, "--input-size", size)
    program("bench", cls, folder / "cls-original.onnx", made_cls, "--input-size", "48x192")


if __name__ == "__main__":
    main()
