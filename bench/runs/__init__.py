"""A run: its folder, its identity, the plan that it stands in, and what it is likely to cost."""
