//! Why a model cannot be built from a job and a data set's shape.

use commonweal_core::LayoutError;

/// Why a model cannot be built.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// A layer got an input of a shape that it cannot take.
    #[error("layer {layer} of the model ({kind}) cannot take {found}; {hint}")]
    Input {
        /// Place in the list, from 0, with the place in a residual's list after a point.
        layer: String,
        /// The layer's kind, as in the job file.
        kind: &'static str,
        /// What came in.
        found: String,
        /// What to do.
        hint: String,
    },
    /// A window, or a division into groups, that does not fit the image.
    #[error("layer {layer} of the model ({kind}) does not fit {found}: {hint}")]
    Fit {
        /// Place in the list.
        layer: String,
        /// The layer's kind.
        kind: &'static str,
        /// What came in.
        found: String,
        /// What to do.
        hint: String,
    },
    /// The last layer gives another number of values than the data ask for.
    #[error(
        "the model ends with {found}, but the data ask for {expected}: leave out `units` of the \
         last dense layer, and it follows from the data"
    )]
    Outputs {
        /// What the target needs.
        expected: String,
        /// What the last layer gives.
        found: String,
    },
    /// The model's loss does not go with what the data ask for.
    #[error("a {kind} model cannot learn {target}; {hint}")]
    Target {
        /// The model's kind, as in the job file.
        kind: &'static str,
        /// What the data ask for.
        target: String,
        /// What to do.
        hint: &'static str,
    },
    /// A worker's model has its layout there.
    #[error("an external model is built by its worker process, not here: name its trainer")]
    External,
    /// A residual sum whose list of layers changes the shape.
    #[error(
        "the residual at layer {layer} turns {before} into {after}: its layers must keep the shape"
    )]
    Residual {
        /// Place in the list.
        layer: String,
        /// Shape before.
        before: String,
        /// Shape after.
        after: String,
    },
    /// Tensors of one layer with different scopes.
    #[error("the layer of tensor {tensor:?} has tensors of several scopes: give all of them one")]
    SplitLayer {
        /// The layer's first tensor.
        tensor: String,
    },
    /// The tensors make no layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}
