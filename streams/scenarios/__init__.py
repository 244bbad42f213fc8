"""Stories about money in a short notation, folded through the engine and checked: what tests a rule file."""
