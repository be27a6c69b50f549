//! Clients as the data name them: hospitals, states, wearers, speakers.

use commonweal_core::{ClientName, Population, Seed, below};

use super::{Deal, PartitionError};
use crate::{Roster, Split};

/// Deals the rows of both sides by the roster's clients.
pub(super) fn natural(
    roster: &Roster,
    split: &Split,
    wanted: Option<u32>,
    minimum: u32,
    seed: &Seed,
) -> Result<(Population, Deal, Deal), PartitionError> {
    let clients = roster.clients().ok_or(PartitionError::NoNaturalClients)?;
    let by_client = |rows: &[u32]| {
        let mut lists = vec![Vec::new(); clients.names().len()];
        rows.iter()
            .for_each(|&row| lists[clients.codes()[row as usize] as usize].push(row));
        lists
    };
    let (mut train, mut test) = (by_client(&split.train), by_client(&split.test));
    let mut chosen = Vec::new();
    for (code, name) in clients.names().iter().enumerate() {
        if train[code].len() >= minimum as usize {
            chosen.push((ClientName::try_from(&**name)?, code));
        }
    }
    if chosen.is_empty() {
        return Err(PartitionError::NobodyLeft { minimum });
    }
    chosen.sort_unstable();
    if let Some(wanted) = wanted {
        choose(&mut chosen, wanted, seed)?;
    }
    let take = |lists: &mut Vec<Vec<u32>>| {
        Deal::new(
            chosen
                .iter()
                .map(|(_, code)| std::mem::take(&mut lists[*code])),
        )
    };
    let (train, test) = (take(&mut train), take(&mut test));
    let population = Population::named(chosen.into_iter().map(|(name, _)| name).collect())?;
    Ok((population, train, test))
}

/// Keeps `wanted` of `items`, in their order (selection sampling: Knuth, volume 2, algorithm 3.4.2 S).
fn choose<T>(items: &mut Vec<T>, wanted: u32, seed: &Seed) -> Result<(), PartitionError> {
    let found = items.len();
    if wanted as usize > found {
        return Err(PartitionError::TooFewNaturalClients { wanted, found });
    }
    let mut rng = seed.rng();
    let (mut left, mut needed) = (found as u64, u64::from(wanted));
    items.retain(|_| {
        let keep = below(&mut rng, left) < needed;
        left -= 1;
        needed -= u64::from(keep);
        keep
    });
    Ok(())
}
