"""What people read of a study: fronts, plans, tables, pages."""
