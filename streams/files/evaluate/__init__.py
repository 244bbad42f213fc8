"""Evaluate: a labelled folder through the product's own fold, and what came out against the answer key."""
