//! Workers written in `sh`: they print frames prepared by a test and keep what they are told.
//!
//! Requests have the ids 1, 2, … in a process, so the answers can be written before they are asked for.
//! `3>&1` keeps standard output open while `cat` writes to a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use commonweal_core::job::TrainerSpec;
use commonweal_core::{
    ClientName, ClientPipeline, ClientRows, ClientState, ClientUpdate, Digest, Entropy,
    EvaluatePlan, ExportType, Layout, LocalOptimizer, MetricKind, MetricSpec, MetricSums,
    ModelVersion, Parameters, Progress, Quantizer, Scope, Seed, Stage, Task, TaskId, TaskKind,
    TensorSpec, TrainError, TrainPlan, Trainer, Weighting,
};
use commonweal_worker::{DataSet, Dtype, Frame, Limits, WorkerTrainer, Workers};
use safetensors::tensor::TensorView;
use tempfile::TempDir;

/// What a worker without heartbeats says first.
pub(crate) const HELLO: &str =
    r#"{"type":"hello","protocol":1,"capabilities":["train","evaluate","initial"]}"#;

/// Worker processes of one script, and the folder that they run in.
pub(crate) struct Scripted {
    folder: TempDir,
    exchange: PathBuf,
    printed: Arc<Mutex<Vec<String>>>,
    trainer: WorkerTrainer,
}

impl Scripted {
    /// Starts `script`, which finds `files` in its working folder.
    pub(crate) fn start(script: &str, files: &[(&str, Vec<u8>)]) -> Self {
        Self::with_data(script, files, None)
    }

    pub(crate) fn with_data(
        script: &str,
        files: &[(&str, Vec<u8>)],
        data: Option<Arc<dyn DataSet>>,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        let printed = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&printed);
        let workers = Workers::new(
            "scripted",
            spec(&["sh", "-c", script]),
            folder.path(),
            Arc::new(move |line: &str| sink.lock().unwrap().push(line.into())),
            data,
        );
        let workers = workers.unwrap();
        let exchange = workers.directory().to_owned();
        let trainer = workers.trainers().unwrap().remove(0);
        Self {
            folder,
            exchange,
            printed,
            trainer,
        }
    }

    /// Answers with `answers` and keeps all requests in the file `told`.
    pub(crate) fn answering(answers: &[Vec<u8>]) -> Self {
        let files = [("answers", answers.concat())];
        Self::start("cat answers; cat 3>&1 > told", &files)
    }

    pub(crate) fn train(
        &mut self,
        client: &str,
        model: &Parameters,
        state: ClientState,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        self.train_watched(client, model, state, &mut ())
    }

    pub(crate) fn train_watched(
        &mut self,
        client: &str,
        model: &Parameters,
        state: ClientState,
        progress: &mut dyn Progress,
    ) -> Result<(ClientUpdate, ClientState), TrainError> {
        let name = ClientName::try_from(client).unwrap();
        let plan = plan();
        let task = task(Stage::Train, TaskKind::Train(Arc::new(plan.clone())));
        let entropy = Entropy::new([0; 32]);
        self.trainer
            .train(&task, &plan, rows(&name), model, state, entropy, progress)
    }

    pub(crate) fn evaluate(
        &mut self,
        client: &str,
        model: &Parameters,
        metrics: MetricSpec,
        state: &ClientState,
    ) -> Result<MetricSums, TrainError> {
        let name = ClientName::try_from(client).unwrap();
        let plan = EvaluatePlan {
            metrics: Arc::new(metrics),
        };
        let task = task(Stage::Evaluate, TaskKind::Evaluate(Arc::new(plan.clone())));
        self.trainer
            .evaluate(&task, &plan, rows(&name), model, state, &mut ())
    }

    pub(crate) fn initial(&mut self) -> Result<Parameters, String> {
        let initial = self.trainer.initial(&Seed::from(1), &mut ());
        initial.map_err(|error| error.to_string())
    }

    pub(crate) fn printed(&self) -> Vec<String> {
        self.printed.lock().unwrap().clone()
    }

    /// A file in the folder through which the process exchanges large bodies.
    pub(crate) fn exchange_file(&self, name: &str) -> PathBuf {
        self.exchange.join(name)
    }

    /// Ends the process and returns the frames that it was told.
    pub(crate) fn told(self) -> Vec<Frame> {
        let Self {
            folder, trainer, ..
        } = self;
        drop(trainer);
        frames(&fs::read(folder.path().join("told")).unwrap())
    }

    /// Ends the process and says whether its script left this file.
    pub(crate) fn left(self, file: &str) -> bool {
        let Self {
            folder, trainer, ..
        } = self;
        drop(trainer);
        folder.path().join(file).exists()
    }
}

pub(crate) fn spec(command: &[&str]) -> TrainerSpec {
    TrainerSpec {
        command: command.iter().copied().map(Into::into).collect(),
        workers: 1,
        devices: vec!["cuda:0".into()],
        environment: BTreeMap::new(),
    }
}

pub(crate) fn plan() -> TrainPlan {
    TrainPlan {
        epochs: 2,
        steps: None,
        batch_size: Some(10),
        optimizer: LocalOptimizer::PLAIN_SGD,
        learning_rate: 0.1,
        class_weights: None,
        weighting: Weighting::Examples,
        metrics: Arc::new(MetricSpec::loss()),
        pipeline: ClientPipeline::plain(Quantizer::new(16.0).unwrap()),
    }
}

fn task(stage: Stage, kind: TaskKind) -> Task {
    Task {
        id: TaskId {
            round: 3,
            stage,
            attempt: 0,
        },
        manifest: Digest::of(b"job"),
        prepared: None,
        base: ModelVersion(2),
        seed: Seed::from_bytes([0xab; 32]),
        deadline: None,
        cohort: 10,
        kind,
    }
}

fn rows(client: &ClientName) -> ClientRows<'_> {
    ClientRows {
        client,
        train: &[5, 7, 9],
        test: &[2, 4],
    }
}

/// A model of one shared tensor `w` of these values.
pub(crate) fn shared(values: &[f32]) -> Parameters {
    model(&[("w", values, Scope::Shared, ExportType::F32)])
}

/// A model of flat tensors.
pub(crate) fn model(tensors: &[(&str, &[f32], Scope, ExportType)]) -> Parameters {
    let spec = |&(name, values, scope, export): &(&str, &[f32], Scope, ExportType)| TensorSpec {
        name: name.into(),
        shape: vec![values.len()],
        scope,
        export,
    };
    let layout = Arc::new(Layout::new(tensors.iter().map(spec).collect()).unwrap());
    let mut model = Parameters::zeros(Arc::clone(&layout));
    for (name, values, ..) in tensors {
        let range = layout.tensor(name).unwrap().range();
        model.values_mut()[range].copy_from_slice(values);
    }
    model
}

/// A frame of this header and these flat `f32` tensors.
pub(crate) fn frame(header: &str, tensors: &[(&str, &[f32])]) -> Vec<u8> {
    raw(
        header,
        if tensors.is_empty() {
            Vec::new()
        } else {
            body(tensors)
        },
    )
}

pub(crate) fn raw(header: &str, body: Vec<u8>) -> Vec<u8> {
    let header = header.as_bytes().to_vec();
    Frame { header, body }.to_bytes()
}

/// A safetensors file of flat `f32` tensors.
pub(crate) fn body(tensors: &[(&str, &[f32])]) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, values)| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views = tensors.iter().zip(&bytes).map(|((name, values), bytes)| {
        (
            *name,
            TensorView::new(Dtype::F32, vec![values.len()], bytes).unwrap(),
        )
    });
    safetensors::serialize(views, None).unwrap()
}

/// All frames in `bytes`, which must end with one.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (frame, length) = Frame::parse(bytes, Limits::body(1 << 30)).unwrap().unwrap();
        frames.push(frame);
        bytes = &bytes[length..];
    }
    frames
}

pub(crate) fn json(frame: &Frame) -> serde_json::Value {
    serde_json::from_slice(&frame.header).unwrap()
}

/// The values of a flat tensor in a safetensors file.
pub(crate) fn values(body: &[u8], name: &str) -> Vec<f64> {
    let tensors = safetensors::SafeTensors::deserialize(body).unwrap();
    let view = tensors.tensor(name).unwrap();
    match view.dtype() {
        Dtype::F32 => {
            let (values, _) = view.data().as_chunks();
            values
                .iter()
                .map(|&bytes| f32::from_le_bytes(bytes).into())
                .collect()
        }
        Dtype::I64 => {
            let (values, _) = view.data().as_chunks();
            values
                .iter()
                .map(|&bytes| i64::from_le_bytes(bytes) as f64)
                .collect()
        }
        other => panic!("{name} has elements of type {other}"),
    }
}

/// The metrics of a class target.
pub(crate) fn of_classes(kinds: &[MetricKind], classes: u32) -> MetricSpec {
    MetricSpec::new(kinds.to_vec(), classes).unwrap()
}

pub(crate) fn hello() -> Vec<u8> {
    frame(HELLO, &[])
}

/// A hello that promises a heartbeat every 10 ms.
pub(crate) fn lively_hello() -> Vec<u8> {
    frame(
        &HELLO.replace("\"protocol\"", "\"heartbeat_ms\":10,\"protocol\""),
        &[],
    )
}

pub(crate) fn update(id: u64, w: &[f32]) -> Vec<u8> {
    let header = format!(r#"{{"type":"update","id":{id},"steps":2,"examples":6,"loss":0.5}}"#);
    frame(&header, &[("model.w", w)])
}

/// What training `client` fails with.
pub(crate) fn failure(worker: &mut Scripted, client: &str) -> String {
    match worker.train(client, &shared(&[1.0, 2.0]), ClientState::default()) {
        Err(TrainError::Worker { what }) => what,
        other => panic!("expected a failed worker, found {other:?}"),
    }
}

pub(crate) fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}
