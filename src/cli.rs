//! The `adsum` program: arguments, then configuration, then run.
//!
//! stdout is the answer, stderr is talk, the exit code is the verdict.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

#[cfg(feature = "net")]
mod addresses;
mod along;
mod args;
mod asker;
mod bars;
mod bench;
mod blame;
#[cfg(feature = "net")]
mod cluster;
mod config;
#[cfg(feature = "net")]
mod daemon;
mod devices;
#[cfg(feature = "net")]
mod doctor;
mod exit;
mod histogram;
mod input;
#[cfg(feature = "net")]
mod log;
#[cfg(feature = "net")]
mod names;
#[cfg(feature = "net")]
mod node;
mod plot;
mod program;
mod progress;
#[cfg(feature = "net")]
mod put;
mod quantile;
#[cfg(all(feature = "net", unix))]
mod ranks;
mod reduce;
mod remarks;
#[cfg(feature = "net")]
mod remote;
mod report;
#[cfg(feature = "net")]
mod secret;
mod shown;
mod stats;
#[cfg(feature = "net")]
mod status;
mod table;
mod talk;
#[cfg(feature = "net")]
mod via;

pub use exit::{Blame, Failure};
pub use program::Program;
#[cfg(feature = "net")]
pub use remote::{Cluster, Data, How};

use args::{Cli, Command};
#[cfg(feature = "net")]
use via::repeat_where_partial as repeat;

/// Runs the program; the code to exit with. It is for a process that does nothing else,
/// on its main thread: signals have the handlers of the program from then on.
pub fn run(program: Program) -> u8 {
    crate::os::quiet_graphics_drivers();
    let mut cli = match parse(&program.arguments) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error, &program.arguments),
    };
    if let Some(again) = cli.command.again_mut() {
        *again = program.again.into();
    }
    let as_json = cli.command.wants_json();
    match config::apply(&mut cli.command).and_then(|()| obey(cli.command)) {
        Ok(code) => code,
        Err(failure) => failure.report(as_json),
    }
}

/// What the arguments say.
fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    // The environment and `config.toml` say these for all runs, so that only the command
    // line can mean a cluster by them.
    let is_said = |matches: &ArgMatches, id| {
        matches.try_contains_id(id).is_ok()
            && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    if let Some((_, matches)) = matches.subcommand()
        && is_said(matches, "via")
        && let Some(id) =
            ["device", "threads", "memory"].into_iter().find(|id| is_said(matches, id))
    {
        let message = format!(
            "'--{id}' is for this machine, and '--via' asks nodes, which have their own; leave it out, or say it to 'adsum node'"
        );
        return Err(command.error(ErrorKind::ArgumentConflict, message));
    }
    Cli::from_arg_matches(&matches)
}

/// Does what is asked; the code is another program's with `adsum run` alone.
fn obey(command: Command) -> Result<u8, Failure> {
    match command {
        #[cfg(all(feature = "net", unix))]
        Command::Run(args) => ranks::run(&args),
        other => answer(other).map(|()| exit::ANSWERED),
    }
}

fn answer(command: Command) -> Result<(), Failure> {
    match command {
        Command::Reduce(reduction) => {
            let (op, args, ddof) = reduction.parts();
            end_on_ctrl_c(args.output.json)?;
            repeat(&args.run, &args.output, || reduce::run(op, args, ddof))
        }
        Command::Dot(args) => {
            end_on_ctrl_c(args.output.json)?;
            repeat(&args.run, &args.output, || reduce::dot(&args))
        }
        Command::Histogram(args) => {
            end_on_ctrl_c(args.output.json)?;
            repeat(&args.run, &args.output, || histogram::run(&args))
        }
        Command::Quantile(args) => {
            end_on_ctrl_c(args.reduce.output.json)?;
            repeat(&args.reduce.run, &args.reduce.output, || quantile::run(&args))
        }
        Command::Bench { what } => {
            end_on_ctrl_c(what.output().json)?;
            bench::run(&what)
        }
        Command::Devices(args) => devices::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "adsum", &mut script);
            exit::answer(String::from_utf8_lossy(&script).trim_end())
        }
        Command::Man => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut page)
                .map_err(|error| Failure::new(Blame::Internal, error))?;
            exit::answer(String::from_utf8_lossy(&page).trim_end())
        }
        #[cfg(feature = "net")]
        Command::Token { what: args::TokenCommand::New } => secret::new(),
        #[cfg(feature = "net")]
        Command::Node(args) if args.supervised => node::run(),
        #[cfg(feature = "net")]
        Command::Node(args) => daemon::run(&args),
        #[cfg(feature = "net")]
        Command::Put(args) => {
            end_on_ctrl_c_with(args.json, put::INTERRUPTED)?;
            put::run(&args)
        }
        #[cfg(feature = "net")]
        Command::Ls(args) => names::list(&args),
        #[cfg(feature = "net")]
        Command::Rm(args) => names::remove(&args),
        #[cfg(feature = "net")]
        Command::Status(args) => status::run(&args),
        #[cfg(feature = "net")]
        Command::Cancel(args) => status::cancel(&args),
        Command::Config(args) => config::run(&args),
        #[cfg(feature = "net")]
        Command::Doctor(args) => doctor::run(*args),
        #[cfg(all(feature = "net", unix))]
        Command::Run(_) => unreachable!("it has a code of its own"),
        #[cfg(all(feature = "net", not(unix)))]
        Command::Run(_) => Err(Failure::new(
            Blame::Usage,
            "'adsum run' starts processes on Linux and macOS; here start each rank by itself, with ADSUM_RANK, ADSUM_SIZE, ADSUM_ROOT and ADSUM_TOKEN_FILE set",
        )),
        #[cfg(not(feature = "net"))]
        Command::Token { .. }
        | Command::Node(_)
        | Command::Put(_)
        | Command::Ls(_)
        | Command::Rm(_)
        | Command::Status(_)
        | Command::Cancel(_)
        | Command::Run(_)
        | Command::Doctor(_) => {
            Err(Failure::new(Blame::Usage, "this adsum was built without the 'net' feature"))
        }
    }
}

/// Without a cluster nothing is ever repeated.
#[cfg(not(feature = "net"))]
fn repeat(
    _: &args::RunArgs,
    _: &args::OutputArgs,
    answer: impl Fn() -> Result<(), Failure>,
) -> Result<(), Failure> {
    answer()
}

/// Help and version are answers; everything else that clap says is a usage
/// error, in the form that the rest of the line asks for.
fn refuse(error: &clap::Error, arguments: &[OsString]) -> u8 {
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            match exit::answer(error.render().to_string().trim_end()) {
                Ok(()) => exit::ANSWERED,
                Err(failure) => failure.report(wants_json),
            }
        }
        _ if wants_json => {
            let text = error.render().to_string();
            let message = text.trim().trim_start_matches("error: ");
            Failure::new(Blame::Usage, message).report(true)
        }
        _ => {
            // A stderr that nobody reads is no failure.
            let _ = error.print();
            Blame::Usage as u8
        }
    }
}

/// Ctrl-C, like SIGTERM and SIGHUP, ends the program at once: a file that is half written
/// goes, nodes end with the pipe that this process holds, and a cluster is told.
fn end_on_ctrl_c(as_json: bool) -> Result<(), Failure> {
    end_on_ctrl_c_with(as_json, "interrupted; no answer was given")
}

fn end_on_ctrl_c_with(as_json: bool, message: &'static str) -> Result<(), Failure> {
    crate::os::on_end(move || {
        // Held until the end, so that no file takes its place meanwhile.
        let _removed = crate::sink::remove_unfinished();
        // Nor is anything told of what breaks when the cluster is left.
        let _silence = std::io::stderr().lock();
        #[cfg(feature = "net")]
        via::leave();
        Failure::new(Blame::Interrupted, message).report(as_json);
        std::process::exit(i32::from(Blame::Interrupted as u8));
    })
    .map_err(|error| Failure::new(Blame::Internal, format!("cannot listen to Ctrl-C: {error}")))
}
