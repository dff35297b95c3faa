"""What proves an objective: contract, Dirac-GAN, mode counting, gallery, certificates."""
