"""The README's example for Python, as it stands there."""

import re
from pathlib import Path

import onnxruntime
import pytest
import torch

import rebirth
from training.errors import BadInputError

README = Path(__file__).parents[1] / "README.md"
SMALL = {  # what the test takes in the place of hours
    'model="resnet18", data="imagefolder:photos"': 'model="tests.networks:mixed", input_size=24',
    "budget=50": "budget=4, teacher_epochs=1, bank_steps=2, bank_images=16, proxy_steps=1",
    "speedup=1.5": "speedup=1.01",
    "epochs=10": "epochs=1, relearn_steps=2, trust=True",
    "merged(study, plan)": "merged(study, plan, trust=True)",
    '"merged.onnx")': '"merged.onnx", trust=True)',
}


@pytest.mark.slow
def test_the_example_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    for asked, little in SMALL.items():
        assert asked in example
        example = example.replace(asked, little)
    monkeypatch.chdir(tmp_path)
    made: dict[str, object] = {}
    exec(example, made)
    *points, last = capsys.readouterr().out.splitlines()
    assert points
    assert all(re.fullmatch(r"\d\.\d\dx \d+\.\d %", point) for point in points)
    assert float(last.split()[1]) < 1e-3
    network = made["network"]
    assert isinstance(network, torch.nn.Module)
    with torch.no_grad():
        assert network(torch.zeros(2, 3, 24, 24)).shape == (2, 10)
    assert onnxruntime.InferenceSession("merged.onnx").get_inputs()[0].name == "image"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_latency": "5k"}, "`max_latency` is '5k'"),
        ({"epoch": 3}, "unknown field `epoch`"),
        ({"zero_shot": True, "proxy_seconds": 3}, "`zero_shot` trains nothing"),
        ({"sampler": "best"}, "unknown sampler 'best'"),
        ({"metric": "f1"}, ".metric. is 'f1': no metric; expected expected"),
    ],
)
def test_errors_name_fields(fields: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=said):
        rebirth.search(home=tmp_path, **fields)


def test_a_network_of_a_plan_of_another_study_is_refused(tmp_path: Path) -> None:
    for no_study in ([], "x", ["x"]):
        with pytest.raises(rebirth.BadInputError, match="expected a Study or several"):
            rebirth.front(no_study)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="no study 'nothing'"):
        rebirth.front([rebirth.Study("nothing", str(tmp_path))])
    with pytest.raises(BadInputError, match="no study 'nothing'"):
        rebirth.front(rebirth.Study("nothing", tmp_path))
