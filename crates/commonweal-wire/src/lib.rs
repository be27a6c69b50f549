//! What nodes and servers say to each other.
