//! Health, metrics, bars, live updates and the built-in dashboard.
