"""The tables of exported operations, by kind. A new file is found by itself.

Each function makes nodes of the canonical graph of one kind of ATen operation (see ``builder.handles``).
"""
