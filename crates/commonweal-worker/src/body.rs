//! What the bodies hold: model, rows and state on the way out; a trained model and measurements on the way in.
//!
//! Tensors of the model are called `model.<name>`, those that a client keeps for itself `state.<name>`.

use std::sync::Arc;

use commonweal_core::{
    ClientState, ExportType, Layout, LayoutError, MetricError, MetricSpec, MetricSums, Outcome,
    Parameters, Prediction, Scope, Tensor, TensorSpec,
};

use crate::archive::{Archive, ArchiveError, Entry, Tensors, copy_floats};

/// Version of the format of the [`ClientState`] kept for a worker: the local tensors and the worker's own.
pub(crate) const STATE_VERSION: u16 = 1;

const MODEL: &str = "model.";
const STATE: &str = "state.";

/// Why a worker's body was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// No tensors, or not the right ones.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A tensor that nobody asked for.
    #[error("tensor {name:?} is none of the model's, nor named \"state.…\"")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A tensor of another shape.
    #[error("tensor {name:?} has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The model's shape.
        expected: Vec<usize>,
        /// The worker's.
        found: Vec<usize>,
    },
    /// A NaN or an infinity.
    #[error("tensor {name:?} holds a value that is not a finite number")]
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// Tensors that make no model.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Measurements of different lengths.
    #[error("tensor {name:?} has {found} values, but \"loss\" has {expected}")]
    Length {
        /// The tensor.
        name: &'static str,
        /// Values of `loss`.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// A label or prediction that is no class number.
    #[error("tensor {name:?} holds {found}, which is no class number")]
    Class {
        /// The tensor.
        name: &'static str,
        /// The value.
        found: f64,
    },
    /// What was measured cannot be counted.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// The body of a request: `rows` under their names, class weights, the model with the client's own
/// tensors in place, and the client's state.
///
/// # Errors
/// The state is broken.
pub(crate) fn request(
    rows: &[(&str, &[u32])],
    class_weights: Option<&[f32]>,
    model: &Parameters,
    state: &ClientState,
) -> Result<Vec<u8>, BodyError> {
    let kept = match &*state.bytes {
        [] => None,
        bytes => Some(Tensors::parse(bytes)?),
    };
    let mut own = model.values()[model.layout().shared_len()..].to_vec();
    let own_range = |tensor: &Tensor| {
        let range = tensor.range();
        let start = model.layout().shared_len();
        range.start - start..range.end - start
    };
    let mut archive = Archive::default();
    for (name, view) in kept.iter().flat_map(Tensors::iter) {
        match name.strip_prefix(MODEL) {
            Some(name) => {
                if let Some(tensor) = local(model.layout(), name, view.shape()) {
                    fill(name, &view, &mut own[own_range(tensor)])?;
                }
            }
            None => archive.bytes(Entry::new(name, view.dtype(), view.shape()), view.data()),
        }
    }
    for &(name, rows) in rows {
        archive.rows(name, rows);
    }
    if let Some(weights) = class_weights {
        archive.floats("class_weights".into(), &[weights.len()], weights);
    }
    for tensor in model.layout().tensors() {
        let values = match tensor.scope {
            Scope::Shared => &model.values()[tensor.range()],
            Scope::Frozen | Scope::Local => &own[own_range(tensor)],
        };
        put(&mut archive, tensor, values);
    }
    Ok(archive.into_bytes())
}

/// A trained model: its shared values, and the state that the client keeps.
///
/// # Errors
/// A tensor is missing, unknown, of another shape or type, or not finite.
pub fn update(layout: &Layout, body: &[u8]) -> Result<(Vec<f32>, ClientState), BodyError> {
    let tensors = Tensors::parse(body)?;
    let mut values = vec![0.0; layout.len()];
    let mut state = Archive::default();
    let mut found = 0;
    for (name, view) in tensors.iter() {
        if name.starts_with(STATE) {
            state.bytes(Entry::new(name, view.dtype(), view.shape()), view.data());
            continue;
        }
        let tensor = name
            .strip_prefix(MODEL)
            .and_then(|name| layout.tensor(name));
        let tensor = tensor.ok_or_else(|| BodyError::Unknown { name: name.into() })?;
        same_shape(tensor, view.shape())?;
        fill(&tensor.name, &view, &mut values[tensor.range()])?;
        found += usize::from(tensor.scope != Scope::Frozen);
    }
    if found
        < layout
            .tensors()
            .iter()
            .filter(|tensor| tensor.scope != Scope::Frozen)
            .count()
    {
        let missing = layout.tensors().iter().find(|tensor| {
            tensor.scope != Scope::Frozen && !tensors.has(&format!("{MODEL}{}", tensor.name))
        });
        let name = missing.map_or_else(String::new, |tensor| format!("{MODEL}{}", tensor.name));
        return Err(ArchiveError::Missing { name }.into());
    }
    for tensor in layout
        .tensors()
        .iter()
        .filter(|tensor| tensor.scope == Scope::Local)
    {
        put(&mut state, tensor, &values[tensor.range()]);
    }
    let bytes = if state.is_empty() {
        Vec::new()
    } else {
        state.into_bytes()
    };
    values.truncate(layout.shared_len());
    let version = STATE_VERSION;
    Ok((values, ClientState { version, bytes }))
}

/// A model that a worker declares.
///
/// # Errors
/// The tensors make no model, or the body does not hold their values.
pub fn initial(specs: Vec<TensorSpec>, body: &[u8]) -> Result<Parameters, BodyError> {
    let layout = Arc::new(Layout::new(specs)?);
    let tensors = Tensors::parse(body)?;
    // The body holds every value, so memory follows what has arrived and not what was declared.
    for tensor in layout.tensors() {
        let name = format!("{MODEL}{}", tensor.name);
        let view = tensors.iter().find(|(found, _)| *found == name);
        let (_, view) = view.ok_or(ArchiveError::Missing { name })?;
        same_shape(tensor, view.shape())?;
    }
    let mut parameters = Parameters::zeros(Arc::clone(&layout));
    for (name, view) in tensors.iter() {
        let tensor = name
            .strip_prefix(MODEL)
            .and_then(|name| layout.tensor(name));
        let tensor = tensor.ok_or_else(|| BodyError::Unknown { name: name.into() })?;
        fill(
            &tensor.name,
            &view,
            &mut parameters.values_mut()[tensor.range()],
        )?;
    }
    Ok(parameters)
}

/// Sums of what was measured, one value an example: `loss`; `label`, `predicted` and, for ROC-AUC, `score`
/// if the target is a class; `target` and `predicted` if it is a number.
///
/// # Errors
/// A tensor is missing or of another length, or a value cannot be counted.
pub fn metrics(spec: &MetricSpec, body: &[u8]) -> Result<MetricSums, BodyError> {
    let tensors = Tensors::parse(body)?;
    let losses = tensors.numbers("loss")?;
    let column = |name: &'static str| -> Result<Vec<f64>, BodyError> {
        let values = tensors.numbers(name)?;
        match values.len() == losses.len() {
            true => Ok(values),
            false => Err(BodyError::Length {
                name,
                expected: losses.len(),
                found: values.len(),
            }),
        }
    };
    let predicted = column("predicted")?;
    let mut sums = spec.zero();
    if tensors.has("target") {
        for ((&loss, target), predicted) in losses.iter().zip(column("target")?).zip(predicted) {
            let outcome = Outcome::Value { target, predicted };
            sums.observe(spec, Prediction { loss, outcome })?;
        }
        return Ok(sums);
    }
    let scores = match tensors.has("score") {
        true => column("score")?,
        // Used by ROC-AUC alone, which then refuses it.
        false => vec![f64::NAN; losses.len()],
    };
    for (((&loss, label), predicted), score) in losses
        .iter()
        .zip(column("label")?)
        .zip(predicted)
        .zip(scores)
    {
        let outcome = Outcome::Class {
            label: class("label", label)?,
            predicted: class("predicted", predicted)?,
            score,
        };
        sums.observe(spec, Prediction { loss, outcome })?;
    }
    Ok(sums)
}

fn class(name: &'static str, found: f64) -> Result<u32, BodyError> {
    match found >= 0.0 && found <= f64::from(u32::MAX) && found.fract() == 0.0 {
        true => Ok(found as u32),
        false => Err(BodyError::Class { name, found }),
    }
}

fn put<'a>(archive: &mut Archive<'a>, tensor: &Tensor, values: &'a [f32]) {
    let name = format!("{MODEL}{}", tensor.name);
    match tensor.export {
        ExportType::F32 => archive.floats(name, &tensor.shape, values),
        ExportType::I64 => archive.whole(name, &tensor.shape, values),
    }
}

/// The local tensor of this name and shape; a state from before the model changed has others too.
fn local<'a>(layout: &'a Layout, name: &str, shape: &[usize]) -> Option<&'a Tensor> {
    let tensor = layout.tensor(name)?;
    (tensor.scope == Scope::Local && tensor.shape == shape).then_some(tensor)
}

fn same_shape(tensor: &Tensor, found: &[usize]) -> Result<(), BodyError> {
    if tensor.shape == found {
        return Ok(());
    }
    Err(BodyError::Shape {
        name: tensor.name.clone(),
        expected: tensor.shape.clone(),
        found: found.to_vec(),
    })
}

/// Copies a view of the right shape.
fn fill(
    name: &str,
    view: &safetensors::tensor::TensorView<'_>,
    out: &mut [f32],
) -> Result<(), BodyError> {
    copy_floats(view, out).ok_or_else(|| ArchiveError::Element {
        name: name.into(),
        expected: "F32 or I64",
        found: view.dtype().to_string(),
    })?;
    match out.iter().all(|value| value.is_finite()) {
        true => Ok(()),
        false => Err(BodyError::NotFinite { name: name.into() }),
    }
}
