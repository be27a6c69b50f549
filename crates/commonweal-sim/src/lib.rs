//! Simulate a federation on one machine: virtual time, real training, the same bytes every time.
