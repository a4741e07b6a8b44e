//! RouterModel: its status, derived from the artifact and from what the policies say about it.

pub mod controller;
