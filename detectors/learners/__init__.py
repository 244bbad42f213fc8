"""Learners: what a payment's parties usually do, how unusual a payment is, and what confirmed outcomes have taught."""
