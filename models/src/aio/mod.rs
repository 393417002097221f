//! `aio` as production runs it, but for the pump, and its models.

mod models;
#[path = "../../../src/aio/op.rs"]
mod op;
#[path = "../../../src/aio/order.rs"]
mod order;
#[path = "../../../src/aio/places.rs"]
mod places;
mod pump;
#[path = "../../../src/aio/request.rs"]
mod request;
#[path = "../../../src/aio/shared.rs"]
mod shared;
