"""GLIP (Li et al. 2022): Swin, FPN, a dynamic head with deep fusion of image and text, token scores."""
