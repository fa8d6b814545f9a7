"""Learns rebuilt blocks from the teacher's, one by one."""
