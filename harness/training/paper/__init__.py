"""The backbone of arXiv 2602.12499 around any mixer: its settings, model, gradients and gradient descent."""
