"""Runs beyond this machine: orders to Slurm and Ray, and where they stand there. No torch.

An *order* is a folder that says what was submitted; its *pieces* are what a cluster queues and runs one by one, each
the local pool over a few runs (`bench.execution.piece`). A *standing* is where a piece is with its cluster.
"""
