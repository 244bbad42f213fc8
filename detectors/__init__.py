"""The pure core: events in, alerts and loan states out. No clock, no I/O, no chance; ``engine`` is where to start reading."""
