"""Reads studies: fronts, plans, tables, pages."""
