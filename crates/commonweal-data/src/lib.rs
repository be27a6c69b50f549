//! Readers, partitioners and embedded data for federated learning.
