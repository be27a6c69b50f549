//! One way forward and one way back through the layers of a model.

use commonweal_core::SeedRng;
use commonweal_kernels::Real;
use commonweal_kernels::dense::Descent;
use commonweal_kernels::product::Output;

use crate::batch::Batch;
use crate::layer::{Layer, Learning, Pass};
use crate::model::{Model, Step};
use crate::workspace::Workspace;

/// What the way back does with the parameters' gradients.
pub(crate) enum Learn<'a, T> {
    /// Steps at once, layer by layer.
    Descend(&'a mut [T], Descent<T>),
    /// Writes or adds them into the workspace.
    Gradient(&'a [T], Output),
}

impl<T> Learn<'_, T> {
    fn parameters(&self) -> &[T] {
        match self {
            Self::Descend(parameters, _) => parameters,
            Self::Gradient(parameters, _) => parameters,
        }
    }
}

impl Model {
    /// Mean loss of `batch` at `parameters` and, in the workspace, its gradient.
    ///
    /// Nothing is dropped out: `dropout` layers pass their input on.
    ///
    /// # Panics
    /// If a length does not fit the model or the workspace.
    pub fn gradient<T: Real>(
        &self,
        parameters: &[T],
        batch: &Batch<'_, T>,
        workspace: &mut Workspace<T>,
    ) -> f64 {
        workspace.load(batch);
        workspace.set_scales(None, workspace.total_weight(None));
        self.learn(
            Learn::Gradient(parameters, Output::Set),
            workspace,
            &mut None,
        )
    }

    /// One step of plain gradient descent on the mean loss of `batch`; returns the loss before it.
    ///
    /// # Panics
    /// If a length does not fit the model or the workspace.
    pub fn descend<T: Real>(
        &self,
        parameters: &mut [T],
        batch: &Batch<'_, T>,
        descent: Descent<T>,
        workspace: &mut Workspace<T>,
    ) -> f64 {
        workspace.load(batch);
        workspace.set_scales(None, workspace.total_weight(None));
        self.learn(Learn::Descend(parameters, descent), workspace, &mut None)
    }

    /// Computes the outputs for the loaded examples.
    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &[T],
        workspace: &mut Workspace<T>,
        dropout: &mut Option<SeedRng>,
    ) {
        let Workspace {
            values,
            caches,
            scratch,
            tokens,
            batch,
            ..
        } = workspace;
        for (step, cache) in self.steps.iter().zip(caches) {
            let (before, after) = values.split_at_mut(step.y);
            let pass = Pass {
                batch: *batch,
                tokens,
                dropout: dropout.as_mut(),
                cache,
                scratch,
            };
            let x = self.loaded(step.x, &before[step.x], pass.batch);
            let skip = step
                .skip
                .map_or(&[][..], |at| self.loaded(at, &before[at], pass.batch));
            let y = &mut after[0][..pass.batch * self.slots[step.y].width()];
            step.layer
                .forward(&parameters[step.parameters.clone()], x, skip, y, pass);
        }
    }

    /// Forward, loss and backward for the loaded examples; returns `Σ scale · loss`.
    pub(crate) fn learn<T: Real>(
        &self,
        mut learn: Learn<'_, T>,
        workspace: &mut Workspace<T>,
        dropout: &mut Option<SeedRng>,
    ) -> f64 {
        self.forward(learn.parameters(), workspace, dropout);
        let last = self.slots.len() - 1;
        let mut gradient = std::mem::take(&mut workspace.gradients[last]);
        let outputs = workspace.outputs();
        let rows = outputs.len();
        let loss = self
            .head
            .loss(outputs, workspace.goals(), &mut gradient[..rows]);
        workspace.gradients[last] = gradient;
        for at in (0..self.steps.len()).rev() {
            self.step_back(at, &mut learn, workspace);
        }
        loss
    }

    fn step_back<T: Real>(
        &self,
        at: usize,
        learn: &mut Learn<'_, T>,
        workspace: &mut Workspace<T>,
    ) {
        let step = &self.steps[at];
        let Workspace {
            values,
            gradients,
            caches,
            scratch,
            gradient,
            tokens,
            batch,
            ..
        } = workspace;
        let (before, after) = gradients.split_at_mut(step.y);
        let dy = &mut after[0][..*batch * self.slots[step.y].width()];
        if let (Layer::Add(_), Some(skip)) = (&step.layer, step.skip) {
            // The body's share is added by the copy that feeds it, later on the way back.
            let skip = &mut before[skip];
            if let Some(skip) = skip.get_mut(..dy.len()) {
                skip.copy_from_slice(dy);
            }
        }
        let dx = match step.passes_gradient {
            true => Some(&mut before[step.x][..*batch * self.slots[step.x].width()]),
            false => None,
        };
        let pass = Pass {
            batch: *batch,
            tokens,
            dropout: None,
            cache: &mut caches[at],
            scratch,
        };
        let x = self.loaded(step.x, &values[step.x], pass.batch);
        let y = self.loaded(step.y, &values[step.y], pass.batch);
        step.layer
            .backward(learning(step, learn, gradient), x, y, dy, dx, pass);
    }

    /// The part of a slot that the loaded examples fill; tokens are not values.
    fn loaded<'a, T>(&self, slot: usize, values: &'a [T], batch: usize) -> &'a [T] {
        match values.is_empty() {
            true => values,
            false => &values[..batch * self.slots[slot].width()],
        }
    }
}

/// The step's own part of the parameters and of their gradient.
fn learning<'a, T: Real>(
    step: &Step,
    learn: &'a mut Learn<'_, T>,
    gradient: &'a mut [T],
) -> Learning<'a, T> {
    let range = step.parameters.clone();
    let gradient = &mut gradient[range.clone()];
    match learn {
        Learn::Descend(parameters, descent) => {
            let (parameters, descent) = (&mut parameters[range], *descent);
            match step.frozen {
                true => Learning::Gradient {
                    parameters,
                    gradient,
                    output: Output::Set,
                },
                false => Learning::Descend {
                    parameters,
                    gradient,
                    descent,
                },
            }
        }
        Learn::Gradient(parameters, output) => Learning::Gradient {
            parameters: &parameters[range],
            gradient,
            output: *output,
        },
    }
}
