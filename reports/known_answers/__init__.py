"""The study `known-answers`: published claims of the field as data, run here, with a verdict each."""
