"""Scan orders on whole slides: synthetic ones, written to disk and read like any other."""
