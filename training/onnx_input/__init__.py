"""ONNX files as torch networks: one ONNX operation becomes one torch layer or function.

`loading` opens a file and finds its image input; `values` and `step` are what an operation sees; `builder`
walks the nodes; `operations` is the table, one file a family; `sizes` keeps free sizes free; `agreement`
compares the result with onnxruntime.
"""

from training.onnx_input.network import read

__all__ = ["read"]
