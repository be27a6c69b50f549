//! Rules that tie several keys together, and the defaults that follow from other keys.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value as Json, json};

use super::check::{Checked, Places};
use super::error::{JobError, Problem};
use super::reference::Words;
use crate::ClientName;

/// Fills in the defaults that follow from other keys.
pub(super) fn complete(json: &mut Json) {
    let model = word_at(json, "/model/kind");
    let strategy = word_at(json, "/strategy/kind");
    let metrics: &[&str] = match model.as_deref() {
        Some("linear") => &["loss", "mean_squared_error"],
        _ => &["loss", "accuracy"],
    };
    let batch = if strategy.as_deref() == Some("fed_sgd") {
        json!("all")
    } else {
        json!(32)
    };
    let is_natural = json.pointer("/simulation/clients").is_none();
    let partition = if is_natural { "natural" } else { "iid" };
    default(json, "/evaluation", "metrics", json!(metrics));
    default(json, "/training", "batch_size", batch);
    default(
        json,
        "/simulation",
        "partition",
        json!({ "kind": partition }),
    );
    if let Some(column) = word_at(json, "/simulation/partition/column") {
        default(json, "/data", "client", json!(column));
    }
    for (table, from, to) in [
        ("/data/windows", "length", "stride"),
        ("/data/text", "sequence_length", "stride"),
    ] {
        if let Some(value) = json
            .pointer(table)
            .and_then(|table| table.get(from))
            .cloned()
        {
            default(json, table, to, value);
        }
    }
    let data = word_at(json, "/data/name").or(word_at(json, "/name"));
    if let Some(data) = data {
        default(json, "/deployment", "data", json!(data));
    }
    if let Some(minimum) = json.pointer("/cohort/minimum").cloned() {
        default(json, "/deployment", "clients", minimum);
    }
    if let Some(metric) = judged_by(json) {
        default(json, "/evaluation", "metric", metric);
    }
}

fn word_at(json: &Json, path: &str) -> Option<String> {
    let word = json.pointer(path).and_then(Json::as_str);
    word.map(ToString::to_string)
}

fn default(json: &mut Json, table: &str, name: &str, value: Json) {
    if let Some(table) = json.pointer_mut(table).and_then(Json::as_object_mut) {
        table.entry(name).or_insert(value);
    }
}

/// The first metric other than the loss, or else the loss.
fn judged_by(json: &Json) -> Option<Json> {
    let metrics = json.pointer("/evaluation/metrics")?.as_array()?;
    metrics
        .iter()
        .find(|metric| *metric != "loss")
        .or(metrics.first())
        .cloned()
}

/// What is fine key by key and does not fit together.
pub(super) fn broken(checked: &Checked) -> Vec<JobError> {
    let mut rules = Rules {
        json: &checked.json,
        places: &checked.places,
        errors: Vec::new(),
    };
    rules.metrics();
    rules.stop();
    rules.sampling();
    rules.size();
    rules.training();
    rules.trainer();
    rules.data();
    rules.partition();
    rules.deployment();
    rules.errors
}

struct Rules<'a> {
    json: &'a Json,
    places: &'a Places,
    errors: Vec<JobError>,
}

impl<'a> Rules<'a> {
    /// Refuses the key at `path` for the reason `rule`.
    fn refuse(&mut self, path: &str, rule: String) {
        let place = self.places.of(path);
        self.errors.push(JobError {
            place,
            key: path.to_string(),
            problem: Problem::Rule { rule },
        });
    }

    fn value(&self, path: &str) -> Option<&'a Json> {
        path.split('.').try_fold(self.json, |at, name| at.get(name))
    }

    fn word(&self, path: &str) -> Option<&'a str> {
        self.value(path).and_then(Json::as_str)
    }

    fn number(&self, path: &str) -> Option<f64> {
        self.value(path).and_then(Json::as_f64)
    }

    fn is_given(&self, path: &str) -> bool {
        self.places.is_given(path)
    }

    fn metrics(&mut self) {
        let listed: Vec<&str> = self
            .value("evaluation.metrics")
            .and_then(Json::as_array)
            .map(|metrics| metrics.iter().filter_map(Json::as_str).collect())
            .unwrap_or_default();
        for path in ["evaluation.metric", "stop.metric", "expect.metric"] {
            let Some(metric) = self.word(path) else {
                continue;
            };
            if !listed.contains(&metric) {
                let rule = format!(
                    "`{path}` is \"{metric}\", which is not measured: add it to \
                     `evaluation.metrics`, now {}",
                    Words(&listed)
                );
                self.refuse(path, rule);
            }
        }
    }

    fn stop(&mut self) {
        let ends = ["stop.at_least", "stop.at_most", "stop.patience"];
        if self.is_given("stop") && !ends.iter().any(|path| self.is_given(path)) {
            let rule = "[stop] never ends a run: give `at_least`, `at_most` or `patience`";
            self.refuse("stop", rule.to_string());
        }
    }

    fn sampling(&mut self) {
        let sampling = self.word("cohort.sampling").unwrap_or_default();
        if sampling == "poisson" && self.value("cohort.target").is_some() {
            let rule = "`cohort.sampling` \"poisson\" takes each client with probability \
                        `cohort.fraction`: give that instead of `cohort.target`";
            self.refuse("cohort.target", rule.to_string());
        }
        let is_part = self
            .number("cohort.fraction")
            .is_some_and(|share| share < 1.0);
        if sampling == "all" && (is_part || self.value("cohort.target").is_some()) {
            let rule = "`cohort.sampling` \"all\" takes all clients: remove `fraction` and \
                        `target`, or choose \"uniform\" or \"poisson\"";
            self.refuse("cohort.sampling", rule.to_string());
        }
    }

    /// A cohort that can never have its minimum, or more clients than there are.
    fn size(&mut self) {
        let clients = self.number("simulation.clients");
        for path in ["cohort.target", "cohort.minimum"] {
            if let (Some(clients), Some(wanted)) = (clients, self.number(path))
                && wanted > clients
            {
                let rule = format!(
                    "`{path}` is {wanted} and there are {clients} clients \
                     (`simulation.clients`); lower it to at most {clients}"
                );
                self.refuse(path, rule);
                return;
            }
        }
        let (wanted, what) = match (self.number("cohort.target"), clients) {
            (Some(target), _) => (target, format!("`cohort.target` is {target}")),
            (None, Some(clients)) => {
                let fraction = self.number("cohort.fraction").unwrap_or(1.0);
                let wanted = libm::round(fraction * clients).max(1.0);
                let what = format!("`cohort.fraction` {fraction} of {clients} clients is {wanted}");
                (wanted, what)
            }
            (None, None) => return,
        };
        let is_drawn = self.word("cohort.sampling") == Some("poisson");
        if let Some(minimum) = self.number("cohort.minimum")
            && minimum > wanted
            && !is_drawn
        {
            let rule = format!(
                "`cohort.minimum` is {minimum} and {what}: every round would be abandoned; lower \
                 `minimum` to at most {wanted}"
            );
            self.refuse("cohort.minimum", rule);
        }
    }

    fn training(&mut self) {
        let nesterov = self.value("training.optimizer.nesterov") == Some(&Json::Bool(true));
        if nesterov && self.number("training.optimizer.momentum") == Some(0.0) {
            let rule = "`training.optimizer.nesterov` needs a `momentum` above 0, such as 0.9";
            self.refuse("training.optimizer.nesterov", rule.to_string());
        }
        if self.word("strategy.kind") == Some("fed_sgd") {
            let fits = self.word("training.batch_size") == Some("all")
                && [
                    self.number("training.epochs"),
                    self.number("training.steps"),
                ]
                .iter()
                .all(|length| length.is_none_or(|length| length == 1.0));
            if !fits {
                let rule = "`strategy.kind` \"fed_sgd\" is one step on all rows of each client: \
                            remove `batch_size`, `epochs` and `steps` from [training], or choose \
                            \"fed_avg\"";
                self.refuse("strategy.kind", rule.to_string());
            }
        }
        let warmup = self
            .number("training.schedule.warmup_rounds")
            .unwrap_or(0.0);
        let rounds = self.number("rounds").unwrap_or(f64::INFINITY);
        if warmup > rounds {
            let rule = format!(
                "`training.schedule.warmup_rounds` is {warmup}, more than all {rounds} rounds"
            );
            self.refuse("training.schedule.warmup_rounds", rule);
        }
    }

    /// An external model needs a trainer that is not the built-in one.
    fn trainer(&mut self) {
        let trainer = self.word("training.trainer").unwrap_or_default();
        let external = self.word("model.kind") == Some("external");
        if external && trainer == super::BUILT_IN_TRAINER {
            let rule = "`model.kind` \"external\" needs a trainer that brings the model: set \
                        `training.trainer` to a name of [simulation.trainers]";
            self.refuse("model.kind", rule.to_string());
        }
    }

    fn data(&mut self) {
        let empty = Map::new();
        let columns = self
            .value("data.columns")
            .and_then(Json::as_object)
            .unwrap_or(&empty);
        let mut refused: Vec<(String, String)> = Vec::new();
        for list in ["data.features", "data.drop"] {
            for name in self
                .value(list)
                .and_then(Json::as_array)
                .into_iter()
                .flatten()
            {
                let Some(name) = name.as_str() else { continue };
                let is_dropped = columns
                    .get(name)
                    .is_some_and(|column| column["kind"] == "drop");
                if list == "data.features" && is_dropped {
                    let rule = format!("column \"{name}\" is in `data.features` and dropped");
                    refused.push((list.to_string(), rule));
                }
                for role in ["data.label", "data.client", "data.group"] {
                    if list == "data.features" && self.word(role) == Some(name) {
                        let rule = format!(
                            "column \"{name}\" is `{role}` and cannot be a feature too: remove it \
                             from `data.features`"
                        );
                        refused.push((list.to_string(), rule));
                    }
                }
            }
        }
        for list in ["data.classes", "data.features"] {
            if let Some(name) = self.value(list).and_then(repeated) {
                refused.push((list.to_string(), format!("`{list}` has \"{name}\" twice")));
            }
        }
        for (path, rule) in refused {
            self.refuse(&path, rule);
        }
        let vocabulary = self.word("data.text.vocabulary").map(repeated_character);
        if let Some(Some(character)) = vocabulary {
            let rule = format!("`data.text.vocabulary` has {character:?} twice");
            self.refuse("data.text.vocabulary", rule);
        }
        let pattern = self.word("data.text.client_pattern");
        if pattern.is_some_and(|pattern| pattern.matches("{client}").count() != 1) {
            let rule = "`data.text.client_pattern` must have `{client}` once, such as `{client}.`";
            self.refuse("data.text.client_pattern", rule.to_string());
        }
    }

    fn partition(&mut self) {
        let kind = self.word("simulation.partition.kind").unwrap_or_default();
        if kind != "natural" && self.value("simulation.clients").is_none() {
            let rule = format!(
                "`simulation.clients` is missing: the partition \"{kind}\" needs the number of \
                 clients"
            );
            self.refuse("simulation.partition", rule);
        }
        let column = self.word("simulation.partition.column");
        let client = self.word("data.client").unwrap_or_default();
        if let Some(column) = column.filter(|&column| column != client) {
            let rule = format!(
                "the partition deals by the column \"{column}\", and `data.client` is \"{client}\": \
                 remove one of the two"
            );
            self.refuse("simulation.partition.column", rule);
        }
    }

    /// Nodes that can be named, and enough of them to begin.
    fn deployment(&mut self) {
        let clients = self.number("deployment.clients").unwrap_or(1.0);
        if let Some(minimum) = self.number("cohort.minimum")
            && clients < minimum
        {
            let rule = format!(
                "`deployment.clients` is {clients} and `cohort.minimum` is {minimum}: the run would \
                 begin with fewer nodes than a round needs; raise it to at least {minimum}"
            );
            self.refuse("deployment.clients", rule);
        }
        let Some(nodes) = self.value("deployment.nodes") else {
            return;
        };
        if let Some(name) = repeated(nodes) {
            let rule = format!("`deployment.nodes` has \"{name}\" twice");
            self.refuse("deployment.nodes", rule);
        }
        let nodes = nodes.as_array().map(Vec::as_slice).unwrap_or_default();
        if clients > nodes.len() as f64 {
            let rule = format!(
                "`deployment.nodes` names {} nodes, and the run begins with {clients} \
                 (`deployment.clients`, or else `cohort.minimum`): name more, or lower it",
                nodes.len()
            );
            self.refuse("deployment.nodes", rule);
        }
        for (index, name) in nodes.iter().filter_map(Json::as_str).enumerate() {
            if let Err(fault) = ClientName::try_from(name) {
                let path = format!("deployment.nodes.{index}");
                self.refuse(&path, format!("`{path}` is no node's name: {fault}"));
            }
        }
    }
}

/// A text that stands twice in a list.
fn repeated(list: &Json) -> Option<&str> {
    let items: Vec<&str> = list.as_array()?.iter().filter_map(Json::as_str).collect();
    let mut sorted = items;
    sorted.sort_unstable();
    sorted
        .windows(2)
        .find(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
}

fn repeated_character(text: &str) -> Option<char> {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters
        .windows(2)
        .find(|pair| pair[0] == pair[1])
        .map(|pair| pair[0])
}
