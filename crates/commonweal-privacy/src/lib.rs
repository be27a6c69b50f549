//! Differential privacy that cannot be put together wrongly: clipping bounds and clips.
