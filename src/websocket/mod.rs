//! The Finnhub client, and its mirror image, the simulator.
