//! How the mean of the client updates changes the model on the server.

use alloc::vec::Vec;
use core::fmt;

/// A server optimizer: takes the mean client update for a step.
///
/// The mean is `local − global`, so it points downhill: it is added, where a gradient would be subtracted
/// (Reddi et al. 2021, "Adaptive Federated Optimization", algorithm 1).
pub trait ServerOptimizer: Send + Sync {
    /// Changes `model`, the shared prefix, by `mean` in `round`. The two are of one length.
    fn step(&mut self, model: &mut [f32], mean: &[f32], round: u64);

    /// What [`restore`](Self::restore) needs to go on exactly from here: part of a checkpoint.
    fn state(&self) -> Vec<u8>;

    /// Goes on from a state.
    ///
    /// # Errors
    /// The bytes are not a state of this optimizer.
    fn restore(&mut self, state: &[u8]) -> Result<(), OptimizerError>;
}

/// Why a server optimizer cannot go on from bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptimizerError {
    /// Another number of bytes than this optimizer writes.
    #[error("the server optimizer's state has {found} bytes, which is not what it writes")]
    Length {
        /// Bytes found.
        found: usize,
    },
}

/// `model += learning_rate · mean`. FedAvg is the learning rate 1.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerSgd {
    /// The server learning rate.
    pub learning_rate: f32,
}

impl ServerOptimizer for ServerSgd {
    fn step(&mut self, model: &mut [f32], mean: &[f32], _round: u64) {
        add_scaled(model, mean, self.learning_rate);
    }

    fn state(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), OptimizerError> {
        match state {
            [] => Ok(()),
            _ => Err(OptimizerError::Length { found: state.len() }),
        }
    }
}

/// `velocity = momentum · velocity + mean`, `model += learning_rate · velocity`: FedAvgM of
/// Hsu, Qi and Brown 2019 (arXiv:1909.06335, section 4.3).
#[derive(Clone, PartialEq)]
pub struct ServerMomentum {
    learning_rate: f32,
    momentum: f32,
    velocity: Vec<f32>,
}

impl ServerMomentum {
    /// An optimizer at rest. `momentum` is the share of the velocity that a round keeps, in [0, 1).
    pub fn new(learning_rate: f32, momentum: f32) -> Self {
        Self {
            learning_rate,
            momentum,
            velocity: Vec::new(),
        }
    }
}

impl ServerOptimizer for ServerMomentum {
    fn step(&mut self, model: &mut [f32], mean: &[f32], _round: u64) {
        self.velocity.resize(mean.len(), 0.0);
        for (velocity, mean) in self.velocity.iter_mut().zip(mean) {
            *velocity = self.momentum * *velocity + mean;
        }
        add_scaled(model, &self.velocity, self.learning_rate);
    }

    fn state(&self) -> Vec<u8> {
        self.velocity
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), OptimizerError> {
        let (values, []) = state.as_chunks::<4>() else {
            return Err(OptimizerError::Length { found: state.len() });
        };
        self.velocity = values
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes))
            .collect();
        Ok(())
    }
}

impl fmt::Debug for ServerMomentum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerMomentum")
            .field("learning_rate", &self.learning_rate)
            .field("momentum", &self.momentum)
            .finish_non_exhaustive()
    }
}

fn add_scaled(model: &mut [f32], step: &[f32], factor: f32) {
    for (value, step) in model.iter_mut().zip(step) {
        *value += factor * step;
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;

    use super::*;

    fn optimizers() -> [Box<dyn ServerOptimizer>; 2] {
        [
            Box::new(ServerSgd { learning_rate: 0.5 }),
            Box::new(ServerMomentum::new(0.5, 0.5)),
        ]
    }

    #[test]
    fn the_first_step_adds_the_scaled_mean() {
        for mut optimizer in optimizers() {
            let mut model = [1.0, 2.0];
            optimizer.step(&mut model, &[2.0, -4.0], 1);
            assert_eq!(model, [2.0, 0.0]);
        }
    }

    #[test]
    fn an_optimizer_goes_on_from_its_state_as_if_never_stopped() {
        for (mut straight, mut resumed) in optimizers().into_iter().zip(optimizers()) {
            let (mut model, mean) = ([1.0, 2.0], [0.3, -0.7]);
            straight.step(&mut model, &mean, 1);
            resumed.restore(&straight.state()).unwrap();
            let mut copy = model;
            straight.step(&mut model, &mean, 2);
            resumed.step(&mut copy, &mean, 2);
            assert_eq!(model, copy);
        }
    }

    #[test]
    fn a_state_of_another_optimizer_is_refused() {
        for mut optimizer in optimizers() {
            let refused = optimizer.restore(&[1, 2, 3]);
            assert_eq!(refused, Err(OptimizerError::Length { found: 3 }));
        }
    }

    #[test]
    fn momentum_keeps_its_share_of_the_last_step() {
        let mut optimizer = ServerMomentum::new(1.0, 0.5);
        let mut model = [0.0];
        for expected in [1.0, 2.5, 4.25] {
            optimizer.step(&mut model, &[1.0], 1);
            assert_eq!(model, [expected]);
        }
    }
}
