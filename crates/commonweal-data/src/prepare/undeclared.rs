//! Columns whose texts `prepare` would ask for although the job does not say that they are categories: one word in a
//! column of numbers would make it one, and then every cell of it a level that leaves the client.
//!
//! Where the rows are the researcher's own, as in a simulation, that is no harm; at a node it is.

use commonweal_core::job::{Column, Data, DataTask, Job, ModelKind};

use super::{Asked, Preparation};
use crate::Source;

/// A column whose kind the job must declare before it is used where its cells may not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UndeclaredKind {
    /// A feature.
    #[error(
        "column `{column}`: declare its kind in the job, data.columns = {{ {column:?} = \"numeric\" }} or \"categorical\". \
         It holds texts here, and the texts of a column leave a node only if the job says that it is a category"
    )]
    Feature {
        /// Its name.
        column: String,
    },
    /// The label.
    #[error(
        "column `{column}`: declare what is predicted in the job, data.task = \"classification\" or \"regression\", or its \
         data.classes. It holds classes here, and their names leave a node only if the job says that there are classes"
    )]
    Label {
        /// Its name.
        column: String,
    },
}

impl UndeclaredKind {
    /// The column.
    pub fn column(&self) -> &str {
        match self {
            Self::Feature { column } | Self::Label { column } => column,
        }
    }
}

impl Preparation {
    /// Refuses to ask for texts that `job` does not declare to be levels or classes. `data` is the job's section with
    /// what a known data set adds to it.
    ///
    /// # Errors
    /// [`UndeclaredKind`] of the first such column.
    pub fn expect_declared(
        &self,
        job: &Job,
        source: &Source,
        data: &Data,
    ) -> Result<(), UndeclaredKind> {
        for &asked in &self.asked {
            match (asked, source) {
                (Asked::Levels(index), Source::Table(table)) => {
                    let column = &table.schema().features[index].name;
                    let declared = data.columns.get(column);
                    if !matches!(declared, Some(Column::Categorical { .. })) {
                        let column = column.clone();
                        return Err(UndeclaredKind::Feature { column });
                    }
                }
                (Asked::Classes, _) if !has_classes(job, data) => {
                    if let Some(column) = data.label.clone() {
                        return Err(UndeclaredKind::Label { column });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the job says that classes are predicted: in words, or by a model of classes alone.
fn has_classes(job: &Job, data: &Data) -> bool {
    let says_so = data.classes.is_some()
        || data.positive_above.is_some()
        || data.task == Some(DataTask::Classification);
    says_so || matches!(job.model.kind, ModelKind::Softmax | ModelKind::Logistic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{self, Schema};

    /// Which column is refused of a table in which one word makes a category of a column of numbers.
    fn refused(file: &str, data: &str, model: &str) -> Option<UndeclaredKind> {
        let text = format!(
            "name = \"t\"\nrounds = 1\n[data]\npath = \"t.csv\"\nlabel = \"y\"\n{data}\n[model]\n{model}\n"
        );
        let job = Job::parse(&text).expect("a sound job");
        let schema = Schema::of(&job.data, file.as_bytes()).expect("the columns are there");
        let table = table::read(file.as_bytes(), &schema).expect("a sound file");
        let source = Source::from(table);
        let preparation = Preparation::of_job(&job, &source, &job.data).expect("sound");
        preparation.expect_declared(&job, &source, &job.data).err()
    }

    const LOGISTIC: &str = "kind = \"logistic\"";
    const MLP: &str = "kind = \"mlp\"\nhidden = [2]";
    const LINEAR: &str = "kind = \"linear\"";

    #[test]
    fn a_word_among_numbers_is_no_level_unless_the_job_says_that_the_column_has_levels() {
        let file = "x,y\n1,no\n2,yes\nword,no\n";
        let column = || "x".to_owned();
        let feature = Some(UndeclaredKind::Feature { column: column() });
        assert_eq!(refused(file, "", LOGISTIC), feature);
        assert_eq!(refused(file, "features = [\"x\"]", LOGISTIC), feature);
        let declared = "columns = { x = \"categorical\" }";
        assert_eq!(refused(file, declared, LOGISTIC), None);
        assert_eq!(refused("x,y\n1,no\n2,yes\n", "", LOGISTIC), None);
    }

    #[test]
    fn a_word_among_labels_is_no_class_unless_the_job_says_that_there_are_classes() {
        let file = "x,y\n1,1.5\n2,2.5\n3,word\n";
        let label = || {
            let column = "y".to_owned();
            Some(UndeclaredKind::Label { column })
        };
        assert_eq!(refused(file, "", LINEAR), label());
        assert_eq!(refused(file, "", MLP), label());
        let declared = [
            "task = \"classification\"",
            "classes = [\"1.5\", \"2.5\", \"word\"]",
        ];
        for lines in declared {
            assert_eq!(refused(file, lines, MLP), None);
        }
        assert_eq!(refused(file, "", LOGISTIC), None);
        assert_eq!(refused("x,y\n1,1.5\n2,2.5\n", "", LINEAR), None);
    }
}
