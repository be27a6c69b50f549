//! The studies that `commonweal new` starts from: a commented job file and a README each.

use clap::ValueEnum;

/// A study.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Template {
    /// Handwritten digits 8×8, embedded; the job of `commonweal simulate` without a file
    Digits,
    /// Heart disease in 4 hospitals, embedded
    Heart,
    /// Handwritten digits 28×28, the data set of the FedAvg paper
    Mnist,
    /// Next character on a keyboard; clients are Shakespeare's roles
    Keyboard,
    /// Loan defaults; clients are states
    Loans,
    /// Exercises from smart watches; clients are their wearers
    Wearable,
}

impl Template {
    /// The job file, named as the template.
    #[must_use]
    pub fn job(self) -> &'static str {
        match self {
            Self::Digits => include_str!("../templates/digits/job.toml"),
            Self::Heart => include_str!("../templates/heart/job.toml"),
            Self::Mnist => include_str!("../templates/mnist/job.toml"),
            Self::Keyboard => include_str!("../templates/keyboard/job.toml"),
            Self::Loans => include_str!("../templates/loans/job.toml"),
            Self::Wearable => include_str!("../templates/wearable/job.toml"),
        }
    }

    /// What the study is, and what to expect of it.
    #[must_use]
    pub fn readme(self) -> &'static str {
        match self {
            Self::Digits => include_str!("../templates/digits/README.md"),
            Self::Heart => include_str!("../templates/heart/README.md"),
            Self::Mnist => include_str!("../templates/mnist/README.md"),
            Self::Keyboard => include_str!("../templates/keyboard/README.md"),
            Self::Loans => include_str!("../templates/loans/README.md"),
            Self::Wearable => include_str!("../templates/wearable/README.md"),
        }
    }

    /// The job file under another name.
    #[must_use]
    pub fn job_named(self, name: &str) -> String {
        with_line(self.job(), "name = ", &format!("name = \"{name}\""))
    }

    /// The README under another name.
    #[must_use]
    pub fn readme_named(self, name: &str) -> String {
        with_line(self.readme(), "# ", &format!("# {name}"))
    }
}

/// `text` with its first line that starts with `prefix` replaced.
fn with_line(text: &str, prefix: &str, replacement: &str) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    if let Some(line) = lines.iter_mut().find(|line| line.starts_with(prefix)) {
        *line = replacement;
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use commonweal_core::job::Job;

    use super::*;

    #[test]
    fn every_template_is_a_valid_job_under_any_name() {
        for template in Template::value_variants() {
            let job = Job::parse(&template.job_named("other.name-1")).unwrap();
            assert_eq!(job.name, "other.name-1", "{template:?}");
        }
    }
}
