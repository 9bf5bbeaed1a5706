"""The experiments behind the claims of arXiv 2602.12499: what each runs, how it is judged, how it is drawn."""
