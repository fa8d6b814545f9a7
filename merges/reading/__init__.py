"""The front door: from any network to one canonical graph of known layers.

A network is exported (``exported``) without writes (``writes``), every exported operation becomes a known
layer or function (``canonical``, by the tables in ``operations``), what export takes apart is put together
again (``simplify``, ``written_out``), and the graph is checked against the network (``check``).
"""
