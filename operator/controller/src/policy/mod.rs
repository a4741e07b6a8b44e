//! RoutingPolicy: observe, validate, plan, apply, status. Only observe, apply and status talk to anybody.

mod apply;
pub mod controller;
mod kept;
mod memory;
mod observe;
mod pods;
mod trail;
mod watched;
