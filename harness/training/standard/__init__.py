"""The standard protocol at work: its settings, model, training loop, and what is read off a trained model."""
