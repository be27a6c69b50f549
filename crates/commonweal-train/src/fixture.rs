//! The steps whose times BENCHMARKS.md states: one model and one batch of random examples each.
//!
//! Nothing here reads a clock: whoever measures calls [`Fixture::step`].

use commonweal_core::job::{self, Activation, ModelKind};
use commonweal_core::{Seed, below, unit};
use commonweal_data::{ExampleShape, Input, Target};
use commonweal_kernels::dense::Descent;
use commonweal_kernels::product;

use crate::batch::{Batch, Goal, Inputs};
use crate::error::ModelError;
use crate::model::Model;
use crate::pass::Learn;
use crate::workspace::Workspace;

/// A model with a batch loaded, ready to step.
#[derive(Debug, Clone)]
pub struct Fixture {
    model: Model,
    parameters: Vec<f32>,
    workspace: Workspace<f32>,
}

impl Fixture {
    /// 784-200-200-10, batch 10: the 2NN of McMahan et al. 2017 (arXiv:1602.05629).
    ///
    /// # Errors
    /// None: the model fits.
    pub fn two_nn() -> Result<Self, ModelError> {
        let kind = ModelKind::Mlp {
            hidden: vec![200, 200],
            activation: Activation::Relu,
        };
        Self::new(kind, IMAGE, 10)
    }

    /// 784 × 10, batch 6.
    ///
    /// # Errors
    /// None: the model fits.
    pub fn softmax() -> Result<Self, ModelError> {
        Self::new(ModelKind::Softmax, IMAGE, 6)
    }

    /// The CNN of McMahan et al. 2017 on 28 × 28 pixels, batch 10.
    ///
    /// # Errors
    /// None: the model fits.
    pub fn cnn() -> Result<Self, ModelError> {
        Self::new(ModelKind::Cnn, IMAGE, 10)
    }

    /// The character model of McMahan et al. 2017: embedding of 8, two LSTM layers of 256, a dense
    /// layer to 86 characters, over 80 characters, batch 10.
    ///
    /// # Errors
    /// None: the model fits.
    pub fn lstm() -> Result<Self, ModelError> {
        let kind = ModelKind::Lstm {
            embedding: 8,
            hidden: 256,
            layers: 2,
        };
        Self::new(kind, (&[80], 86, Target::NextTokens(86)), 10)
    }

    /// Takes one step of plain gradient descent on the batch; returns the loss before it.
    pub fn step(&mut self) -> f64 {
        let descent = Descent {
            learning_rate: 0.01,
            decay: 0.0,
        };
        let learn = Learn::Descend(&mut self.parameters, descent);
        self.model.learn(learn, &mut self.workspace, &mut None)
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Shape of an example, tokens that it is made of (0 for values), target.
    fn new(
        kind: ModelKind,
        (shape, vocabulary, target): (&[usize], usize, Target),
        examples: usize,
    ) -> Result<Self, ModelError> {
        let input = match vocabulary {
            0 => Input::Values(shape.to_vec()),
            _ => Input::Tokens {
                length: shape[0],
                vocabulary,
            },
        };
        let model = Model::build(
            &job::Model { kind, init: None },
            &ExampleShape { input, target },
        )?;
        let mut workspace = Workspace::new(&model, examples);
        let mut rng = Seed::from(1).rng();
        let width = examples * model.example().input.width();
        let values: Vec<f32> = (0..width).map(|_| unit(&mut rng) as f32).collect();
        let mut numbers = |count: usize, bound: usize| -> Vec<u32> {
            (0..count)
                .map(|_| below(&mut rng, bound as u64) as u32)
                .collect()
        };
        let tokens = numbers(width, vocabulary);
        let rows = examples * model.output_shape().rows();
        let labels = numbers(rows, model.head.width());
        workspace.load(&Batch {
            examples,
            inputs: match vocabulary {
                0 => Inputs::Values(&values),
                _ => Inputs::Tokens(&tokens),
            },
            goal: Goal::Labels(&labels),
        });
        workspace.set_scales(None, rows as f64);
        let parameters = model.initial(&Seed::from(1)).values().to_vec();
        Ok(Self {
            model,
            parameters,
            workspace,
        })
    }
}

/// A product of two square matrices, whose speed is the peak that the steps are held against.
#[derive(Debug, Clone)]
pub struct Product {
    size: usize,
    left: Vec<f32>,
    right: Vec<f32>,
    result: Vec<f32>,
    workspace: commonweal_kernels::Workspace<f32>,
}

impl Product {
    /// Of `size` rows and columns each.
    pub fn new(size: usize) -> Self {
        Self {
            size,
            left: vec![0.5; size * size],
            right: vec![0.25; size * size],
            result: vec![0.0; size * size],
            workspace: commonweal_kernels::Workspace::default(),
        }
    }

    /// Multiplies once: `2 · size³` operations. Returns the first element.
    pub fn multiply(&mut self) -> f32 {
        let shape = product::Shape {
            rows: self.size,
            columns: self.size,
            inner: self.size,
        };
        product::matmul(
            product::Form::Nn,
            shape,
            &self.left,
            &self.right,
            product::Output::Set,
            &mut self.result,
            &mut self.workspace,
        );
        self.result.first().copied().unwrap_or_default()
    }
}

/// A digit of MNIST.
const IMAGE: (&[usize], usize, Target) = (&[1, 28, 28], 0, Target::Classes(10));
