//! Without the feature `test-util` no runtime replays, and nobody comes here.

use std::task::{Context, Poll};

use super::{Gate, Pass, Refused};
use crate::context::Thread;
use crate::protocol::queue::Ticket;
use crate::shared::Shared;

#[derive(Debug)]
pub(super) enum Nap {}

#[inline(always)]
pub(super) fn give_back(_shared: &Shared, ticket: Ticket) -> Option<Ticket> {
    Some(ticket)
}

pub(super) fn poll(
    _gate: &mut Gate,
    _thread: &Thread<'_>,
    _cx: &mut Context<'_>,
) -> Poll<Result<Pass, Refused>> {
    Poll::Ready(Ok(Pass::Free))
}
