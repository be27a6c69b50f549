//! Training in a worker process of any language, over pipes.
