//! A site with its own rows, and what it makes of tasks with the very functions of a node: no sockets, no files.

use std::sync::Arc;

use commonweal_core::job::Job;
use commonweal_core::{
    ClientName, ClientRows, ClientState, Entropy, Parameters, Payload, PrepareSpec, Prepared, Task,
    TaskKind, TrainPlan, Trainer as _,
};
use commonweal_data::archive::File;
use commonweal_data::{Contents, DataSchema, Dataset, Preparation, Source};
use commonweal_train::{BuiltInTrainer, Model};

/// One client with a table of eight rows that its name alone decides.
#[derive(Clone)]
pub(crate) struct Site {
    pub(crate) name: ClientName,
    job: Job,
    source: Source,
}

const TRAIN: [u32; 6] = [0, 1, 2, 3, 4, 5];
const TEST: [u32; 2] = [6, 7];

impl Site {
    pub(crate) fn new(name: &str, job: &Job) -> Self {
        Self::with_header(name, job, "a,b,y")
    }

    /// With other names of columns.
    pub(crate) fn with_header(name: &str, job: &Job, header: &str) -> Self {
        let salt: u32 = name.bytes().map(u32::from).sum();
        let mut csv = format!("{header}\n");
        for row in 0..8 {
            let (a, b) = ((salt * 7 + row * 31) % 17, (salt * 3 + row * 13) % 11);
            csv.push_str(&format!("{a},{b},{}\n", ["no", "yes"][(row % 2) as usize]));
        }
        let main = vec![File {
            name: "t.csv".to_owned(),
            bytes: csv.into_bytes(),
        }];
        let contents = Contents {
            main,
            ..Contents::default()
        };
        Self {
            name: ClientName::try_from(name).unwrap(),
            job: job.clone(),
            source: Source::read(&job.data, &contents).unwrap(),
        }
    }

    pub(crate) fn schema(&self) -> Vec<u8> {
        DataSchema::of(&self.source).encode().into_bytes()
    }

    pub(crate) fn prepare_spec(&self) -> PrepareSpec {
        self.preparation().spec().clone()
    }

    /// The report on a task.
    pub(crate) fn report(&self, task: &Task, prepared: Option<&Prepared>, model: &[u8]) -> Payload {
        match &task.kind {
            TaskKind::Prepare(_) => {
                let sums = self.preparation().contribution(&self.source, &TRAIN, &TEST);
                Payload::prepare(task.base, &sums.unwrap())
            }
            TaskKind::Train(plan) => self.train(task, plan, prepared.unwrap(), model),
            TaskKind::Evaluate(plan) => {
                let (built, data) = self.built(prepared.unwrap());
                let parameters = parameters(&built, model);
                let mut trainer = BuiltInTrainer::new(built, data);
                let rows = ClientRows {
                    client: &self.name,
                    train: &[],
                    test: &TEST,
                };
                let state = ClientState::default();
                let sums = trainer.evaluate(task, plan, rows, &parameters, &state, &mut ());
                Payload::metrics(task.base, &sums.unwrap())
            }
        }
    }

    fn train(&self, task: &Task, plan: &TrainPlan, prepared: &Prepared, model: &[u8]) -> Payload {
        let (built, data) = self.built(prepared);
        let parameters = parameters(&built, model);
        let mut trainer = BuiltInTrainer::new(built, data);
        let rows = ClientRows {
            client: &self.name,
            train: &TRAIN,
            test: &[],
        };
        let (update, _) = trainer
            .train(
                task,
                plan,
                rows,
                &parameters,
                ClientState::default(),
                entropy(),
                &mut (),
            )
            .unwrap();
        let pipeline = &plan.pipeline;
        pipeline
            .on_client(update, task.base, &task.seed, entropy())
            .unwrap()
    }

    /// The model and the data that follow from what was found.
    pub(crate) fn built(&self, prepared: &Prepared) -> (Arc<Model>, Arc<Dataset>) {
        let data = self.preparation().apply(&self.source, prepared).unwrap();
        let model = Model::build(&self.job.model, &data.shape()).unwrap();
        (Arc::new(model), Arc::new(data))
    }

    pub(crate) fn class_rows(&self, prepared: &Prepared) -> Vec<u64> {
        self.preparation().class_rows(prepared).unwrap()
    }

    fn preparation(&self) -> Preparation {
        Preparation::new(&self.source, &self.job.data).unwrap()
    }
}

fn parameters(model: &Model, bytes: &[u8]) -> Parameters {
    let values = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes));
    Parameters::new(Arc::clone(model.layout()), values.collect()).unwrap()
}

pub(crate) fn entropy() -> Entropy {
    Entropy::new([7; 32])
}
