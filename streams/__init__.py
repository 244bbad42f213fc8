"""What surrounds the core: reading and writing records, the command line, reports for people, simulated worlds."""
