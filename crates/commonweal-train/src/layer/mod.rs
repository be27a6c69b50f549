//! The layers: what each computes forward and backward over slices of one flat parameter vector.

mod activation;
mod conv;
mod conv_pool;
mod dense;
mod dropout;
mod embedding;
mod lstm;
mod norm;
mod pool;
mod skip;

use commonweal_core::SeedRng;
use commonweal_kernels::dense::Descent;
use commonweal_kernels::product::{Output, Packed};
use commonweal_kernels::{Real, Workspace as Scratch};

pub(crate) use activation::Pointwise;
pub(crate) use conv::Conv2d;
pub(crate) use conv_pool::ConvPool;
pub(crate) use dense::Dense;
pub(crate) use dropout::Dropout;
pub(crate) use embedding::Embedding;
pub(crate) use lstm::{Last, Lstm};
pub(crate) use norm::Norm;
pub(crate) use pool::{Pool2d, PoolKind};
pub(crate) use skip::{Add, Copy, TimeMajor};

/// One layer with its sizes.
#[derive(Debug, Clone)]
pub(crate) enum Layer {
    Dense(Dense),
    Conv2d(Conv2d),
    ConvPool(ConvPool),
    Pool2d(Pool2d),
    Embedding(Embedding),
    Lstm(Lstm),
    Last(Last),
    Norm(Norm),
    Dropout(Dropout),
    Pointwise(Pointwise),
    Copy(Copy),
    Add(Add),
    TimeMajor(TimeMajor),
}

/// What a layer keeps from the way forward for the way back; one per layer and worker thread.
#[derive(Debug, Clone)]
pub(crate) struct Cache<T> {
    /// Values: gates, masks, normalised values.
    pub(crate) values: Vec<T>,
    /// Places of the largest values of a pool.
    pub(crate) places: Vec<u32>,
    /// Recurrent weights for the way forward and the way back.
    pub(crate) packed: [Packed<T>; 2],
}

impl<T: Real> Cache<T> {
    pub(crate) fn empty() -> Self {
        Self {
            values: Vec::new(),
            places: Vec::new(),
            packed: [Packed::new(), Packed::new()],
        }
    }

    pub(crate) fn of_values(length: usize) -> Self {
        Self {
            values: vec![T::ZERO; length],
            ..Self::empty()
        }
    }

    pub(crate) fn of_places(length: usize) -> Self {
        Self {
            places: vec![0; length],
            ..Self::empty()
        }
    }
}

/// What every layer is given on either way.
pub(crate) struct Pass<'a, T> {
    /// Examples.
    pub(crate) batch: usize,
    /// The layer's input where it is tokens, time first; empty otherwise.
    pub(crate) tokens: &'a [u32],
    /// The source of dropped values while training; `None` when a model is only used.
    pub(crate) dropout: Option<&'a mut SeedRng>,
    pub(crate) cache: &'a mut Cache<T>,
    pub(crate) scratch: &'a mut Scratch<T>,
}

/// The layer's own parameters on the way back, and what becomes of their gradient.
pub(crate) enum Learning<'a, T> {
    /// Plain gradient descent at once, without a stored gradient; `gradient` is room to work in.
    Descend {
        parameters: &'a mut [T],
        gradient: &'a mut [T],
        descent: Descent<T>,
    },
    /// The gradient is written or added.
    Gradient {
        parameters: &'a [T],
        gradient: &'a mut [T],
        output: Output,
    },
}

impl<T: Real> Learning<'_, T> {
    /// Lets `write` put the gradient where it belongs, and steps along it where descent is asked.
    ///
    /// For layers whose gradient cannot be folded into their product.
    pub(crate) fn apply(&mut self, write: impl FnOnce(&[T], Output, &mut [T])) {
        match self {
            Self::Descend {
                parameters,
                gradient,
                descent,
            } => {
                write(parameters, Output::Set, gradient);
                let sgd = commonweal_kernels::optimizer::Sgd {
                    learning_rate: descent.learning_rate,
                    momentum: T::ZERO,
                    nesterov: false,
                    decay: descent.decay,
                };
                sgd.plain_step(parameters, gradient);
            }
            Self::Gradient {
                parameters,
                gradient,
                output,
            } => write(parameters, *output, gradient),
        }
    }
}

impl Layer {
    /// The memory that the layer needs for a batch of at most `rows` examples.
    pub(crate) fn cache<T: Real>(&self, rows: usize) -> Cache<T> {
        match self {
            Self::ConvPool(layer) => layer.cache(rows),
            Self::Pool2d(layer) => layer.cache(rows),
            Self::Lstm(layer) => layer.cache(rows),
            Self::Norm(layer) => layer.cache(rows),
            Self::Dropout(layer) => layer.cache(rows),
            Self::Pointwise(layer) => layer.cache(rows),
            _ => Cache::empty(),
        }
    }

    /// Writes `y` from `x`. `skip` is the other term of a residual sum.
    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &[T],
        x: &[T],
        skip: &[T],
        y: &mut [T],
        pass: Pass<'_, T>,
    ) {
        match self {
            Self::Dense(layer) => layer.forward(parameters, x, y, pass),
            Self::Conv2d(layer) => layer.forward(parameters, x, y, pass),
            Self::ConvPool(layer) => layer.forward(parameters, x, y, pass),
            Self::Pool2d(layer) => layer.forward(x, y, pass),
            Self::Embedding(layer) => layer.forward(parameters, y, pass),
            Self::Lstm(layer) => layer.forward(parameters, x, y, pass),
            Self::Last(layer) => layer.forward(x, y),
            Self::Norm(layer) => layer.forward(parameters, x, y, pass),
            Self::Dropout(layer) => layer.forward(x, y, pass),
            Self::Pointwise(layer) => layer.forward(x, y, pass),
            Self::Copy(_) => y.copy_from_slice(x),
            Self::Add(layer) => layer.forward(x, skip, y),
            Self::TimeMajor(layer) => layer.forward(x, y, pass.batch),
        }
    }

    /// Learns from the gradient `dy` of `y`, which it may overwrite, and writes the gradient of `x`
    /// if there is one to write.
    pub(crate) fn backward<T: Real>(
        &self,
        learning: Learning<'_, T>,
        x: &[T],
        y: &[T],
        dy: &mut [T],
        dx: Option<&mut [T]>,
        pass: Pass<'_, T>,
    ) {
        match (self, dx) {
            (Self::Dense(layer), dx) => layer.backward(learning, x, y, dy, dx, pass),
            (Self::Conv2d(layer), dx) => layer.backward(learning, x, y, dy, dx, pass),
            (Self::ConvPool(layer), dx) => layer.backward(learning, x, y, dy, dx, pass),
            (Self::Embedding(layer), _) => layer.backward(learning, dy, pass),
            (Self::Lstm(layer), dx) => layer.backward(learning, x, y, dy, dx, pass),
            (Self::Norm(layer), dx) => layer.backward(learning, dy, dx, pass),
            (_, None) => {}
            (Self::Pool2d(layer), Some(dx)) => layer.backward(y, dy, dx, pass),
            (Self::Last(layer), Some(dx)) => layer.backward(dy, dx),
            (Self::Dropout(layer), Some(dx)) => layer.backward(dy, dx, pass),
            (Self::Pointwise(layer), Some(dx)) => layer.backward(y, dy, dx, pass),
            // A copy feeds the body of a residual sum: the sum has written its share already.
            (Self::Copy(_), Some(dx)) => skip::add(dx, dy),
            (Self::Add(_), Some(dx)) => dx.copy_from_slice(dy),
            (Self::TimeMajor(layer), Some(dx)) => layer.backward(dy, dx, pass.batch),
        }
    }
}
