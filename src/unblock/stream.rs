//! An iterator as a stream.

use std::any::Any;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures::stream::Stream;

use super::Unblock;
use super::desk::{Action, Done, Shared};
use crate::coop;
use crate::primitive::Mutex;

const CAPACITY: usize = 256;

/// The items taken ahead.
type Items<I> = Mutex<VecDeque<I>>;

impl<T: Iterator> Unblock<T>
where
    T::Item: Send + 'static,
{
    fn items(&mut self) -> Arc<Items<T::Item>> {
        let items = self.items.get_or_insert_with(|| Arc::new(Items::<T::Item>::default()));
        let items: Arc<dyn Any + Send + Sync> = items.clone();
        items.downcast().expect("an iterator has items of one type")
    }
}

fn pull<T: Iterator>(
    shared: &Shared<T>,
    io: &mut T,
    items: &Items<T::Item>,
    capacity: usize,
) -> Done {
    for _ in 0..capacity {
        if shared.hurry.load(Ordering::Relaxed) {
            break;
        }
        let Some(item) = io.next() else { return Done::Pulled { ended: true } };
        items.lock().push_back(item);
        shared.waker.wake();
    }
    Done::Pulled { ended: false }
}

impl<T: Iterator + Send + 'static> Unblock<T>
where
    T::Item: Send + 'static,
{
    /// What was taken ahead, or what a call of `T` brings.
    fn poll_items(&mut self, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        let items = self.items();
        loop {
            if let Some(item) = items.lock().pop_front() {
                return Poll::Ready(Some(item));
            }
            self.shared.waker.register(cx.waker());
            // In this order: when the call has ended, all that it brought is here.
            let busy = self.shared.is_busy();
            if let Some(item) = items.lock().pop_front() {
                return Poll::Ready(Some(item));
            }
            if busy {
                return Poll::Pending;
            }
            ready!(self.poll_settled(cx));
            if std::mem::take(&mut self.ended) || self.is_closed() {
                return Poll::Ready(None);
            }
            let (items, capacity) = (items.clone(), self.capacity.unwrap_or(CAPACITY));
            self.start(Action::new(move |shared, io: &mut T| pull(shared, io, &items, capacity)));
        }
    }
}

/// # Cancel safety
///
/// Dropping the future of a `next` loses no item.
impl<T: Iterator + Send + 'static> Stream for Unblock<T>
where
    T::Item: Send + 'static,
{
    type Item = T::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        coop::counted(cx, |cx| self.poll_items(cx))
    }
}
