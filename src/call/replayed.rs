//! A call in a runtime that a test replays: whether it blocks, before it is made or behind that.
//! (`replayed_off` stands here without the feature `test-util`.)

use crate::call::gate::Pass;
use crate::context::Thread;
use crate::observe::site::Site;
use crate::replay::What;
use crate::scheduler::replayed::{come_back, sleep_in_call, wake};

/// Before the call is made: it may block, and the others go on.
pub(super) fn before(thread: &Thread<'_>, site: &'static Site, pass: Pass) {
    let Some(turns) = thread.shared.turns.get() else { return };
    come_back(thread);
    let is_sure = match pass {
        Pass::Free => false,
        Pass::WillBlock => true,
        Pass::Granted(waiting) => {
            if let Some(ticket) = waiting.into_ticket_of(thread.shared) {
                turns.redeem(ticket, thread.id);
            }
            true
        }
        // The core stands still with the call: nobody runs meanwhile.
        Pass::Inline | Pass::Unprotected(_) => return,
    };
    sleep(thread, What::Before, is_sure, site);
}

/// Behind it: it may come back late.
pub(super) fn after(thread: &Thread<'_>, site: &'static Site) {
    let Some(turns) = thread.shared.turns.get() else { return };
    come_back(thread);
    sleep(thread, What::After, false, site);
    wake(turns.drop_permit(thread.id));
}

fn sleep(thread: &Thread<'_>, what: What, is_sure: bool, site: &'static Site) {
    let Some(turns) = thread.shared.turns.get() else { return };
    let place = Some((site.file(), site.line()));
    let pause = turns.decisions.pause(what, is_sure, place);
    // Without a permit it could not have been handed over.
    if let Some(pause) = pause.filter(|_| turns.take_permit(thread.id)) {
        sleep_in_call(thread, Some(pause), None, place);
    }
}
