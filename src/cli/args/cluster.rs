//! The arguments of nodes, and of who asks them.

use std::ffi::OsString;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};

use super::{THREADS_MAX, count, parse_size};
use crate::device::DeviceChoice;
#[cfg(feature = "net")]
use crate::transport::DEFAULT_PORT;
#[cfg(not(feature = "net"))]
const DEFAULT_PORT: u16 = 0;

/// A node by its name or address, and its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    host: String,
    /// `None` where it was not said.
    port: Option<u16>,
}

impl FromStr for Endpoint {
    type Err = String;

    /// `HOST`, `HOST:PORT`, `::1` or `[::1]:PORT`.
    fn from_str(text: &str) -> Result<Endpoint, String> {
        let advice = "use HOST or HOST:PORT, with an IPv6 address in brackets before a port";
        if let Ok(addr) = text.parse::<SocketAddr>()
            && addr.port() != 0
        {
            return Ok(Endpoint { host: addr.ip().to_string(), port: Some(addr.port()) });
        }
        let bare = without_brackets(text);
        if bare.parse::<std::net::IpAddr>().is_ok() {
            return Ok(Endpoint { host: bare.to_owned(), port: None });
        }
        let (host, port) = match text.split_once(':') {
            None => (text, None),
            Some((host, port)) => {
                let port = port.parse().ok().filter(|&port| port != 0);
                if port.is_none() {
                    return Err(format!("'{text}' has no port from 1 to 65535; {advice}"));
                }
                (host, port)
            }
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        match !host.is_empty() && host.chars().all(is_name) {
            true => Ok(Endpoint { host: host.to_owned(), port }),
            false => Err(format!("'{text}' is no host; {advice}")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => f.write_str(&self.host),
            Some(port) if self.host.contains(':') => write!(f, "[{}]:{port}", self.host),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

impl Endpoint {
    /// What may also be the name of a cluster: a host without a port.
    pub fn bare(&self) -> Option<&str> {
        self.port.is_none().then_some(self.host.as_str())
    }

    /// The addresses that it has.
    ///
    /// # Errors
    /// Its name is not known; the message says so.
    pub fn addrs(&self) -> Result<Vec<SocketAddr>, String> {
        let Endpoint { host, port } = self;
        let found = (host.as_str(), port.unwrap_or(DEFAULT_PORT))
            .to_socket_addrs()
            .map_err(|error| format!("the host '{host}' is not known: {error}"))?;
        Ok(found.collect())
    }
}

/// Where a cluster is.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ViaArgs {
    /// Ask the cluster of this node, HOST or HOST:PORT, or the cluster of this name
    /// in config.toml; file names are those of its catalogue; repeatable, the first
    /// that answers is asked
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub via: Vec<Endpoint>,

    /// The file of the cluster's secret [default: 'token' in adsum's directory of
    /// the user's configuration]
    #[arg(long, value_name = "FILE", env = "ADSUM_TOKEN_FILE")]
    pub token: Option<PathBuf>,

    /// The connection, made when it is first needed.
    #[cfg(feature = "net")]
    #[arg(skip)]
    pub client: std::cell::OnceCell<crate::client::Client>,

    /// Jobs that ended because nobody was left who had some of their data.
    #[cfg(feature = "net")]
    #[arg(skip)]
    pub incomplete: std::cell::Cell<u32>,
}

impl ViaArgs {
    /// Whether a cluster is to be asked.
    pub fn is_given(&self) -> bool {
        !self.via.is_empty()
    }
}

/// What is done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Print a new random token; send it into a file
    New,
}

/// What a node is.
#[derive(Debug, Args)]
pub struct DaemonArgs {
    /// The file of the cluster's secret [default: 'token' in adsum's directory of
    /// the user's configuration]
    #[arg(long, value_name = "FILE", env = "ADSUM_TOKEN_FILE")]
    pub token: Option<PathBuf>,

    /// The directory whose .npy files are offered, with all below it
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Where the node keeps what it remembers [default: .adsum in the data
    /// directory]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,

    /// Name for people [default: that of this machine]
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub name: Option<String>,

    /// Address to listen on [default: all addresses, UDP port 7386]
    #[arg(long, value_name = "ADDR", value_parser = parse_bind, help_heading = "Network")]
    pub bind: Option<SocketAddr>,

    /// Address at which others reach this node; repeatable, the best first
    /// [default: those of this machine but bridges of containers]
    #[arg(long, value_name = "ADDR", value_parser = parse_advertise, help_heading = "Network")]
    pub advertise: Vec<SocketAddr>,

    /// A node that is there already, HOST or HOST:PORT; repeatable
    #[arg(long, value_name = "HOST", value_delimiter = ',', help_heading = "Network")]
    pub join: Vec<Endpoint>,

    /// auto, cpu, gpu, gpu:0 or a part of a device's name; repeatable
    #[arg(
        long,
        value_name = "DEVICE",
        env = "ADSUM_DEVICE",
        value_delimiter = ',',
        help_heading = "Running"
    )]
    pub device: Vec<DeviceChoice>,

    /// CPU threads [default: all cores]
    #[arg(
        long, value_name = "N", env = "ADSUM_THREADS", value_parser = count(THREADS_MAX),
        help_heading = "Running"
    )]
    pub threads: Option<u64>,

    /// The most memory that the node takes [default: 512MiB]
    #[arg(
        long, value_name = "SIZE", env = "ADSUM_MEMORY", value_parser = parse_size,
        help_heading = "Running"
    )]
    pub memory: Option<u64>,

    /// The most memory for partials that are kept in case that the same is asked
    /// again; 4MiB are those of sums of hundreds of GB, 0 keeps none
    #[arg(
        long, value_name = "SIZE", default_value = "4MiB", value_parser = parse_size,
        help_heading = "Running"
    )]
    pub remember: u64,

    /// Say more: what the node does, with -vv every detail
    #[arg(short, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// How the log on stderr looks
    #[arg(
        long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text,
        help_heading = "Output"
    )]
    pub log_format: LogFormat,

    /// Print one JSON object when the node is ready
    #[arg(long, help_heading = "Output")]
    pub json: bool,

    /// Take the configuration from standard input and end with it
    #[arg(long, hide = true, exclusive = true)]
    pub supervised: bool,
}

/// The form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Args)]
pub struct PutArgs {
    /// .npy files or quoted globs; a file is called as it is given here if that is
    /// relative and has no '..', else by the last part of its path
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<OsString>,

    /// On how many nodes each file is to be, those that have it already included
    #[arg(
        long, value_name = "R", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub replicas: u64,

    /// Put this before each name, as a directory
    #[arg(long = "as", value_name = "PREFIX/")]
    pub prefix: Option<String>,

    #[command(flatten)]
    pub via: ViaArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,

    /// Print nothing but errors
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct LsArgs {
    /// Only names that match one of these globs
    #[arg(value_name = "GLOB")]
    pub patterns: Vec<String>,

    #[command(flatten)]
    pub via: ViaArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    pub via: ViaArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 nothing failed, warnings there may be; else what the first of these is about that \
failed: 10 the network, 7 another cluster secret, 8 devices, 1 anything else.")]
pub struct DoctorArgs {
    #[command(flatten)]
    pub via: ViaArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The first digits of the job's id, as 'adsum status' prints it
    #[arg(value_name = "JOB")]
    pub job: String,

    #[command(flatten)]
    pub via: ViaArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RmArgs {
    /// Names whose files are gone
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,

    #[command(flatten)]
    pub via: ViaArgs,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `ADDR` or `ADDR:PORT`, or `:PORT` for all addresses.
pub fn parse_bind(text: &str) -> Result<SocketAddr, String> {
    let advice = "use an address of this machine with an optional port, as 192.168.1.5:7386";
    if let Some(port) = text.strip_prefix(':') {
        return parse_bind(&format!("0.0.0.0:{port}"));
    }
    let bare = without_brackets(text);
    match (text.parse(), bare.parse()) {
        (Ok(addr), _) => Ok(addr),
        (_, Ok(ip)) => Ok(SocketAddr::new(ip, DEFAULT_PORT)),
        _ => Err(format!("'{text}' is no address; {advice}")),
    }
}

/// As [`parse_bind`], for an address that others dial.
pub fn parse_advertise(text: &str) -> Result<SocketAddr, String> {
    let addr = parse_bind(text)?;
    match addr.ip().is_unspecified() || addr.ip().is_multicast() {
        true => Err(format!(
            "nobody can dial '{text}'; use the address at which others reach this machine, as 192.168.1.5:7386"
        )),
        false => Ok(addr),
    }
}

/// An IPv6 address may stand in brackets, both of them.
fn without_brackets(text: &str) -> &str {
    text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text)
}

/// A name that fits a line of a table.
pub fn parse_name(text: &str) -> Result<String, String> {
    let fits = !text.is_empty() && text.len() <= 64 && !text.contains(char::is_control);
    match fits {
        true => Ok(text.to_owned()),
        false => Err("use 1 to 64 bytes of text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: impl Into<Option<u16>>) -> Result<Endpoint, String> {
        Ok(Endpoint { host: host.to_owned(), port: port.into() })
    }

    #[test]
    fn endpoints_have_a_host_and_perhaps_a_port() {
        assert_eq!("lab1".parse(), endpoint("lab1", None));
        assert_eq!("lab1.example:99".parse(), endpoint("lab1.example", 99));
        assert_eq!("192.0.2.7".parse(), endpoint("192.0.2.7", None));
        assert_eq!("[::1]:99".parse(), endpoint("::1", 99));
        assert_eq!("::1".parse(), endpoint("::1", None));
        for bad in [
            "",
            ":99",
            "lab1:",
            "lab1:0",
            "lab1:65536",
            "a b",
            "quic://lab1",
            "x:1:2",
            "[::1",
            "::1]",
            "192.0.2.7:0",
            "[::1]:0",
        ] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad}");
        }
        for text in ["lab1", "lab1:99", "[::1]:99", "::1", "192.0.2.7:1"] {
            assert_eq!(text.parse().map(|found: Endpoint| found.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn addresses_to_listen_on_may_lack_a_part() {
        assert_eq!(parse_bind(":99"), Ok(([0, 0, 0, 0], 99).into()));
        assert_eq!(parse_bind("192.0.2.7"), Ok(([192, 0, 2, 7], DEFAULT_PORT).into()));
        assert_eq!(parse_bind("[::1]:9").map(|addr| addr.port()), Ok(9));
        for bad in ["", "lab1", "192.0.2.7:99999", "192.0.2", "[::1", "::1]"] {
            assert!(parse_bind(bad).is_err(), "{bad}");
        }
        // What is listened on need not be what can be dialled. Port zero is the socket's.
        assert!(parse_bind("[::]").is_ok() && parse_advertise("192.0.2.7:0").is_ok());
        for bad in ["0.0.0.0", "[::]", ":99", "224.0.0.1", "lab1"] {
            assert!(parse_advertise(bad).is_err(), "{bad}");
        }
    }
}
