//! Attempts to join, by address: each failure makes the next ones wait for longer.

use std::collections::HashMap;
use std::net::IpAddr;

/// The wait after the first failure that costs; doubles with each further one.
const FIRST_MS: u64 = 1_000;

/// The longest wait.
const LONGEST_MS: u64 = 900_000;

/// Addresses that are remembered; beyond, those that have waited out are forgotten, then all.
const MOST: usize = 10_000;

/// Failed attempts of all addresses.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Failures that cost nothing: people mistype, and sites share an address.
    free: u32,
    addresses: HashMap<IpAddr, Failures>,
}

#[derive(Debug, Default)]
struct Failures {
    count: u32,
    last_ms: u64,
    until_ms: u64,
}

impl Attempts {
    /// None so far; an address has `free` failures before it has to wait.
    pub(super) fn new(free: u32) -> Self {
        Self {
            free,
            addresses: HashMap::new(),
        }
    }

    /// Milliseconds that `address` has to wait before it may try.
    pub(super) fn wait_ms(&self, address: IpAddr, now_ms: u64) -> u64 {
        let failures = self.addresses.get(&neighbourhood(address));
        failures.map_or(0, |failures| failures.until_ms.saturating_sub(now_ms))
    }

    /// Notes an attempt before its outcome is known, so that many at once do not all count as the first.
    pub(super) fn begin(&mut self, address: IpAddr, now_ms: u64) {
        if self.addresses.len() >= MOST {
            self.addresses
                .retain(|_, failures| failures.until_ms > now_ms);
        }
        if self.addresses.len() >= MOST {
            self.addresses.clear();
        }
        let failures = self.addresses.entry(neighbourhood(address)).or_default();
        if now_ms.saturating_sub(failures.last_ms) > LONGEST_MS {
            failures.count = 0;
        }
        failures.last_ms = now_ms;
        failures.count = failures.count.saturating_add(1);
        if let Some(paid) = failures.count.saturating_sub(self.free).checked_sub(1) {
            let wait_ms = FIRST_MS.saturating_mul(1 << paid.min(20)).min(LONGEST_MS);
            failures.until_ms = now_ms + wait_ms;
        }
    }

    /// The attempt let somebody in: it was no guess.
    pub(super) fn succeed(&mut self, address: IpAddr) {
        self.addresses.remove(&neighbourhood(address));
    }
}

/// Whoever has one address of version 6 has 2^64 of them.
fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(prefix.into())
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: u32 = 5;

    fn address(last: u16) -> IpAddr {
        IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last])
    }

    #[test]
    fn each_further_failure_doubles_the_wait() {
        let mut attempts = Attempts::new(FREE);
        for _ in 0..FREE {
            attempts.begin(address(1), 0);
            assert_eq!(attempts.wait_ms(address(1), 0), 0);
        }
        for wait_ms in [1_000, 2_000, 4_000] {
            attempts.begin(address(1), 0);
            assert_eq!(attempts.wait_ms(address(1), 0), wait_ms);
        }
        assert_eq!(attempts.wait_ms(address(1), 4_000), 0);
        for _ in 0..100 {
            attempts.begin(address(1), 0);
        }
        assert_eq!(attempts.wait_ms(address(1), 0), LONGEST_MS);
        let later_ms = 2 * LONGEST_MS;
        attempts.begin(address(1), later_ms);
        attempts.begin(address(1), later_ms);
        assert_eq!(attempts.wait_ms(address(1), later_ms), 0);
    }

    #[test]
    fn neighbours_share_their_failures_and_success_wipes_them_out() {
        let mut attempts = Attempts::new(FREE);
        for last in 0..=7 {
            attempts.begin(address(last), 0);
        }
        assert!(attempts.wait_ms(address(99), 0) > 0);
        attempts.succeed(address(0));
        assert_eq!(attempts.wait_ms(address(99), 0), 0);
    }

    #[test]
    fn memory_stays_bounded_whoever_tries() {
        let mut attempts = Attempts::new(FREE);
        for number in 0..3 * MOST as u32 {
            attempts.begin(IpAddr::from(number.to_be_bytes()), 0);
        }
        assert!(attempts.addresses.len() <= MOST);
    }
}
