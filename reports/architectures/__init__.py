"""The study `architectures`: what every mixer here can do on the same tasks, at what cost."""
