//! `adsum doctor`: what could keep this machine, or a cluster seen from it, from
//! working, and what to do about it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::args::DoctorArgs;
use super::config::{self, Loaded, Settings};
use super::exit::{self, Blame, Failure};
use super::report::SCHEMA;
use super::table::{Align, Table};
use crate::os;

mod cluster;
mod machine;
mod network;
mod token;

/// The longest that one check takes.
const LIMIT: Duration = Duration::from_secs(5);

/// Whose fault it is that something failed, in the order in which the exit code tells.
const ORDER: [Blame; 3] = [Blame::Cluster, Blame::Identity, Blame::Device];

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    /// It works, but not well.
    Warning,
    /// Something will not work.
    Failure(Blame),
}

/// What was looked at, what was found, and the way out.
#[derive(Clone, Debug)]
struct Check {
    outcome: Outcome,
    what: String,
    value: String,
    /// Empty where all is well.
    fix: String,
}

impl Check {
    fn ok(what: impl ToString, value: impl ToString) -> Check {
        Check::new(Outcome::Ok, what, value, "")
    }

    fn warning(what: impl ToString, value: impl ToString, fix: impl ToString) -> Check {
        Check::new(Outcome::Warning, what, value, fix)
    }

    fn failure(
        what: impl ToString,
        value: impl ToString,
        fix: impl ToString,
        blame: Blame,
    ) -> Check {
        Check::new(Outcome::Failure(blame), what, value, fix)
    }

    fn new(
        outcome: Outcome,
        what: impl ToString,
        value: impl ToString,
        fix: impl ToString,
    ) -> Check {
        let (what, value, fix) = (what.to_string(), value.to_string(), fix.to_string());
        Check { outcome, what, value, fix }
    }

    /// A failure of something that tells what is wrong and, after a semicolon, the way
    /// out.
    fn failed(what: impl ToString, message: impl ToString, blame: Blame) -> Check {
        let (value, fix) = told(&message.to_string());
        Check::failure(what, value, fix, blame)
    }

    fn word(&self) -> &'static str {
        match self.outcome {
            Outcome::Ok => "ok",
            Outcome::Warning => "warning",
            Outcome::Failure(_) => "failure",
        }
    }

    fn to_json(&self) -> Json {
        let fix = (!self.fix.is_empty()).then_some(&self.fix);
        json!({ "outcome": self.word(), "what": self.what, "value": self.value, "fix": fix })
    }
}

/// What is wrong, and the way out.
fn told(message: &str) -> (String, String) {
    let (value, fix) = message.split_once("; ").unwrap_or((message, "see 'adsum --help'"));
    (value.to_owned(), fix.to_owned())
}

/// Looks at everything and says what there is to do.
pub fn run(mut args: DoctorArgs) -> Result<(), Failure> {
    let mut checks = Vec::new();
    let loaded = configuration(&mut checks);
    if let Err(failure) = loaded.config.complete_via(&mut args.via) {
        checks.push(Check::failed("clusters", failure.message, Blame::Internal));
    }
    match Settings::new(&loaded.config) {
        Ok(settings) => checks.extend(machine::checks(&loaded, &settings)),
        Err(failure) => checks.push(Check::failed("environment", failure.message, Blame::Internal)),
    }
    let secret = token::check(&loaded, &args.via, &mut checks);
    checks.extend(network::checks(&loaded, secret.as_ref()));
    if let (true, Some(secret)) = (args.via.is_given(), &secret) {
        checks.extend(cluster::checks(&args.via.via, secret));
    }
    exit::answer(&if args.json { to_json(&checks).to_string() } else { to_text(&checks) })?;
    let verdict = verdict(&checks);
    if IS_LATE.load(Ordering::Relaxed) {
        let code = verdict.as_ref().err().map_or(0, |failure| {
            let _code = failure.report(args.json);
            i32::from(failure.blame as u8)
        });
        os::end_at_once(code);
    }
    verdict
}

/// Whether something took too long, and goes on.
static IS_LATE: AtomicBool = AtomicBool::new(false);

/// The file of the configuration; none where it makes no sense.
fn configuration(checks: &mut Vec<Check>) -> Loaded {
    let what = "configuration";
    match within(config::load) {
        Some(Ok(loaded)) => {
            let path = loaded.path.as_ref().map(|path| path.display().to_string());
            checks.push(match (path, loaded.found) {
                (Some(path), true) => Check::ok(what, path),
                (Some(path), false) => Check::ok(what, format!("no file {path}, nor needs to be")),
                (None, _) => Check::ok(what, "no directory for it: neither HOME nor ADSUM_CONFIG"),
            });
            loaded
        }
        Some(Err(failure)) => {
            checks.push(Check::failed(what, failure.message, Blame::Internal));
            Loaded::default()
        }
        None => {
            let fix = "see that its file system answers, or name another file by ADSUM_CONFIG";
            checks.push(Check::failure(what, late(), fix, Blame::Internal));
            Loaded::default()
        }
    }
}

/// What `work` gives, or `None` if that takes too long; it then goes on, until this
/// process ends.
fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = channel();
    let started = std::thread::Builder::new().spawn(move || {
        // Nobody waits any more when it is late.
        let _late = sender.send(work());
    });
    let given = started.ok().and_then(|_| receiver.recv_timeout(LIMIT).ok());
    IS_LATE.fetch_or(given.is_none(), Ordering::Relaxed);
    given
}

fn late() -> String {
    format!("no answer within {} s", LIMIT.as_secs())
}

fn verdict(checks: &[Check]) -> Result<(), Failure> {
    let failed: Vec<(&str, Blame)> = checks
        .iter()
        .filter_map(|check| match check.outcome {
            Outcome::Failure(blame) => Some((check.what.as_str(), blame)),
            _ => None,
        })
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    let blame = ORDER.into_iter().find(|blame| failed.iter().any(|(_, other)| other == blame));
    let names: Vec<&str> = failed.iter().map(|(what, _)| *what).collect();
    let message =
        format!("{} of {} checks failed: {}", names.len(), checks.len(), names.join(", "));
    Err(Failure::new(blame.unwrap_or(Blame::Internal), message))
}

fn to_text(checks: &[Check]) -> String {
    let mut table = Table::new(&[Align::Left; 3]);
    for check in checks {
        table.push([format!("{:<7}", check.word()), check.what.clone(), check.value.clone()]);
    }
    let mut text = String::new();
    for (line, check) in table.to_text().lines().zip(checks) {
        text.push_str(line);
        text.push('\n');
        if !check.fix.is_empty() {
            text.push_str(&format!("         {}\n", check.fix));
        }
    }
    text.trim_end().to_owned()
}

fn to_json(checks: &[Check]) -> Json {
    let count = |word| checks.iter().filter(|check| check.word() == word).count();
    json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "checks": checks.iter().map(Check::to_json).collect::<Vec<_>>(),
        "warnings": count("warning"),
        "failures": count("failure"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_gravest_failure() {
        let ok = || Check::ok("a", "1");
        let failure = |blame| Check::failure("b", "2", "do", blame);
        let code = |checks: &[Check]| verdict(checks).map_err(|failure| failure.blame as u8);
        assert_eq!(code(&[ok(), Check::warning("w", "3", "do")]), Ok(()));
        assert_eq!(code(&[failure(Blame::Internal)]), Err(1));
        assert_eq!(code(&[failure(Blame::Usage)]), Err(1));
        assert_eq!(code(&[failure(Blame::Internal), failure(Blame::Device)]), Err(8));
        assert_eq!(code(&[failure(Blame::Device), failure(Blame::Identity)]), Err(7));
        assert_eq!(code(&[failure(Blame::Identity), ok(), failure(Blame::Cluster)]), Err(10));
    }

    #[test]
    fn what_is_not_well_has_its_way_out_below() {
        let checks =
            [Check::ok("token", "/t"), Check::failed("port", "taken; end it", Blame::Internal)];
        assert_eq!(to_text(&checks), "ok       token  /t\nfailure  port   taken\n         end it");
        let json = to_json(&checks);
        assert_eq!(json["checks"][0]["fix"], Json::Null);
        assert_eq!(json["checks"][1]["fix"], "end it");
        assert_eq!((&json["failures"], &json["warnings"]), (&json!(1), &json!(0)));
    }
}
