//! A process that has one client's share of a simulated federation sends what the simulation's client sends.

#![allow(clippy::unwrap_used, reason = "a failed test may panic")]

use std::path::Path;
use std::sync::Arc;

use commonweal_core::job::{Job, Manifest};
use commonweal_core::{
    ClientIndex, ClientName, ClientRows, ClientState, Entropy, ModelVersion, Payload, PrepareSums,
    Prepared, Seed, Stage, Strategy, Task, TaskId, TaskKind, Trainer,
};
use commonweal_data::{Dataset, Partition, Preparation, Source};
use commonweal_disk::{DataPlaces, ShareError, complete, deal, read_source, share};
use commonweal_train::{BuiltInTrainer, Model};

const DIGITS: &str = "name = \"t\"\nrounds = 1\n[data]\nname = \"digits\"\nvalidation = 0.1\n\
    [simulation]\nclients = 7\npartition = { kind = \"dirichlet\", alpha = 0.3 }\n\
    [model]\nkind = \"softmax\"\n[training]\nbatch_size = 5\nclass_weights = \"balanced\"\n";

const HEART: &str = "name = \"t\"\nrounds = 1\n[data]\nname = \"heart\"\n\
    [model]\nkind = \"logistic\"\n[training]\nbatch_size = 8\n";

const PER_CLIENT: &str = "name = \"t\"\nrounds = 1\n[data]\nname = \"heart\"\nscale = \"per_client\"\n\
    [model]\nkind = \"logistic\"\n";

const DRAWN: &str = "name = \"t\"\nrounds = 1\n[data]\nname = \"digits\"\n\
    [simulation]\nclients = 40\npartition = { kind = \"drawn\", rows = 9 }\n[model]\nkind = \"softmax\"\n";

/// One client's side: its sums, and what it sends after training on the answers.
struct Client<'a> {
    job: &'a Job,
    name: ClientName,
    index: ClientIndex,
    source: &'a Source,
    partition: &'a Partition,
    preparation: Preparation,
}

impl<'a> Client<'a> {
    fn new(job: &'a Job, name: ClientName, source: &'a Source, partition: &'a Partition) -> Self {
        let section = complete(&job.data).unwrap();
        Self {
            job,
            index: partition.population().index(&name).unwrap(),
            name,
            source,
            partition,
            preparation: Preparation::of_job(job, source, &section).unwrap(),
        }
    }

    fn sums(&self) -> PrepareSums {
        let train = self.partition.train(self.index);
        let held_out = self.partition.held_out(self.index);
        let sums = self
            .preparation
            .contribution(self.source, &train, &held_out);
        sums.unwrap()
    }

    fn data(&self, found: &Prepared) -> Dataset {
        let data = self.preparation.dataset(self.source, found, self.partition);
        data.unwrap()
    }

    fn trained(&self, found: &Prepared) -> Payload {
        let data = Arc::new(self.data(found));
        let model = Arc::new(Model::build(&self.job.model, &data.shape()).unwrap());
        let class_rows = self.preparation.class_rows_of(found, data.shape().target);
        let strategy = Strategy::of_job(self.job, &class_rows).unwrap();
        let plan = Arc::new(strategy.plan);
        let task = Task {
            id: TaskId {
                round: 1,
                stage: Stage::Train,
                attempt: 0,
            },
            manifest: found.manifest,
            prepared: Some(found.digest()),
            base: ModelVersion(0),
            seed: Seed::from(5),
            deadline: None,
            cohort: 3,
            kind: TaskKind::Train(Arc::clone(&plan)),
        };
        let rows = ClientRows {
            client: &self.name,
            train: &self.partition.train(self.index),
            test: &[],
        };
        let initial = model.initial(&Seed::from(2));
        let mut trainer = BuiltInTrainer::new(model, data);
        let entropy = || Entropy::new([0; 32]);
        let (update, _) = trainer
            .train(
                &task,
                &plan,
                rows,
                &initial,
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
}

#[test]
fn a_client_sends_the_same_bytes_from_its_share_as_in_the_federation() {
    for text in [DIGITS, HEART, PER_CLIENT, DRAWN] {
        let job = Job::parse(text).unwrap();
        let section = complete(&job.data).unwrap();
        let places = DataPlaces::default();
        let source = read_source(&section, &places).unwrap();
        let partition = deal(&job, &section, &source).unwrap();
        let population = partition.population();
        let clients: Vec<Client<'_>> = population
            .indices()
            .map(|index| Client::new(&job, partition.name(index), &source, &partition))
            .collect();
        let spec = clients[0].preparation.spec();
        let mut sums = PrepareSums::zero(spec);
        for client in &clients {
            sums.merge(spec, &client.sums()).unwrap();
        }
        let found = sums.finish(spec, Manifest::of(&job).digest()).unwrap();

        for client in clients.iter().step_by(3) {
            let own = share(&job, &client.name, &places).unwrap();
            assert!(own.source.roster().rows() < source.roster().rows());
            let alone = Client::new(&job, client.name.clone(), &own.source, &own.partition);
            assert_eq!(alone.preparation.spec(), spec);
            assert_eq!(alone.sums(), client.sums(), "{}", client.name);
            assert_eq!(
                alone.trained(&found),
                client.trained(&found),
                "{}",
                client.name
            );
            let test = own.partition.test(alone.index);
            assert_eq!(
                filled(&alone.data(&found), test),
                filled(&client.data(&found), partition.test(client.index)),
            );
        }
    }
}

fn filled(data: &Dataset, rows: &[u32]) -> (Vec<f32>, Vec<u32>) {
    let mut features = vec![0.0; rows.len() * data.shape().input.width()];
    let mut labels = vec![0; rows.len()];
    data.fill(rows, &mut features);
    data.fill_labels(rows, &mut labels);
    (features, labels)
}

#[test]
fn texts_are_shared_window_by_window() {
    let folder = tempfile::tempdir().unwrap();
    let play = "ROMEO.\nBut soft, what light through yonder window breaks? It is the east.\n\n\
        JULIET.\nO Romeo, Romeo, wherefore art thou Romeo? Deny thy father and refuse thy name.\n\n";
    std::fs::write(folder.path().join("play.txt"), play.repeat(3)).unwrap();
    let text = "name = \"t\"\nrounds = 1\n[data]\npath = \"play.txt\"\n\
        text = { sequence_length = 8, stride = 3, client_pattern = \"{client}.\" }\n\
        [model]\nkind = \"lstm\"\nembedding = 2\nhidden = 3\n";
    let job = Job::parse(text).unwrap();
    let places = DataPlaces {
        base: folder.path().to_path_buf(),
        ..DataPlaces::default()
    };
    let source = read_source(&job.data, &places).unwrap();
    let partition = deal(&job, &job.data, &source).unwrap();
    for index in partition.population().indices() {
        let own = share(&job, &partition.name(index), &places).unwrap();
        let rows = own.partition.train(ClientIndex(0)).len();
        assert_eq!(rows, partition.train_len(index));
        let tokens = |source: &Source, rows: &[u32]| {
            let Source::Numbers(data) = source else {
                unreachable!("a text is no table")
            };
            let mut tokens = vec![0; rows.len() * 8];
            data.fill_tokens(rows, &mut tokens);
            tokens
        };
        assert_eq!(
            tokens(&own.source, &own.partition.train(ClientIndex(0))),
            tokens(&source, &partition.train(index)),
        );
    }
}

#[test]
fn a_client_that_the_job_does_not_have_is_told_which_there_are() {
    let job = Job::parse(HEART).unwrap();
    let nobody = ClientName::try_from("Oslo").unwrap();
    let places = DataPlaces {
        data: None,
        base: Path::new("").to_path_buf(),
    };
    let error = share(&job, &nobody, &places).unwrap_err();
    assert!(matches!(error, ShareError::NoSuchClient { .. }));
    assert_eq!(
        error.to_string(),
        "the job has no client Oslo: its 4 clients are Cleveland to VA Long Beach, by name"
    );
}
