use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use commonweal_wire::proto::{Cancel, Instruction};

use super::*;

fn exchange() -> Exchange {
    let hold = Hold {
        idle: Duration::from_secs(3_600),
        working: Duration::ZERO,
    };
    Exchange::new("this-process".to_owned(), Clock::start(), hold)
}

fn name() -> ClientName {
    ClientName::try_from("hospital-a").unwrap()
}

fn cancel(reason: &str) -> instruction::Kind {
    instruction::Kind::Cancel(Cancel {
        run: reason.to_owned(),
        reason: reason.to_owned(),
        ..Cancel::default()
    })
}

fn first(mailbox: &str, taken: u64) -> PollRequest {
    PollRequest {
        mailbox: mailbox.to_owned(),
        taken,
        ..PollRequest::default()
    }
}

fn numbers(instructions: &[Instruction]) -> Vec<u64> {
    instructions.iter().map(|one| one.number).collect()
}

/// Lets the future go as far as it can.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_waiting_poll_is_answered_by_the_next_instruction() {
    let exchange = exchange();
    let name = name();
    let mut poll = pin!(exchange.poll(&name, first("", 0)));
    assert!(poll_once(poll.as_mut()).is_pending());
    assert_eq!(exchange.parked_polls(), 1);
    exchange.send(&name, cancel("a"));
    let answer = poll.await.unwrap();
    assert_eq!(numbers(&answer.instructions), [1]);
    assert_eq!(exchange.parked_polls(), 0);
}

#[tokio::test]
async fn what_was_not_taken_from_this_mailbox_is_sent_again() {
    let exchange = exchange();
    exchange.send(&name(), cancel("a"));
    exchange.send(&name(), cancel("b"));
    let lost = exchange
        .poll(&name(), first("another-process", 2))
        .await
        .unwrap();
    assert_eq!(numbers(&lost.instructions), [1, 2]);
    let next = exchange
        .poll(&name(), first(&lost.mailbox, 1))
        .await
        .unwrap();
    assert_eq!(numbers(&next.instructions), [2]);
}

#[tokio::test]
async fn of_two_polls_with_one_key_the_older_is_refused() {
    let exchange = exchange();
    let name = name();
    let mut older = pin!(exchange.poll(&name, first("", 0)));
    assert!(poll_once(older.as_mut()).is_pending());
    let mut newer = pin!(exchange.poll(&name, first("", 0)));
    assert!(poll_once(newer.as_mut()).is_pending());
    assert_eq!(older.await, Err(PollError::TakenOver));
    exchange.send(&name, cancel("a"));
    assert_eq!(newer.await.unwrap().instructions.len(), 1);
}

#[tokio::test]
async fn a_dropped_poll_makes_its_node_silent_after_the_allowance() {
    let exchange = exchange();
    let name = name();
    let mut events = exchange.events();
    {
        let mut poll = pin!(exchange.poll(&name, first("", 0)));
        assert!(poll_once(poll.as_mut()).is_pending());
        exchange.tick(exchange.now_ms() + 3_600_000);
        assert!(matches!(exchange.presence(&name), Presence::Online { .. }));
    }
    exchange.tick(exchange.now_ms() + presence::SILENT_AFTER_MS);
    exchange.tick(exchange.now_ms() + presence::OFFLINE_AFTER_MS);
    assert!(matches!(exchange.presence(&name), Presence::Offline { .. }));
    assert_eq!(events.try_recv(), Ok(NodeEvent::Online(name.clone())));
    assert_eq!(events.try_recv(), Ok(NodeEvent::Silent(name.clone())));
    assert_eq!(events.try_recv(), Ok(NodeEvent::Offline(name)));
}

#[tokio::test]
async fn a_poll_of_a_node_at_work_is_held_for_less_long() {
    let exchange = exchange();
    let request = PollRequest {
        working: Some(Working::default()),
        ..PollRequest::default()
    };
    let answer = exchange.poll(&name(), request).await.unwrap();
    assert_eq!(answer.instructions, []);
    assert!(exchange.working(&name()).is_some());
}

#[tokio::test]
async fn a_removed_node_is_refused_in_its_waiting_poll() {
    let exchange = exchange();
    let name = name();
    let mut poll = pin!(exchange.poll(&name, first("", 0)));
    assert!(poll_once(poll.as_mut()).is_pending());
    let mut events = exchange.events();
    exchange.remove(&name);
    assert_eq!(poll.await, Err(PollError::Removed));
    assert_eq!(events.try_recv(), Ok(NodeEvent::Gone(name.clone())));
}

#[tokio::test]
async fn a_closing_exchange_holds_no_poll() {
    let exchange = exchange();
    let name = name();
    let mut poll = pin!(exchange.poll(&name, first("", 0)));
    assert!(poll_once(poll.as_mut()).is_pending());
    exchange.close();
    assert_eq!(poll.await.unwrap().instructions, []);
    let after = exchange.poll(&name, first("", 0)).await.unwrap();
    assert_eq!(after.instructions, []);
}

#[tokio::test]
async fn a_statement_is_told_when_it_changes() {
    let exchange = exchange();
    let mut events = exchange.events();
    let statement = |threads| Statement {
        threads,
        ..Statement::default()
    };
    exchange.remember(&name(), Some(1), statement(1));
    for threads in [1, 1, 2] {
        let request = PollRequest {
            statement: Some(statement(threads)),
            working: Some(Working::default()),
            ..first("this-process", 0)
        };
        exchange.poll(&name(), request).await.unwrap();
    }
    assert_eq!(events.try_recv(), Ok(NodeEvent::Online(name())));
    assert_eq!(events.try_recv(), Ok(NodeEvent::Stated(name())));
    assert!(events.try_recv().is_err());
    assert_eq!(exchange.statement(&name()).unwrap().threads, 2);
}

#[tokio::test]
async fn a_node_that_begins_anew_is_told_as_one_that_comes_back() {
    let exchange = exchange();
    let mut events = exchange.events();
    let working = |mailbox: &str| PollRequest {
        working: Some(Working::default()),
        ..first(mailbox, 0)
    };
    for mailbox in ["", "this-process", "this-process", ""] {
        exchange.poll(&name(), working(mailbox)).await.unwrap();
    }
    assert_eq!(events.try_recv(), Ok(NodeEvent::Online(name())));
    assert_eq!(events.try_recv(), Ok(NodeEvent::Online(name())));
    assert!(events.try_recv().is_err());
}
