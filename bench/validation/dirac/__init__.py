"""The Dirac-GAN (Mescheder et al. 2018, arXiv 1801.04406): every objective on one real point, solved and drawn."""
