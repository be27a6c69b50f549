//! The `commonweal` binary.

fn main() {}
