//! The candidate network: what the calls to each model have shown so far, kept as one recurrent state a candidate,
//! and the choice among candidates for one request.
//!
//! Every finished call is one step of its candidate's stream. A decision is one more step from each
//! candidate's state with the request's signals, which is not kept, and two heads on the state it leads to.

mod best;
#[cfg(feature = "bounds")]
pub mod bounds;
pub mod conversation;
pub mod infer;
mod kernel;
pub mod network;
pub mod offered;
mod overlap;
pub mod query;
pub mod ranker;
#[cfg(test)]
mod reference;
pub mod schema;
pub mod select;
pub mod store;
pub mod stream;
