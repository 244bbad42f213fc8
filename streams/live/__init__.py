"""The live path: Kafka in, the journal, the fold, alerts out."""
