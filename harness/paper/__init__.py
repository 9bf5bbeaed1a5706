"""The frame of arXiv 2602.12499 around any mixer: its model, its gradient descent, and an oracle for the two."""
