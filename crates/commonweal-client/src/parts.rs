//! What is in a report: every tensor of an update, every vector beside it, every metric.

use commonweal_core::{
    Layout, Message, MetricSpec, Payload, PrepareSpec, Statistic, Task, TaskKind,
};

use crate::record::Part;

/// The parts of a report of `task`, in the order in which their bytes lie in it.
pub(crate) fn parts(task: &Task, payload: &Payload, layout: Option<&Layout>) -> Vec<Part> {
    let bytes = payload.as_bytes().len() as u64;
    match &task.kind {
        TaskKind::Prepare(spec) => prepare_parts(spec, bytes),
        TaskKind::Train(plan) => {
            let mut parts = vec![scalar("model version", "u64", 8)];
            parts.push(scalar("weight", "u32", 4));
            parts.extend(metric_parts(&plan.metrics, payload));
            parts.extend(layout.into_iter().flat_map(tensor_parts));
            parts.extend(plan.pipeline.extras.iter().map(|extra| Part {
                name: extra.name.clone(),
                shape: vec![extra.len],
                element: "i32".to_owned(),
                bytes: 4 * extra.len as u64,
            }));
            parts
        }
        TaskKind::Evaluate(plan) => {
            let mut parts = vec![scalar("model version", "u64", 8)];
            parts.extend(metric_parts(&plan.metrics, payload));
            parts
        }
    }
}

/// The tensors that clients train together: what an update changes of each.
fn tensor_parts(layout: &Layout) -> impl Iterator<Item = Part> + '_ {
    let shared = layout.shared_len();
    let tensors = layout.tensors().iter();
    tensors
        .filter(move |tensor| tensor.range().end <= shared)
        .map(|tensor| Part {
            name: tensor.name.to_string(),
            shape: tensor.shape.to_vec(),
            element: "i32".to_owned(),
            bytes: 4 * tensor.len() as u64,
        })
}

/// One sum or several for each metric; how many is told by the report itself.
fn metric_parts(spec: &MetricSpec, payload: &Payload) -> Vec<Part> {
    let sums = match payload.parse() {
        Ok(Message::Update(update)) => update.metrics.len(),
        Ok(Message::Metrics { sums, .. }) => sums.len(),
        _ => 0,
    };
    let names: Vec<&str> = spec.kinds().iter().map(|kind| kind.name()).collect();
    vec![Part {
        name: format!("sums of {}", names.join(", ")),
        shape: vec![sums],
        element: "i64".to_owned(),
        bytes: 8 * sums as u64,
    }]
}

fn prepare_parts(spec: &PrepareSpec, bytes: u64) -> Vec<Part> {
    let columns = spec.columns.iter().map(|column| {
        let what = match column.statistic {
            Statistic::Moments => "count, sum and sum of squares",
            Statistic::Levels => "distinct texts with their counts",
        };
        format!("{}: {what}", column.name)
    });
    let mut names: Vec<String> = vec!["clients and rows".to_owned()];
    names.extend(columns);
    vec![Part {
        name: names.join("; "),
        shape: vec![names.len()],
        element: "sums".to_owned(),
        bytes,
    }]
}

fn scalar(name: &str, element: &str, bytes: u64) -> Part {
    Part {
        name: name.to_owned(),
        shape: Vec::new(),
        element: element.to_owned(),
        bytes,
    }
}
