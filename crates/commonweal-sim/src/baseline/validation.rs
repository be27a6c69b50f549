//! By which rows the best of the models that clients train alone is chosen. Never by test rows.

use commonweal_core::Seed;
use commonweal_core::job::Data;
use commonweal_data::{HoldOut, Roster, Split};

/// Share of its training rows that a client alone sets aside to be chosen by, where the job holds none out.
const SET_ASIDE: f64 = 0.1;

/// Where these rows come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ChosenBy {
    /// The job holds this share out for everybody: a client's model is measured on its part of them.
    HeldOut(f64),
    /// Each client sets training rows aside for a first model, which is only measured on them; the model
    /// that counts learns from all its training rows.
    SetAside(HoldOut),
}

impl ChosenBy {
    pub(super) fn of(data: &Data) -> Self {
        match data.validation {
            share if share > 0.0 => Self::HeldOut(share),
            _ => Self::SetAside(HoldOut {
                fraction: SET_ASIDE,
                stratify: data.stratify,
                by_client: false,
            }),
        }
    }

    /// What the first model of a client with these training rows learns from and is measured on; none if
    /// there is no such model, or nothing would be left for either.
    pub(super) fn first_split(self, roster: &Roster, train: &[u32], seed: &Seed) -> Option<Split> {
        match self {
            Self::HeldOut(_) => None,
            Self::SetAside(hold_out) => Some(hold_out.split(roster, train, |_| seed.clone()))
                .filter(|split| !split.test.is_empty()),
        }
    }

    /// Rows that the models of a client with so many training rows learn from a piece; about, where rows
    /// stay together in groups.
    pub(super) fn learned_rows(self, train: u64) -> u64 {
        match self {
            Self::HeldOut(_) => train,
            Self::SetAside(hold_out) => {
                2 * train - ((train as f64 * hold_out.fraction).ceil() as u64).min(train)
            }
        }
    }

    /// By what the best client is chosen.
    pub(super) fn words(self) -> String {
        match self {
            Self::HeldOut(share) => format!(
                "the one that is best on its rows held out for validation ({:.0} %)",
                100.0 * share
            ),
            Self::SetAside(hold_out) => format!(
                "the one whose model without {:.0} % of its training rows is best on these",
                100.0 * hold_out.fraction
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Job;
    use commonweal_data::Categories;

    use super::*;

    fn chosen_by(validation: &str) -> ChosenBy {
        let text = format!(
            "name = \"a\"\nrounds = 5\n[data]\nname = \"digits\"\n{validation}\n\
             [simulation]\nclients = 5\n[model]\nkind = \"softmax\"\n"
        );
        ChosenBy::of(&Job::parse(&text).unwrap().data)
    }

    #[test]
    fn rows_of_one_group_are_never_on_both_sides() {
        let groups: Vec<String> = (0..40).map(|row| (row / 4).to_string()).collect();
        let roster = Roster::new(40).with_groups(Categories::of(groups.iter().map(String::as_str)));
        let train: Vec<u32> = (0..40).collect();
        let split = chosen_by("").first_split(&roster, &train, &Seed::from(1));
        let split = split.unwrap();
        assert_eq!((split.train.len(), split.test.len()), (36, 4));
        assert!(split.test.iter().all(|row| row / 4 == split.test[0] / 4));
    }

    #[test]
    fn a_client_gives_up_no_row_where_the_job_holds_rows_out_for_everybody() {
        let train: Vec<u32> = (0..40).collect();
        let chosen_by = chosen_by("validation = 0.2");
        let split = chosen_by.first_split(&Roster::new(40), &train, &Seed::from(1));
        assert_eq!(split, None);
        assert_eq!(chosen_by.learned_rows(40), 40);
    }
}
