//! A federation's node.
