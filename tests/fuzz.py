"""Mutated arguments and files, and what the program must never do with them."""

import copy
import json
import math
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from latency_models import target
from latency_models.table import LatencyTable
from tests import networks
from tests.program import answer, search

MODEL = "tests.networks:with_batch_norm"
SHAPE = ("--model", MODEL, "--input-size", "24")
ODD: tuple[Any, ...] = (
    *(None, True, "", "0", -3, 0, 2**70, 1e400, float("nan"), 0.5, [], {}, [1, 2], {"a": []}),
    *("[/bold]", "a?b#c", "../../x", "\x1b[31mred", "%s {0} $x", "'; drop table", "naïve 🙂", "x" * 3000),
    *("<!--<script>", "=1+1", "-1", "nan", "1e999", "tests.networks:nothing", "sqlite://", "\ud800"),
)
WORDS = tuple(str(word).encode("utf-8", "ignore").decode() for word in ODD)


@dataclass(frozen=True)
class Case:
    """One call of the program; `home` is its folder, which nothing half-written may stay in."""

    kind: str
    arguments: tuple[str, ...]
    home: Path


class Cases:
    """Makes cases from a whole study, plan, kit, table, network and weights."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.whole = folder / "whole"
        self.whole.mkdir()
        search(self.whole, 2, "--bank-steps", "1", "--relearn-steps", "0", "--proxy-steps", "1")
        self.plan: dict[str, Any] = answer("plan", "--preset", "exact", *SHAPE, home=self.whole)
        self.plan["setup"] = {"model": MODEL, "data": "digits", "input_size": 24}
        self.kernels = LatencyTable.load(target.TABLES / "arm-a57.csv").frame().head(5)
        torch.manual_seed(0)
        self.weights = networks.with_batch_norm().state_dict()
        self.onnx = _small_network()

    def made(self, number: int) -> Case:
        """The case of that number: always the same."""
        dice = random.Random(number)
        home = self.folder / f"case-{number}"
        home.mkdir()
        kinds: dict[str, Callable[[random.Random, Path], tuple[str, ...]]] = {
            "arguments": self._arguments,
            "plan": self._plan,
            "results": self._results,
            "table": self._table,
            "target": self._target,
            "onnx": self._onnx,
            "weights": self._weights,
            "database": self._database,
        }
        kind = list(kinds)[number % len(kinds)]
        words = kinds[kind](dice, home)
        return Case(kind, tuple(word.encode("utf-8", "ignore").decode() for word in words), home)

    def _arguments(self, dice: random.Random, home: Path) -> tuple[str, ...]:
        base = dice.choice(
            (
                ("front", "--study", "s", "--csv", "f.csv"),
                ("plan", "--study", "s", "--trial", "1"),
                ("plan", "--preset", "exact", *SHAPE, "--target", "arm-a57"),
                ("sites", *SHAPE, "--only", "*", "--target", "arm-a57"),
                ("targets", "diff", "arm-a57", "host"),
                ("profile", *SHAPE, "--by-layer", "--target", "arm-a57"),
                ("search", *SHAPE, "--sampler", "auto", "--storage", "x", "--max-latency", "1ms"),
                ("train", "--plan", "p.json", "--out", "run", "--epochs", "0"),
                ("export", "--run", "run", "--out", "m.onnx"),
            )
        )
        words = list(base)
        place = dice.randrange(1, len(words))
        words[place] = dice.choice(WORDS)
        if dice.random() < 0.3:
            words.insert(place, dice.choice(("--json", "--home", "--classes", "--seed", *WORDS)))
        return (*words, "--home", str(home)) if dice.random() < 0.7 else tuple(words)

    def _plan(self, dice: random.Random, home: Path) -> tuple[str, ...]:
        path = home / "plan.json"
        path.write_bytes(_text(dice, self.plan))
        out = str(home / "out")
        return dice.choice(
            (
                ("plan", "show", str(path), "--svg", f"{out}.svg", "--trust"),
                ("plan", "merge", str(path), str(path), "--out", f"{out}.json", "--trust"),
                ("export", "--plan", str(path), "--out", f"{out}.onnx", "--trust", "--data", "none"),
            )
        )

    def _results(self, dice: random.Random, home: Path) -> tuple[str, ...]:
        machine = {"cpu": "c", "governor": "g", "load": 0.1, "celsius": 40.0, "date": "d", "runtime": "r"}
        lines: list[Any] = [{"machine": machine, "target": "b", "runtime": "onnxruntime", "threads": 1}]
        for row in self.kernels.to_dict("records"):
            kernel = {name: row[name] for name in row if name not in ("median_us", "spread_us", "repeats")}
            lines.append({"id": "1", "kernel": kernel, "median_us": 3.0, "spread_us": 0.1, "repeats": 9})
            lines[-1]["noisy"] = False
        number = dice.randrange(len(lines))
        lines[number] = mutated(dice, lines[number])
        path = home / "results.jsonl"
        path.write_bytes(_damaged(dice, b"\n".join(_dumped(line) for line in lines)))
        return ("profile", *SHAPE, "--target", "b", "--import", str(path), "--by-layer")

    def _table(self, dice: random.Random, home: Path) -> tuple[str, ...]:
        frame = self.kernels.astype(object)
        frame.iat[dice.randrange(len(frame)), dice.randrange(len(frame.columns))] = dice.choice(ODD)
        if dice.random() < 0.2:
            frame = frame.drop(columns=[dice.choice(list(frame.columns))])
        suffix = dice.choice((".csv", ".parquet"))
        path = home / f"table{suffix}"
        if suffix == ".csv":
            path.write_bytes(_damaged(dice, frame.to_csv(index=False).encode("utf-8", "replace")))
        else:
            frame.map(lambda value: str(value).encode("utf-8", "ignore")).to_parquet(path)
            path.write_bytes(_damaged(dice, path.read_bytes()))
        return ("profile", *SHAPE, "--target", "b", "--import", str(path), "--by-layer")

    def _target(self, dice: random.Random, home: Path) -> tuple[str, ...]:
        (home / "targets").mkdir()
        fields = {"device": "d", "runtime": "onnxruntime", "threads": 1, "precision": "fp32"}
        fields |= {"kind": "measured", "source": "s", "remote": True}
        changed: Any = mutated(dice, fields)
        items = changed.items() if isinstance(changed, dict) else [("x", changed)]
        text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in items)
        (home / "targets" / "b.toml").write_bytes(_damaged(dice, text.encode("utf-8", "ignore")))
        return dice.choice(
            (("targets",), ("sites", *SHAPE, "--target", "b"), ("targets", "diff", "b", "arm-a57"))
        )

    def _onnx(self, dice: random.Random, home: Path) -> tuple[str, ...]:
        model = copy.deepcopy(self.onnx)
        dice.choice(_ONNX)(dice, model)
        path = home / "m.onnx"
        path.write_bytes(_damaged(dice, model.SerializeToString()))
        return (
            "sites",
            "--model",
            str(path),
            *(("--input-size", dice.choice(("24", "8x16"))) if dice.random() < 0.5 else ()),
        )

    def _weights(self, dice: random.Random, home: Path) -> tuple[str, ...]:
        path = home / f"w{dice.choice(('.pt', '.safetensors'))}"
        weights: dict[str, Any] = dict(self.weights)
        name = dice.choice(list(weights))
        change = dice.randrange(5)
        if change == 0:
            del weights[name]
        elif change == 1:
            weights[name] = torch.zeros(dice.randrange(1, 9), dice.randrange(1, 4))
        elif change == 2:
            weights = {"state_dict": weights, "epoch": 3} if path.suffix == ".pt" else {"x": weights[name]}
        elif change == 3:
            weights[name] = weights[name].double() * math.nan
        if path.suffix == ".pt":
            torch.save(weights, path)
        else:
            save_file({n: v.contiguous() for n, v in weights.items()}, path)
        path.write_bytes(_damaged(dice, path.read_bytes()))
        (home / "plan.json").write_text(json.dumps(self.plan))
        words = ("export", "--plan", str(home / "plan.json"), "--trust", "--data", "none")
        return (*words, "--weights", str(path), "--out", str(home / "m.onnx"))

    def _database(self, dice: random.Random, home: Path) -> tuple[str, ...]:
        shutil.copy(self.whole / "studies.db", home)
        path = home / "studies.db"
        if dice.random() < 0.5:
            path.write_bytes(_damaged(dice, path.read_bytes(), always=True))
        else:
            with sqlite3.connect(path) as database:
                table = dice.choice(("trial_user_attributes", "study_user_attributes"))
                key, text = dice.choice(database.execute(f"select rowid, value_json from {table}").fetchall())
                value = _text(dice, json.loads(text)).decode("utf-8", "ignore")
                database.execute(f"update {table} set value_json = ? where rowid = ?", (value, key))
        return dice.choice(
            (
                ("front", "--study", "small", "--html", str(home / "f.html")),
                ("front", "--study", "small", "--csv", str(home / "f.csv"), "--json"),
                ("plan", "--study", "small", "--speedup", "1", "--out", str(home / "p.json")),
            )
        )


def mutated(dice: random.Random, document: Any) -> Any:
    """A JSON document with one place changed."""
    made = copy.deepcopy(document)
    places = list(_places(made))
    if not places:
        return dice.choice(ODD)
    holder, key = dice.choice(places)
    change = dice.random()
    if change < 0.15:
        del holder[key]
    elif change < 0.25 and isinstance(holder, dict):
        holder[str(dice.choice(WORDS))] = dice.choice(ODD)
    elif change < 0.3:
        deep: Any = 1
        for _ in range(200):
            deep = [deep]
        holder[key] = deep
    else:
        holder[key] = dice.choice(ODD)
    return made


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(items):
        yield document, key
        if isinstance(value, (dict, list)):
            yield from _places(value)


def _dumped(value: Any) -> bytes:
    return json.dumps(value).encode()


def _text(dice: random.Random, document: Any) -> bytes:
    if dice.random() < 0.05:
        return b"[" * 100_000
    return _damaged(dice, _dumped(mutated(dice, document)))


def _damaged(dice: random.Random, data: bytes, always: bool = False) -> bytes:
    """Sometimes cut, or with some bytes changed."""
    change = dice.random() * (0.3 if always else 1)
    if change < 0.1:
        return data[: dice.randrange(len(data) + 1)]
    if change < 0.3:
        made = bytearray(data)
        for _ in range(dice.randrange(1, 9)):
            made[dice.randrange(len(made))] = dice.randrange(256)
        return bytes(made)
    return data


def _small_network() -> onnx.ModelProto:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 3, 3, 3], [0.1] * 108)
    head = helper.make_tensor("h", TensorProto.FLOAT, [4, 10], [0.1] * 40)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"], "relu"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("MatMul", ["f", "h"], ["y"], "head"),
    ]
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 24, 24])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "small", [image], [scores], [weight, head])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def _no_nodes(dice: random.Random, model: onnx.ModelProto) -> None:
    del model.graph.node[:]


def _cycle(dice: random.Random, model: onnx.ModelProto) -> None:
    model.graph.node[0].input[0] = "f"


def _other_field(dice: random.Random, model: onnx.ModelProto, field: str) -> None:
    setattr(dice.choice(model.graph.node), field, dice.choice(WORDS)[:50])


def _other_input(dice: random.Random, model: onnx.ModelProto) -> None:
    dice.choice(model.graph.node).input[0] = dice.choice(("w", "h", "nothing", ""))


def _outside(dice: random.Random, model: onnx.ModelProto) -> None:
    weight = dice.choice(model.graph.initializer)
    weight.ClearField("float_data")
    weight.data_location = TensorProto.EXTERNAL
    entry = weight.external_data.add()
    entry.key, entry.value = "location", dice.choice(("../../etc/hostname", "/etc/hostname", "w.bin"))


def _shape(dice: random.Random, model: onnx.ModelProto) -> None:
    side = dice.choice(model.graph.input[0].type.tensor_type.shape.dim)
    side.dim_value = dice.choice((-1, 0, 1, 2**40))


def _dims(dice: random.Random, model: onnx.ModelProto) -> None:
    weight = dice.choice(model.graph.initializer)
    weight.dims[0] = dice.choice((-1, 0, 3, 2**40))


def _attribute(dice: random.Random, model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(
        helper.make_attribute("strides", [dice.choice((-1, 0, 2, 2**40))] * 2)
    )


def _version(dice: random.Random, model: onnx.ModelProto) -> None:
    model.opset_import[0].version = dice.choice((0, -5, 1, 9999))


_ONNX: tuple[Callable[[random.Random, onnx.ModelProto], None], ...] = (
    *(_no_nodes, _cycle, _other_input, _outside, _shape, _dims, _attribute, _version),
    partial(_other_field, field="op_type"),
    partial(_other_field, field="name"),
    partial(_other_field, field="domain"),
)


def left_half_written(case: Case) -> list[str]:
    """Temporary files that a case has left behind."""
    return [str(path) for path in case.home.rglob(".*-*") if path.is_file()]
