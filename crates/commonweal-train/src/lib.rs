//! Models and local training over one flat parameter vector.
