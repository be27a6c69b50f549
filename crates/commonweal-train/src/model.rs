//! A model: layers over one flat parameter vector, with PyTorch's tensor names, shapes and gate order.

use std::ops::Range;
use std::sync::Arc;

use commonweal_core::{Layout, Parameters, Scope, Seed, TensorSpec};
use commonweal_data::{ExampleShape, Target};

use crate::error::ModelError;
use crate::head::Head;
use crate::initial::Initial;
use crate::layer::Layer;
use crate::shape::Shape;

/// What is learned: layers, their sizes, and the layout of their parameters.
///
/// Immutable and shared between threads; each thread brings its own [`Workspace`](crate::Workspace).
#[derive(Debug, Clone)]
pub struct Model {
    pub(crate) example: ExampleShape,
    pub(crate) steps: Vec<Step>,
    /// Shapes of the values between the layers; the first is the input's.
    pub(crate) slots: Vec<Shape>,
    pub(crate) head: Head,
    pub(crate) layout: Arc<Layout>,
    /// Of each tensor of the layout, in its order.
    pub(crate) initials: Vec<Initial>,
    /// The lines of the PyTorch module.
    pub(crate) torch: Vec<String>,
}

/// One layer at its place between the values.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) layer: Layer,
    /// Slot it reads.
    pub(crate) x: usize,
    /// Slot it reads as well, for a residual sum.
    pub(crate) skip: Option<usize>,
    /// Slot it writes, always above those it reads.
    pub(crate) y: usize,
    /// Tensors of the layout that are its parameters.
    pub(crate) tensors: Range<usize>,
    /// The same tensors' values in the flat vector.
    pub(crate) parameters: Range<usize>,
    /// Whether its parameters stay as they are.
    pub(crate) frozen: bool,
    /// Whether the gradient of `x` is of use to an earlier layer.
    pub(crate) passes_gradient: bool,
}

impl Model {
    /// Tensors by name, shape and scope.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// What the model takes in and what it is to say.
    pub fn example(&self) -> &ExampleShape {
        &self.example
    }

    /// Numbers that the model says of one example: a score a class (and a position, for
    /// sequences), or one value.
    pub fn outputs(&self) -> usize {
        self.output_shape().width()
    }

    /// Classes or tokens that the target has; 0 where it is a value.
    pub(crate) fn classes(&self) -> usize {
        match self.example.target {
            Target::Classes(classes) | Target::NextTokens(classes) => classes,
            Target::Value => 0,
        }
    }

    pub(crate) fn output_shape(&self) -> Shape {
        self.slots[self.slots.len() - 1]
    }

    /// Most examples that are computed at once: larger batches go in blocks of this many, whose
    /// gradients are summed. It follows from the model alone, so that results do too.
    pub fn block(&self) -> usize {
        const VALUES: usize = 8 << 20;
        let width: usize = self.slots.iter().map(|shape| shape.width()).sum();
        (VALUES / width.max(1)).clamp(1, 256)
    }

    /// Initial values, drawn from `seed` tensor by tensor: the same for the same names and shapes.
    ///
    /// Weights of dense and convolution layers that ReLU or GELU follows are uniform with variance
    /// `2 / inputs` (He et al. 2015, arXiv:1502.01852), their biases 0. Others are PyTorch's:
    /// weights and biases of dense and convolution layers uniform within `±1/√inputs`, of LSTMs
    /// within `±1/√hidden`; embeddings standard normal; scales of norms 1, their shifts 0.
    pub fn initial(&self, seed: &Seed) -> Parameters {
        let mut parameters = Parameters::zeros(Arc::clone(&self.layout));
        for (tensor, initial) in self.layout.tensors().iter().zip(&self.initials) {
            initial.fill(
                seed,
                &tensor.name,
                &mut parameters.values_mut()[tensor.range()],
            );
        }
        parameters
    }

    /// The same model with other scopes: `scope` is asked for each tensor's by its name.
    ///
    /// # Errors
    /// [`ModelError::SplitLayer`] if tensors of one layer got different scopes;
    /// [`ModelError::Layout`] if nothing is shared.
    pub fn with_scopes(mut self, scope: impl Fn(&str) -> Scope) -> Result<Self, ModelError> {
        let specs = self.layout.tensors().iter().map(|tensor| TensorSpec {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
            scope: scope(&tensor.name),
            export: tensor.export,
        });
        self.layout = Arc::new(Layout::new(specs.collect())?);
        self.place()?;
        Ok(self)
    }

    pub(crate) fn has_dropout(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step.layer, Layer::Dropout(_)))
    }

    /// Finds every layer's parameters in the layout.
    pub(crate) fn place(&mut self) -> Result<(), ModelError> {
        for step in &mut self.steps {
            let tensors = &self.layout.tensors()[step.tensors.clone()];
            let (Some(first), Some(last)) = (tensors.first(), tensors.last()) else {
                continue;
            };
            if tensors.iter().any(|tensor| tensor.scope != first.scope) {
                return Err(ModelError::SplitLayer {
                    tensor: first.name.clone(),
                });
            }
            step.parameters = first.offset..last.range().end;
            step.frozen = first.scope == Scope::Frozen;
        }
        Ok(())
    }
}
