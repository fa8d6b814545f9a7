"""Make a trained CNN fast on a given CPU by merging its layers, found by search.

>>> import rebirth
>>> study = rebirth.search(model="resnet18", data="imagefolder:photos", target="arm-a57", budget=50)
>>> plan = rebirth.plan(study, speedup=2)
>>> rebirth.train(plan, "runs/merged", epochs=10)
>>> rebirth.export("runs/merged", "merged.onnx")
"""

from search.api import Study, export, front, merged, plan, search, train
from training.errors import BadInputError

__all__ = ["BadInputError", "Study", "export", "front", "merged", "plan", "search", "train"]
