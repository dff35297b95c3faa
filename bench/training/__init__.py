"""One run: the loop, the step, step-addressed draws, checkpoints."""
