"""What people look at: one alert in the terminal, a whole result folder as a page."""
