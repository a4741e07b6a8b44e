//! What the trainer makes: the models in `models/`, and runs on data made here.

mod models;
mod runs;
