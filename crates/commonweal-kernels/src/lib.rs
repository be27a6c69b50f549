//! SIMD kernels with run-time dispatch: products, activations, quantize, fold, pack.
