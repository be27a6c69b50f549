//! What the rooms read from and write to disk.
