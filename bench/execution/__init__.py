"""Where runs are placed: this machine's devices, one process per run."""
