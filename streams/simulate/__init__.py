"""A made-up bank: a seeded stream of payouts and payments with known misuse, honest look-alikes and ordinary life.

``world.simulate`` writes a folder of topic files; everything else here serves it.
"""
