//! What people run: `cargo xtask COMMAND`. The local cluster, the images and
//! the generated files each have a room of their own; this file only wires.

mod access;
mod bench;
mod cluster;
mod command;
mod demo;
mod generate;
mod gitops;
mod go;
mod image;
mod instructions;
mod step;
mod study;
mod test;
mod tools;
mod unavailable;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, run and check Tiny Dancer", version)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Watch a good model being promoted and a bad one being rolled back
    Demo(demo::Arguments),
    /// Run the whole test
    Test(test::Arguments),
    /// Measure what takes too long for every run, and write it down
    Study(study::Arguments),
    /// Measure the engine beside the earlier system, in one run
    Bench(bench::Arguments),
    /// Run a Kubernetes cluster of one node on this machine
    Cluster(cluster::Arguments),
    /// Build the container images, without Docker
    Image(image::Arguments),
    /// Write the files that are generated from code
    Generate(generate::Arguments),
}

fn main() -> ExitCode {
    let task = Arguments::parse().task;
    let outcome = Workspace::discover().and_then(|workspace| match task {
        Task::Demo(arguments) => demo::run(&workspace, &arguments),
        Task::Test(arguments) => test::run(&workspace, &arguments),
        Task::Study(arguments) => study::run(&workspace, &arguments),
        Task::Bench(arguments) => bench::run(&workspace, &arguments),
        Task::Cluster(arguments) => cluster::run(&workspace, arguments),
        Task::Image(arguments) => image::run(&workspace, &arguments),
        Task::Generate(arguments) => generate::run(&workspace, &arguments),
    });
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
