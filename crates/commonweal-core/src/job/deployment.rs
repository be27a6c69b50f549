//! `[deployment]`: which nodes a run is offered to and how many it waits for; a simulation ignores it.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::ClientName;

/// What a run asks of the nodes that it is offered to. Part of the manifest: a node's owner approves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Name of the data set in each node's own file.
    pub data: String,
    /// The nodes, distinct; `None` for every node that has the data set.
    pub nodes: Option<Vec<ClientName>>,
    /// What a node must state of itself, by label or capacity.
    pub require: BTreeMap<String, Requirement>,
    /// Nodes that must be ready before the run begins, at least `cohort.minimum`.
    pub clients: u32,
    /// How long the run waits for more nodes than `clients`, seconds from its submission, at least 0.
    pub join_seconds: f64,
    /// Whether every node that was drawn for a round is waited for, so that the same nodes and data give
    /// the same model.
    pub reproducible: bool,
    /// Whether the nodes may fetch the final model.
    pub share_model: bool,
}

/// What a node must state under one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Requirement {
    /// A label that is this text.
    Is(String),
    /// A capacity of this much or more, in the unit that its name ends with.
    AtLeast(f64),
}

impl Deployment {
    /// Whether the run is for a node of this name.
    pub fn names(&self, node: &ClientName) -> bool {
        self.nodes.as_ref().is_none_or(|nodes| nodes.contains(node))
    }

    /// The requirements that a node with these `labels` does not meet, in the order of their names;
    /// `capacity` is what it states of itself as a number, `None` where it states nothing.
    pub fn unmet<'a>(
        &'a self,
        labels: &'a BTreeMap<String, String>,
        capacity: impl Fn(&str) -> Option<f64> + 'a,
    ) -> impl Iterator<Item = (&'a str, &'a Requirement)> {
        self.require
            .iter()
            .map(|(name, requirement)| (name.as_str(), requirement))
            .filter(move |(name, requirement)| {
                !requirement.is_met(labels.get(*name).map(String::as_str), capacity(name))
            })
    }
}

impl Requirement {
    /// Whether a node meets it that states this `label`, or this `capacity`. A label that reads as a number
    /// is a capacity too, where the node states no other.
    fn is_met(&self, label: Option<&str>, capacity: Option<f64>) -> bool {
        match self {
            Self::Is(text) => label == Some(text),
            Self::AtLeast(least) => {
                let stated = capacity.or_else(|| label?.parse().ok());
                stated.is_some_and(|stated| stated >= *least)
            }
        }
    }
}

impl Display for Requirement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Is(text) => write!(f, "= {text:?}"),
            Self::AtLeast(least) => write!(f, ">= {least}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_label_must_be_equal_and_a_capacity_large_enough() {
        let deployment = Deployment {
            data: "heart".to_string(),
            nodes: None,
            require: [
                ("memory_mb".to_string(), Requirement::AtLeast(2000.0)),
                ("site".to_string(), Requirement::Is("eu".to_string())),
                ("beds".to_string(), Requirement::AtLeast(10.0)),
            ]
            .into(),
            clients: 1,
            join_seconds: 0.0,
            reproducible: false,
            share_model: true,
        };
        let unmet = |site: &str, beds: &str, memory_mb: f64| -> Vec<String> {
            let labels = [("site", site), ("beds", beds)]
                .map(|(name, text)| (name.to_string(), text.to_string()));
            let labels = BTreeMap::from(labels);
            let capacity = |name: &str| (name == "memory_mb").then_some(memory_mb);
            let unmet = deployment.unmet(&labels, capacity);
            unmet
                .map(|(name, what)| alloc::format!("{name} {what}"))
                .collect()
        };
        assert_eq!(unmet("eu", "12", 2000.0), [""; 0]);
        assert_eq!(
            unmet("us", "9.5", 1999.0),
            ["beds >= 10", "memory_mb >= 2000", "site = \"eu\""]
        );
        assert_eq!(
            unmet("eu", "many", f64::NAN),
            ["beds >= 10", "memory_mb >= 2000"]
        );
    }
}
