//! From a job's `[model]` and a data set's shape to a model.

mod image;
mod sequence;

use std::sync::Arc;

use commonweal_core::job;
use commonweal_core::{ExportType, Layout, Scope, TensorSpec};
use commonweal_data::{ExampleShape, Input, Target};
use commonweal_kernels::Activation;

use crate::error::ModelError;
use crate::head::Head;
use crate::initial::Initial;
use crate::layer::{Add, Copy, Dense, Dropout, Layer, Norm, Pointwise, PoolKind, TimeMajor};
use crate::model::{Model, Step};
use crate::named;
use crate::shape::Shape;

impl Model {
    /// Builds the model of a job for examples of this shape.
    ///
    /// Tensors are called by their place in a `torch.nn.Sequential` of all layers, activations and
    /// the flattening of images included: `1.weight`, `3.weight` … for an `mlp` on images,
    /// `0.weight`, `2.weight` … on a table; [`torch_source`](crate::torch_source) writes that module.
    ///
    /// # Errors
    /// [`ModelError`] that names the layer, if it does not fit its input, or if the last one does
    /// not fit the target.
    pub fn build(model: &job::Model, example: &ExampleShape) -> Result<Self, ModelError> {
        let head = Head::of(&model.kind, example.target)?;
        let mut builder = Builder::new(&example.input, head.width());
        let flatten = !matches!(&example.input, Input::Values(shape) if shape.len() == 1);
        builder.list(&named::layers(&model.kind, flatten), "")?;
        builder.finish(example, head)
    }
}

/// A model in the making.
struct Builder {
    steps: Vec<Step>,
    slots: Vec<Shape>,
    /// Whether a parameter has had its part in each slot.
    learned: Vec<bool>,
    specs: Vec<TensorSpec>,
    initials: Vec<Initial>,
    torch: Vec<String>,
    outputs: usize,
}

/// A layer's place: where it stands in the list, and what the job file calls it.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    kind: &'static str,
    /// Whether ReLU or GELU comes next, for the initial values.
    rectified: bool,
}

impl Builder {
    fn new(input: &Input, outputs: usize) -> Self {
        let shape = match input {
            Input::Values(shape) => match shape[..] {
                [channels, height, width] => Shape::Image {
                    channels,
                    height,
                    width,
                },
                [time, features] => Shape::Sequence { time, features },
                _ => Shape::Vector {
                    features: shape.iter().product(),
                },
            },
            &Input::Tokens { length, vocabulary } => Shape::Tokens {
                time: length,
                vocabulary,
            },
        };
        let mut builder = Self {
            steps: Vec::new(),
            slots: vec![shape],
            learned: vec![false],
            specs: Vec::new(),
            initials: Vec::new(),
            torch: Vec::new(),
            outputs,
        };
        if let Shape::Sequence { time, features } = shape {
            let layer = TimeMajor {
                time,
                features,
                inverse: false,
            };
            builder.push(Layer::TimeMajor(layer), shape, 0);
        }
        builder
    }

    fn shape(&self) -> Shape {
        self.slots[self.slots.len() - 1]
    }

    /// Adds the layers of a list whose places begin with `prefix`.
    fn list(&mut self, layers: &[job::Layer], prefix: &str) -> Result<(), ModelError> {
        for (at, layer) in layers.iter().enumerate() {
            let path = format!("{prefix}{at}");
            let rectified = matches!(
                layers.get(at + 1),
                Some(job::Layer::Relu | job::Layer::Gelu)
            );
            let place = |kind| Place {
                path: &path,
                kind,
                rectified,
            };
            match layer {
                job::Layer::Dense { units, bias } => self.dense(place("dense"), *units, *bias)?,
                job::Layer::Conv2d { .. } => self.conv2d(place("conv2d"), layer)?,
                job::Layer::MaxPool2d { size, stride } => {
                    let kind = PoolKind::Max(Activation::Identity);
                    self.pool(place("max_pool2d"), kind, *size, *stride)?;
                }
                job::Layer::AvgPool2d { size, stride } => {
                    self.pool(place("avg_pool2d"), PoolKind::Average, *size, *stride)?;
                }
                job::Layer::Embedding { dimension } => {
                    self.embedding(place("embedding"), *dimension)?;
                }
                job::Layer::Lstm { hidden, sequences } => {
                    self.lstm(place("lstm"), *hidden, *sequences)?;
                }
                job::Layer::GroupNorm { groups } => {
                    self.group_norm(place("group_norm"), *groups)?
                }
                job::Layer::LayerNorm => self.layer_norm(place("layer_norm"))?,
                job::Layer::Dropout { rate } => self.dropout(place("dropout"), *rate)?,
                job::Layer::Relu => self.activation(place("relu"), Activation::Relu)?,
                job::Layer::Tanh => self.activation(place("tanh"), Activation::Tanh)?,
                job::Layer::Sigmoid => self.activation(place("sigmoid"), Activation::Sigmoid)?,
                job::Layer::Gelu => self.gelu(place("gelu"))?,
                job::Layer::Flatten => self.flatten(place("flatten"))?,
                job::Layer::Residual { layers } => self.residual(place("residual"), layers)?,
            }
        }
        Ok(())
    }

    /// Adds a layer that reads the last slot and whose parameters are the last `tensors` declared.
    fn push(&mut self, layer: Layer, shape: Shape, tensors: usize) {
        let x = self.slots.len() - 1;
        let last = self.specs.len();
        self.steps.push(Step {
            layer,
            x,
            skip: None,
            y: x + 1,
            tensors: last - tensors..last,
            parameters: 0..0,
            frozen: false,
            passes_gradient: self.learned[x],
        });
        self.slots.push(shape);
        self.learned.push(self.learned[x] || tensors > 0);
    }

    /// Declares a tensor of the layer at `place`.
    fn tensor(&mut self, place: Place<'_>, name: &str, shape: &[usize], initial: Initial) {
        self.specs.push(TensorSpec {
            name: format!("{}.{name}", place.path),
            shape: shape.to_vec(),
            scope: Scope::Shared,
            export: ExportType::F32,
        });
        self.initials.push(initial);
    }

    /// Declares the weight of `shape` and the bias, if there is one, of a layer whose outputs see
    /// `inputs` values each.
    fn weights(&mut self, place: Place<'_>, shape: &[usize], inputs: usize, bias: bool) -> usize {
        let (weights, biases) = match place.rectified {
            true => (Initial::he(inputs), Initial::Constant(0.0)),
            false => (Initial::torch(inputs), Initial::torch(inputs)),
        };
        self.tensor(place, "weight", shape, weights);
        if bias {
            self.tensor(place, "bias", &shape[..1], biases);
        }
        1 + usize::from(bias)
    }

    fn torch(&mut self, place: Place<'_>, line: String) {
        let depth = place.path.matches('.').count();
        let comma = if line.ends_with('(') { "" } else { "," };
        self.torch
            .push(format!("{}{line}{comma}", "    ".repeat(depth)));
    }

    fn dense(
        &mut self,
        place: Place<'_>,
        units: Option<u32>,
        bias: bool,
    ) -> Result<(), ModelError> {
        let outputs = units.map_or(self.outputs, |units| units as usize);
        let (inputs, shape) = match self.shape() {
            Shape::Vector { features } => (features, Shape::Vector { features: outputs }),
            Shape::Sequence { time, features } => (
                features,
                Shape::Sequence {
                    time,
                    features: outputs,
                },
            ),
            found => return Err(place.refuse(found, "put \"flatten\" or \"embedding\" before it")),
        };
        let tensors = self.weights(place, &[outputs, inputs], inputs, bias);
        self.torch(
            place,
            format!("nn.Linear({inputs}, {outputs}{})", no_bias(bias)),
        );
        let activation = Activation::Identity;
        let dense = Dense {
            rows: shape.rows(),
            inputs,
            outputs,
            activation,
        };
        self.push(Layer::Dense(dense), shape, tensors);
        Ok(())
    }

    fn layer_norm(&mut self, place: Place<'_>) -> Result<(), ModelError> {
        let shape = self.shape();
        let channels = match shape {
            Shape::Vector { features } | Shape::Sequence { features, .. } => features,
            found => {
                return Err(place.refuse(found, "put \"flatten\" before it, or use \"group_norm\""));
            }
        };
        self.torch(place, format!("nn.LayerNorm({channels})"));
        self.norm(
            place,
            Norm {
                rows: shape.rows(),
                groups: 1,
                channels,
                area: 1,
            },
        );
        Ok(())
    }

    fn norm(&mut self, place: Place<'_>, norm: Norm) {
        self.tensor(place, "weight", &[norm.channels], Initial::Constant(1.0));
        self.tensor(place, "bias", &[norm.channels], Initial::Constant(0.0));
        self.push(Layer::Norm(norm), self.shape(), 2);
    }

    fn dropout(&mut self, place: Place<'_>, rate: f64) -> Result<(), ModelError> {
        let shape = self.values(place)?;
        self.torch(place, format!("nn.Dropout({rate})"));
        self.push(
            Layer::Dropout(Dropout {
                width: shape.width(),
                rate,
            }),
            shape,
            0,
        );
        Ok(())
    }

    /// An activation; where it can, it becomes part of the layer before it.
    fn activation(&mut self, place: Place<'_>, activation: Activation) -> Result<(), ModelError> {
        let shape = self.values(place)?;
        let name = match activation {
            Activation::Identity => "Identity",
            Activation::Relu => "ReLU",
            Activation::Tanh => "Tanh",
            Activation::Sigmoid => "Sigmoid",
        };
        self.torch(place, format!("nn.{name}()"));
        match self.steps.last_mut().map(|step| &mut step.layer) {
            Some(Layer::Dense(Dense {
                activation: none, ..
            })) if *none == Activation::Identity => {
                *none = activation;
            }
            Some(Layer::Conv2d(conv)) if conv.activation == Activation::Identity => {
                conv.activation = activation;
            }
            _ => self.push(Layer::Pointwise(Pointwise::Plain(activation)), shape, 0),
        }
        Ok(())
    }

    fn gelu(&mut self, place: Place<'_>) -> Result<(), ModelError> {
        let shape = self.values(place)?;
        self.torch(place, "nn.GELU()".to_owned());
        self.push(
            Layer::Pointwise(Pointwise::Gelu {
                width: shape.width(),
            }),
            shape,
            0,
        );
        Ok(())
    }

    fn flatten(&mut self, place: Place<'_>) -> Result<(), ModelError> {
        let shape = self.values(place)?;
        self.torch(place, "nn.Flatten()".to_owned());
        let flat = Shape::Vector {
            features: shape.width(),
        };
        match shape {
            Shape::Sequence { time, features } => {
                let layer = TimeMajor {
                    time,
                    features,
                    inverse: true,
                };
                self.push(Layer::TimeMajor(layer), flat, 0);
            }
            // An image lies in memory as its flattening does.
            _ => {
                let last = self.slots.len() - 1;
                self.slots[last] = flat;
            }
        }
        Ok(())
    }

    fn residual(&mut self, place: Place<'_>, layers: &[job::Layer]) -> Result<(), ModelError> {
        let (start, before) = (self.slots.len() - 1, self.values(place)?);
        self.torch(place, "Residual(".to_owned());
        self.push(Layer::Copy(Copy), before, 0);
        self.list(layers, &format!("{}.", place.path))?;
        let depth = place.path.matches('.').count();
        self.torch.push(format!("{}),", "    ".repeat(depth)));
        let after = self.shape();
        if after != before {
            let (before, after) = (before.to_string(), after.to_string());
            return Err(ModelError::Residual {
                layer: place.path.to_owned(),
                before,
                after,
            });
        }
        self.push(Layer::Add(Add), after, 0);
        if let Some(step) = self.steps.last_mut() {
            step.skip = Some(start);
        }
        Ok(())
    }

    /// The last shape, unless it is tokens.
    fn values(&self, place: Place<'_>) -> Result<Shape, ModelError> {
        match self.shape() {
            found @ Shape::Tokens { .. } => Err(place.refuse(found, "put \"embedding\" before it")),
            shape => Ok(shape),
        }
    }

    fn finish(self, example: &ExampleShape, head: Head) -> Result<Model, ModelError> {
        let features = head.width();
        let expected = match (example.target, self.slots[0]) {
            (Target::NextTokens(_), Shape::Tokens { time, .. }) => {
                Shape::Sequence { time, features }
            }
            _ => Shape::Vector { features },
        };
        let found = self.shape();
        if found != expected {
            let (expected, found) = (expected.to_string(), found.to_string());
            return Err(ModelError::Outputs { expected, found });
        }
        let mut model = Model {
            example: example.clone(),
            steps: self.steps,
            slots: self.slots,
            head,
            layout: Arc::new(Layout::new(self.specs)?),
            initials: self.initials,
            torch: self.torch,
        };
        model.place()?;
        Ok(model)
    }
}

impl Place<'_> {
    fn refuse(self, found: Shape, hint: &str) -> ModelError {
        ModelError::Input {
            layer: self.path.to_owned(),
            kind: self.kind,
            found: found.to_string(),
            hint: hint.to_owned(),
        }
    }

    fn misfit(self, found: Shape, hint: String) -> ModelError {
        ModelError::Fit {
            layer: self.path.to_owned(),
            kind: self.kind,
            found: found.to_string(),
            hint,
        }
    }
}

/// PyTorch's argument for a layer without bias.
fn no_bias(bias: bool) -> &'static str {
    if bias { "" } else { ", bias=False" }
}
