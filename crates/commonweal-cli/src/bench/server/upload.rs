//! Uploads of 100 MB: the rate beside that of a sink, the server's memory, a slow uploader and a cut connection.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::Say;
use super::bed::{Bed, PATIENCE};
use super::connection::{Dialer, Pace};
use super::error::{LoadError, broken};
use super::figure::{ServerFigure, Target};
use super::fleet::Fleet;
use super::jobs::{self, UPLOAD_PARAMETERS};
use super::journal::{Seen, Sight};
use super::script::{Hold, Oddity, Script};
use super::sink::Sink;
use super::tls;

/// Rounds in which all upload alike. The first is warm-up.
const ALIKE: u64 = 3;
/// The round of the slow uploader.
const SLOW: u64 = ALIKE + 1;
/// The round of the cut connection.
const CUT: u64 = ALIKE + 2;
/// The node that is slow, and the one that is cut.
const ODD: usize = 0;
/// Rate of the slow uploader.
const BYTES_PER_SECOND: u32 = 1_000_000;

/// Measures with all the nodes of the bed.
pub(super) async fn measure(bed: &Bed, say: Say<'_>) -> Result<(), LoadError> {
    let nodes = bed.nodes;
    let mut script = Bed::script(UPLOAD_PARAMETERS, Hold::AtReport);
    let slow = Oddity::Slow {
        node: ODD,
        bytes_per_second: BYTES_PER_SECOND,
    };
    script.oddities = [(SLOW, slow), (CUT, Oddity::Cut { node: ODD })].into();
    let script = Arc::new(script);
    let mut fleet = bed.start(&script);
    let control = bed.control();
    let run = control.submit(jobs::upload(nodes, CUT)).await?;
    let sink = Beside::start(bed)?;

    let before = bed.spent()?;
    let found = rounds(&mut fleet, &script, &sink, nodes).await;
    let found = control.explained(&run, found).await?;
    control.finished(&run, PATIENCE).await?;
    say(ServerFigure::plain("upload", found.rate / 1e6, "MB/s"));
    say(ServerFigure::plain("upload-sink", found.sink / 1e6, "MB/s"));
    let (share, least) = (found.rate / found.sink, Target::AtLeast(0.7));
    say(ServerFigure::held_to("upload-share", share, "", least));
    let delay = Target::AtMost(1.2);
    say(ServerFigure::held_to(
        "upload-slow-delay",
        found.delay,
        "",
        delay,
    ));
    let once = Target::AtMost(1.1);
    say(ServerFigure::held_to(
        "upload-cut-bytes",
        found.sent,
        "",
        once,
    ));
    let peak = bed.server.usage()?.peak_bytes as f64;
    say(ServerFigure::held_to(
        "upload-memory",
        peak / 1e6,
        "MB",
        Target::AtMost(600.0),
    ));
    let spent = bed
        .spent()?
        .since(before, ["upload-server-cpu", "upload-load-cpu"]);
    spent.into_iter().for_each(say);
    Ok(())
}

/// What the rounds showed.
struct Found {
    /// Bytes a second of all uploads together.
    rate: f64,
    /// The same of the sink.
    sink: f64,
    /// How much longer all but the slow one took beside it, as a factor.
    delay: f64,
    /// Bytes that were sent for the report that was cut, as a share of its length.
    sent: f64,
}

async fn rounds(
    fleet: &mut Fleet,
    script: &Script,
    sink: &Beside,
    nodes: usize,
) -> Result<Found, LoadError> {
    let (mut rates, mut sinks, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ALIKE {
        ready(fleet, nodes, round).await?;
        let sink_rate = sink.rate(nodes).await?;
        let times = upload(fleet, script, nodes, round).await?;
        if round > 1 {
            sinks.push(sink_rate);
            rates.push(rate(nodes, times.all));
            others.push(times.others);
        }
    }
    ready(fleet, nodes, SLOW).await?;
    sinks.push(sink.rate(nodes).await?);
    let slow = upload(fleet, script, nodes, SLOW).await?;
    ready(fleet, nodes, CUT).await?;
    upload(fleet, script, nodes, CUT).await?;
    let bytes = (4 * UPLOAD_PARAMETERS) as f64;
    Ok(Found {
        rate: mean(&rates),
        sink: mean(&sinks),
        delay: slow.others / mean(&others),
        sent: sent(fleet, CUT) as f64 / bytes,
    })
}

/// How long a round's uploads took, in seconds.
struct Times {
    /// Until the last was taken.
    all: f64,
    /// Until the last of all but the odd one was taken.
    others: f64,
}

/// Waits until every node has the round's model.
async fn ready(fleet: &mut Fleet, nodes: usize, round: u64) -> Result<(), LoadError> {
    let is_ready = |seen: &Seen| seen.is_in(round, |what| matches!(what, Sight::Ready(_)));
    let journal = &mut fleet.journal;
    let ready = journal.wait("fetched the model", nodes, PATIENCE, is_ready);
    ready.await.map(drop)
}

/// Lets all report, and the odd one hurry once the others are done.
async fn upload(
    fleet: &mut Fleet,
    script: &Script,
    nodes: usize,
    round: u64,
) -> Result<Times, LoadError> {
    let start = Instant::now();
    script.open(round);
    let reported = |seen: &Seen| seen.is_in(round, |what| matches!(what, Sight::Reported(..)));
    let other = |seen: &Seen| seen.node != ODD && reported(seen);
    let journal = &mut fleet.journal;
    let others = journal.wait("reported", nodes - 1, PATIENCE, other).await?;
    script.hurry.notify_one();
    let all = journal.wait("reported", nodes, PATIENCE, reported).await?;
    Ok(Times {
        all: seconds(&all, start),
        others: seconds(&others, start),
    })
}

/// Bytes of the odd node's report that were sent in this round.
fn sent(fleet: &mut Fleet, round: u64) -> usize {
    let entries = fleet.journal.entries().iter();
    let own = entries.filter(|seen| seen.node == ODD && seen.is_in(round, |_| true));
    let sent = own.map(|seen| match seen.what {
        Sight::Reported(_, sent) => sent,
        _ => 0,
    });
    sent.sum()
}

fn seconds(times: &[Instant], start: Instant) -> f64 {
    times
        .last()
        .map_or(0.0, |last| (*last - start).as_secs_f64())
}

fn rate(nodes: usize, seconds: f64) -> f64 {
    (nodes * 4 * UPLOAD_PARAMETERS) as f64 / seconds
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sink, and bytes to send it.
struct Beside {
    _sink: Sink,
    dialer: Arc<Dialer>,
    bytes: Arc<Vec<u8>>,
}

impl Beside {
    fn start(bed: &Bed) -> Result<Self, LoadError> {
        let folder = bed.folder();
        let sink = Sink::start(&folder)?;
        let dialer = Dialer::new(sink.address, tls::name()?, tls::client(&folder)?);
        Ok(Self {
            _sink: sink,
            dialer: Arc::new(dialer),
            bytes: Arc::new(vec![0; 4 * UPLOAD_PARAMETERS]),
        })
    }

    /// Bytes a second of so many uploads at once, by the code that uploads to the server.
    async fn rate(&self, nodes: usize) -> Result<f64, LoadError> {
        let barrier = Arc::new(Barrier::new(nodes + 1));
        let mut uploads = JoinSet::new();
        for _ in 0..nodes {
            let (dialer, bytes) = (Arc::clone(&self.dialer), Arc::clone(&self.bytes));
            let barrier = Arc::clone(&barrier);
            uploads.spawn(async move {
                let connection = dialer.dial().await;
                barrier.wait().await;
                let length = bytes.len();
                let head = format!("PUT / HTTP/1.1\r\ncontent-length: {length}\r\n\r\n");
                connection?.upload(&head, &bytes, Pace::Full).await.1
            });
        }
        barrier.wait().await;
        let start = Instant::now();
        while let Some(done) = uploads.join_next().await {
            let done = done.map_err(std::io::Error::other).and_then(|done| done);
            done.map_err(broken("the sink"))?;
        }
        Ok(rate(
            nodes,
            start.elapsed().max(Duration::from_nanos(1)).as_secs_f64(),
        ))
    }
}
