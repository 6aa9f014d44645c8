"""Who is calling, and may they: policies, keys, certificates."""
