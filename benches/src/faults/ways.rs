//! The ways to make a look-up that may block.

use std::future::Future;
use std::sync::Arc;

use threadlet::threadlet;

use super::device::Store;
use crate::harness::Plan;
use crate::peer::{Peer, Smol};

type Ours = threadlet::runtime::Runtime;
type Tokio = tokio::runtime::Runtime;

/// A way to look something up in a task of a runtime.
pub(crate) trait Way: 'static {
    type Peer: Peer;

    fn build(plan: &Plan) -> Self::Peer;

    fn look_up(store: &Arc<Store>, page: u32) -> impl Future<Output = u64> + Send;
}

/// A runtime of the plan's.
pub(crate) trait Built: Peer + 'static {
    fn build(plan: &Plan) -> Self;
}

impl Built for Ours {
    fn build(plan: &Plan) -> Ours {
        plan.runtime()
    }
}

impl Built for Tokio {
    fn build(plan: &Plan) -> Tokio {
        plan.tokio()
    }
}

impl Built for Smol {
    fn build(plan: &Plan) -> Smol {
        plan.smol()
    }
}

/// Says that it may block.
#[derive(Debug)]
pub(crate) struct Marked;

impl Way for Marked {
    type Peer = Ours;

    fn build(plan: &Plan) -> Ours {
        Ours::build(plan)
    }

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        threadlet!(store.sum(page))
    }
}

/// A plain call, as most people write it.
#[derive(Debug)]
pub(crate) struct Plain<P>(P);

impl<P: Built> Way for Plain<P> {
    type Peer = P;

    fn build(plan: &Plan) -> P {
        P::build(plan)
    }

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        store.sum(page)
    }
}

/// On another thread, tokio's.
#[derive(Debug)]
pub(crate) struct SpawnBlocking;

impl Way for SpawnBlocking {
    type Peer = Tokio;

    fn build(plan: &Plan) -> Tokio {
        Tokio::build(plan)
    }

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        let store = store.clone();
        let call = tokio::task::spawn_blocking(move || store.sum(page));
        call.await.expect("the look-up ends well")
    }
}

/// In place, with the worker handed over first.
#[derive(Debug)]
pub(crate) struct BlockInPlace;

impl Way for BlockInPlace {
    type Peer = Tokio;

    fn build(plan: &Plan) -> Tokio {
        Tokio::build(plan)
    }

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        tokio::task::block_in_place(|| store.sum(page))
    }
}

/// On another thread, that of the crate `blocking`.
#[derive(Debug)]
pub(crate) struct Unblock;

impl Way for Unblock {
    type Peer = Smol;

    fn build(plan: &Plan) -> Smol {
        Smol::build(plan)
    }

    async fn look_up(store: &Arc<Store>, page: u32) -> u64 {
        let store = store.clone();
        blocking::unblock(move || store.sum(page)).await
    }
}
