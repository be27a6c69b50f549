//! Any bytes read as each body that a node reads from a server, and its tasks as tasks: a value or a refusal.

#![no_main]

use commonweal_core::Time;
use commonweal_wire::proto::instruction::Kind;
use commonweal_wire::proto::{
    Instruction, JoinAnswer, PollAnswer, Refusal, ReportAnswer, ReportState, Task,
};
use commonweal_wire::{read, remaining_ms, task_of, to_task, to_task_id};
use prost::Message;

const NOW: Time = Time { ms: 1 };

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let answer = message::<PollAnswer>(bytes);
    for instruction in answer.into_iter().flat_map(|answer| answer.instructions) {
        take(instruction);
    }
    if let Some(refusal) = message::<Refusal>(bytes) {
        assert!((400..600).contains(&refusal.code().status()));
    }
    message::<JoinAnswer>(bytes);
    message::<ReportState>(bytes);
    message::<ReportAnswer>(bytes);
});

fn take(instruction: Instruction) {
    match instruction.kind {
        Some(Kind::Work(work)) => {
            if let Some(message) = work.task {
                task(&message);
            }
        }
        Some(Kind::Cancel(cancel)) => drop(to_task_id(cancel.task.as_ref())),
        Some(Kind::Settled(settled)) => drop(to_task_id(settled.task.as_ref())),
        Some(Kind::RunOver(over)) => drop(over.ending()),
        Some(Kind::Offer(_)) | None => (),
    }
}

/// A task that is read is written as a message of the same task.
fn task(message: &Task) {
    let Ok(task) = to_task(message, NOW) else {
        return;
    };
    let written = task_of(&task, remaining_ms(&task, NOW));
    let again = to_task(&written, NOW).expect("a task that was written");
    assert_eq!(
        task_of(&again, remaining_ms(&again, NOW)).encode_to_vec(),
        written.encode_to_vec()
    );
}

/// A message that is read is read again from what it is written as. The same bytes, not the same value: NaN is not equal to itself.
fn message<M: Message + Default>(bytes: &[u8]) -> Option<M> {
    let message: M = read(bytes).ok()?;
    let written = message.encode_to_vec();
    let again: M = read(&written).expect("a message that was written");
    assert_eq!(again.encode_to_vec(), written);
    Some(message)
}
