//! `tiny-dancer`: train, look at, evaluate and sign routing models, try the guards of rollouts, and ask a history what
//! another model would have been worth.

mod bucket;
mod distort;
mod evaluate;
mod export;
mod files;
mod inspect;
mod replay;
mod selection;
mod sign;
mod simulate;
mod train;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Train, evaluate, inspect and sign routing models; try the guards of rollouts.
#[derive(Parser)]
#[command(name = "tiny-dancer", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Train(train::Train),
    Evaluate(evaluate::Evaluate),
    Inspect(inspect::Inspect),
    Export(export::Export),
    Replay(replay::Replay),
    Bucket(bucket::Bucket),
    Simulate(simulate::Simulate),
    Keygen(sign::Keygen),
    Sign(sign::Sign),
    Distort(distort::Distort),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line with its causes; a backtrace tells people nothing about their file or flag.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Train(command) => command.run(),
        Command::Evaluate(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Export(command) => command.run(),
        Command::Replay(command) => command.run(),
        Command::Bucket(command) => {
            command.run();
            Ok(())
        }
        Command::Simulate(command) => command.run(),
        Command::Keygen(command) => command.run(),
        Command::Sign(command) => command.run(),
        Command::Distort(command) => command.run(),
    }
}
