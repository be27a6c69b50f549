//! Reports: refused before their body, verified after it, resumed where they broke, and slots taken back.

use commonweal_core::{Digest, Payload, Step};
use commonweal_wire::{RefusalCode, path, proto};
use tokio::io::AsyncWriteExt as _;

use crate::client::{Connection, Node, Reply, ask, head, reply};
use crate::house::{House, Work, parameters};

const SMALL: usize = 8;
/// A report of 4.5 MB.
const LARGE: usize = 15_000;

fn part(work: &Work, offset: usize, length: usize) -> String {
    path::report_part(
        &work.run,
        work.task.id,
        Step(0),
        offset as u64,
        length as u64,
    )
}

/// Sends a report from an offset on.
pub(crate) async fn put(node: &Node, work: &Work, payload: &Payload, offset: usize) -> Reply {
    let bytes = payload.as_bytes();
    let target = part(work, offset, bytes.len());
    let headers = node.sign("PUT", &target, Digest::of(bytes));
    let mut connection = node.connect().await;
    ask(&mut connection, "PUT", &target, &headers, &bytes[offset..]).await
}

/// Sends the first bytes of a report and goes no further.
async fn begin(node: &Node, work: &Work, payload: &Payload, bytes: usize) -> Connection {
    let whole = payload.as_bytes();
    let target = part(work, 0, whole.len());
    let headers = node.sign("PUT", &target, Digest::of(whole));
    let mut connection = node.connect().await;
    let head = head("PUT", &target, &headers, whole.len());
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&whole[..bytes]).await.unwrap();
    connection.flush().await.unwrap();
    connection
}

async fn state(node: &Node, work: &Work) -> proto::ReportState {
    let target = path::report(&work.run, work.task.id, Step(0));
    node.ask("GET", &target, b"").await.message()
}

#[tokio::test]
async fn a_report_is_counted_once_in_the_sum_that_its_task_names() {
    let house = House::open().await;
    let (a, b) = (house.enrol(1).await, house.enrol(2).await);
    let works = house.begin_round(&[&a, &b], SMALL).await;
    let payload = works[0].report(parameters(SMALL));
    let before = state(&a, &works[0]).await;
    assert_eq!((before.offset, before.counted), (0, false));
    assert_eq!(before.accumulator, works[0].accumulator);
    let answer: proto::ReportAnswer = put(&a, &works[0], &payload, 0).await.message();
    assert_eq!(answer.accumulator, works[0].accumulator);
    assert!(state(&a, &works[0]).await.counted);
    let again = put(&a, &works[0], &payload, 0).await;
    assert_eq!(again.refusal(), RefusalCode::Duplicate);
}

#[tokio::test]
async fn a_report_that_is_not_what_it_says_is_refused_and_may_come_again() {
    let house = House::open().await;
    let a = house.enrol(1).await;
    let works = house.begin_round(&[&a], SMALL).await;
    let stranger = house.enrol(2).await;
    let (work, payload) = (&works[0], works[0].report(parameters(SMALL)));
    let bytes = payload.as_bytes();
    let mut connection = a.connect().await;
    for (length, digest, body, code) in [
        (
            usize::MAX,
            Digest::of(bytes),
            &b""[..],
            RefusalCode::TooLarge,
        ),
        (
            bytes.len(),
            Digest::of(b"another"),
            bytes,
            RefusalCode::Digest,
        ),
        (
            bytes.len() - 1,
            Digest::of(bytes),
            bytes,
            RefusalCode::Malformed,
        ),
    ] {
        let target = part(work, 0, length);
        let headers = a.sign("PUT", &target, digest);
        let reply = ask(&mut connection, "PUT", &target, &headers, body).await;
        assert_eq!(reply.refusal(), code);
        connection = a.connect().await;
    }
    let ahead = put(&a, work, &payload, 9).await;
    assert_eq!(
        (ahead.refusal(), ahead.refused().offset),
        (RefusalCode::Offset, 0)
    );
    let not_asked = put(&stranger, work, &payload, 0).await;
    assert_eq!(not_asked.refusal(), RefusalCode::NotInCohort);
    let unknown = Work {
        run: "none-1".to_owned(),
        task: work.task.clone(),
        model: work.model,
        accumulator: String::new(),
    };
    assert_eq!(
        put(&a, &unknown, &payload, 0).await.refusal(),
        RefusalCode::UnknownRun
    );
    let answer: proto::ReportAnswer = put(&a, work, &payload, 0).await.message();
    assert_eq!(answer.accumulator, work.accumulator);
}

#[tokio::test]
async fn a_report_of_another_shape_or_of_none_is_refused_by_its_round() {
    let house = House::open().await;
    let nodes = [house.enrol(1).await, house.enrol(2).await];
    let works = house.begin_round(&[&nodes[0], &nodes[1]], SMALL).await;
    let short = works[0].report(parameters(SMALL) - 1);
    let nonsense = Payload::from(b"nonsense".to_vec());
    for ((node, work), payload) in nodes.iter().zip(&works).zip([short, nonsense]) {
        let refused = put(node, work, &payload, 0).await;
        assert_eq!(refused.refusal(), RefusalCode::Report);
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_at_half_goes_on_there() {
    let house = House::open().await;
    let a = house.enrol(1).await;
    let works = house.begin_round(&[&a], LARGE).await;
    let (work, payload) = (&works[0], works[0].report(parameters(LARGE)));
    let length = payload.as_bytes().len();
    let received = || house.running.metrics().received_bytes.value();
    let before = received();
    drop(begin(&a, work, &payload, length / 2).await);
    let offset = usize::try_from(state(&a, work).await.offset).unwrap();
    let answer: proto::ReportAnswer = put(&a, work, &payload, offset).await.message();
    assert_eq!(answer.accumulator, work.accumulator);
    let sent = received() - before;
    assert!(
        sent as f64 <= 1.1 * length as f64,
        "{sent} bytes for {length}"
    );
}

#[tokio::test]
async fn a_slow_upload_makes_room_for_another_and_comes_again() {
    let house = House::open_with(|config| config.staging_mb = 5).await;
    let (slow, fast) = (house.enrol(1).await, house.enrol(2).await);
    let works = house.begin_round(&[&slow, &fast], LARGE).await;
    let payload = works[0].report(parameters(LARGE));
    let mut connection = begin(&slow, &works[0], &payload, 10_000).await;
    while state(&slow, &works[0]).await.offset == 0 {}
    let (lost, counted) = tokio::join!(reply(&mut connection), put(&fast, &works[1], &payload, 0));
    assert_eq!(lost.refusal(), RefusalCode::SlotLost);
    assert_eq!(counted.status, 200);
    assert_eq!(state(&slow, &works[0]).await.offset, 0);
    assert_eq!(put(&slow, &works[0], &payload, 0).await.status, 200);
}

#[tokio::test]
async fn of_two_connections_with_one_report_the_older_is_told_to_come_again() {
    let house = House::open().await;
    let a = house.enrol(1).await;
    let works = house.begin_round(&[&a], LARGE).await;
    let (work, payload) = (&works[0], works[0].report(parameters(LARGE)));
    let mut older = begin(&a, work, &payload, 10_000).await;
    while state(&a, work).await.offset == 0 {}
    let (older, newer) = tokio::join!(reply(&mut older), put(&a, work, &payload, 0));
    // A node would drop its report at a code that does not pass.
    assert_eq!(older.refusal(), RefusalCode::Unavailable);
    assert_eq!(newer.refusal(), RefusalCode::Offset);
    let offset = usize::try_from(newer.refused().offset).unwrap();
    assert_eq!(put(&a, work, &payload, offset).await.status, 200);
}

#[tokio::test]
async fn a_model_is_there_for_those_who_train_it() {
    let house = House::open().await;
    let a = house.enrol(1).await;
    let works = house.begin_round(&[&a], SMALL).await;
    let model = a.ask("GET", &path::blob(&works[0].model), b"").await;
    assert_eq!(model.body.len(), 4 * parameters(SMALL));
    assert_eq!(Digest::of(&model.body), works[0].model);
}
