"""Runs' logs, scores and sample grids for the trackers that people have: TensorBoard, Weights & Biases, MLflow."""
