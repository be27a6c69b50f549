//! Connections by how well they are known: strangers are few and leave soon.
//!
//! A connection is a stranger until a request over it is by somebody known. Strangers of one address are limited;
//! one more pushes out the oldest of them, once that has had time for an honest handshake. So connections that say
//! nothing keep nobody out, and cost bounded memory.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use tokio::sync::oneshot;

/// Strangers of one address.
const MOST_OF_AN_ADDRESS: usize = 512;

/// Time that a handshake and a request take when the server is busy.
const HONEST_MS: u64 = 1_000;

/// All connections.
#[derive(Debug)]
pub(super) struct Visitors {
    most: usize,
    here: usize,
    next: u64,
    strangers: HashMap<IpAddr, VecDeque<Stranger>>,
}

#[derive(Debug)]
struct Stranger {
    number: u64,
    since_ms: u64,
    push_out: oneshot::Sender<()>,
}

/// What becomes of a new connection.
#[derive(Debug)]
pub(super) enum Admission {
    /// It is in, until its receiver says otherwise.
    In(u64, oneshot::Receiver<()>),
    /// Its address has too many strangers that have only just come: ask again in a moment.
    Later,
    /// The server has no room for one more.
    Full,
}

impl Visitors {
    /// At most `most` connections in all.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            here: 0,
            next: 0,
            strangers: HashMap::new(),
        }
    }

    /// Connections that are open.
    pub(super) fn here(&self) -> usize {
        self.here
    }

    /// A connection from `address`.
    pub(super) fn admit(&mut self, address: IpAddr, now_ms: u64) -> Admission {
        let crowd = self.strangers.get_mut(&address);
        match crowd.filter(|strangers| strangers.len() >= MOST_OF_AN_ADDRESS) {
            Some(crowd) => {
                let has_had_time =
                    |oldest: &mut Stranger| now_ms.saturating_sub(oldest.since_ms) >= HONEST_MS;
                let Some(oldest) = crowd.pop_front_if(has_had_time) else {
                    return Admission::Later;
                };
                // A connection that is just ending does not hear it.
                let _ = oldest.push_out.send(());
            }
            None if self.here >= self.most => return Admission::Full,
            None => {}
        }
        self.next += 1;
        self.here += 1;
        let (push_out, pushed_out) = oneshot::channel();
        self.strangers
            .entry(address)
            .or_default()
            .push_back(Stranger {
                number: self.next,
                since_ms: now_ms,
                push_out,
            });
        Admission::In(self.next, pushed_out)
    }

    /// Somebody known asks over the connection.
    pub(super) fn know(&mut self, address: IpAddr, number: u64) {
        if let Some(strangers) = self.strangers.get_mut(&address) {
            strangers.retain(|stranger| stranger.number != number);
            if strangers.is_empty() {
                self.strangers.remove(&address);
            }
        }
    }

    /// The connection is closed.
    pub(super) fn leave(&mut self, address: IpAddr, number: u64) {
        self.know(address, number);
        self.here -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn admit(visitors: &mut Visitors, last: u8, now_ms: u64) -> (u64, oneshot::Receiver<()>) {
        match visitors.admit(address(last), now_ms) {
            Admission::In(number, pushed_out) => (number, pushed_out),
            other => panic!("not admitted: {other:?}"),
        }
    }

    #[test]
    fn a_crowd_of_strangers_pushes_out_its_oldest_and_nobody_else() {
        let mut visitors = Visitors::new(10_000);
        let (_, mut other) = admit(&mut visitors, 1, 0);
        let mut crowd: Vec<_> = (0..MOST_OF_AN_ADDRESS)
            .map(|_| admit(&mut visitors, 2, 0))
            .collect();
        assert!(matches!(
            visitors.admit(address(2), HONEST_MS - 1),
            Admission::Later
        ));
        admit(&mut visitors, 2, HONEST_MS);
        assert_eq!(crowd[0].1.try_recv(), Ok(()));
        assert!(crowd[1].1.try_recv().is_err());
        assert!(other.try_recv().is_err());
        admit(&mut visitors, 1, HONEST_MS);
    }

    #[test]
    fn who_is_known_is_never_pushed_out() {
        let mut visitors = Visitors::new(10_000);
        for _ in 0..3 * MOST_OF_AN_ADDRESS {
            let (number, mut pushed_out) = admit(&mut visitors, 2, 0);
            visitors.know(address(2), number);
            assert_eq!(
                pushed_out.try_recv(),
                Err(oneshot::error::TryRecvError::Closed)
            );
        }
        assert_eq!(visitors.here(), 3 * MOST_OF_AN_ADDRESS);
    }

    #[test]
    fn a_full_server_takes_one_when_one_has_left() {
        let mut visitors = Visitors::new(1);
        let (number, _pushed_out) = admit(&mut visitors, 1, 0);
        assert!(matches!(visitors.admit(address(2), 0), Admission::Full));
        visitors.leave(address(1), number);
        admit(&mut visitors, 2, 0);
    }
}
