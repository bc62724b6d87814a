use super::*;

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("/etc/adsum/config.toml"))
}

fn via(text: &str) -> ViaArgs {
    ViaArgs {
        via: text.split(',').map(|host| host.parse().unwrap()).collect(),
        ..ViaArgs::default()
    }
}

fn hosts(via: &ViaArgs) -> Vec<String> {
    via.via.iter().map(ToString::to_string).collect()
}

#[test]
fn all_keys_are_read() {
    let config = parse(
        r#"
        threads = 3
        memory = "1GiB"
        device = ["cpu", "gpu:0"]

        [cluster.lab]
        nodes = ["lab1", "10.0.0.7:7386"]
        token = "lab.token"

        [node]
        data = "/data"
        state = "state"
        name = "a"
        bind = ":99"
        advertise = ["192.0.2.1:99"]
        join = "lab1"
        token = "/run/token"
        "#,
    )
    .unwrap();
    assert_eq!((config.threads, config.memory), (Some(3), Some(1 << 30)));
    assert_eq!(config.device.len(), 2);
    assert_eq!(config.cluster["lab"].nodes.len(), 2);
    assert_eq!(config.cluster["lab"].token.as_deref(), Some(Path::new("/etc/adsum/lab.token")));
    assert_eq!(config.node.data.as_deref(), Some(Path::new("/data")));
    assert_eq!(config.node.state.as_deref(), Some(Path::new("/etc/adsum/state")));
    assert_eq!(config.node.bind, Some(([0, 0, 0, 0], 99).into()));
    assert_eq!(config.node.join.len(), 1);
    assert_eq!(parse("").unwrap(), Config::default());
    assert_eq!(parse("memory = 1000\ndevice = \"cpu,gpu\"").unwrap().device.len(), 2);
}

#[test]
fn errors_name_file_line_key_and_way_out() {
    for (text, line, words) in [
        ("threads = 0", 1, &["'threads'", "0 threads", "1 to 4096"][..]),
        ("\nthreads = \"two\"", 2, &["'threads'", "two"]),
        ("memory = \"12 parsecs\"", 1, &["'memory'", "12 parsecs", "512MiB", "64KiB"][..1]),
        ("memory = true", 1, &["'memory'", "512MiB"]),
        ("device = 3", 1, &["'device'", "in quotes"]),
        ("thread = 3", 1, &["thread", "threads"]),
        ("[node]\n\ndat = \"x\"", 3, &["dat", "data"]),
        ("[node]\nbind = \"lab1\"", 2, &["'node.bind'", "lab1", "address"]),
        ("[node]\nname = \"\"", 2, &["'node.name'", "64 bytes"]),
        ("[cluster.lab]\nnodes = []", 2, &["'cluster.lab.nodes'", "one at least"]),
        ("[cluster.lab]\nnodes = [\n\"a\",\n\"b:x\"]", 2, &["'cluster.lab.nodes'", "b:x", "port"]),
        ("[cluster.lab]\ntoken = \"t\"", 1, &["cluster.lab", "nodes"]),
        ("[cluster.\"a:1\"]\nnodes = [\"a\"]", 1, &["a:1", "letters"]),
        ("threads = 3\nthreads = 4", 2, &["duplicate key"]),
        ("threads =", 1, &["correct the line"]),
    ] {
        let message = parse(text).unwrap_err();
        let place = format!("in '/etc/adsum/config.toml', line {line}");
        assert!(message.contains(&place), "{text}: {message}");
        assert!(message.contains("correct the line or take it out"), "{text}: {message}");
        for word in words {
            assert!(message.contains(word), "{text}: '{word}' is not in {message}");
        }
    }
}

#[test]
fn a_flag_or_variable_wins_over_the_file() {
    let config =
        parse("threads = 3\nmemory = 1000\ndevice = \"gpu\"\n[node]\nname = \"f\"\ndata = \"d\"")
            .unwrap();
    let parsed = |line: &[&str]| {
        use clap::Parser as _;
        super::super::args::Cli::try_parse_from(line).unwrap().command
    };
    // What the environment of the test says is said by a flag.
    let mut command =
        parsed(&["adsum", "sum", "--memory", "2000", "--threads", "5", "--device", "cpu", "a"]);
    let run = command.run_mut().unwrap();
    config.complete_run(run);
    assert_eq!((run.threads, run.memory), (Some(5), Some(2000)));
    assert_eq!(run.device, [crate::device::DeviceChoice::Cpu]);
    run.threads = None;
    run.memory = None;
    run.device.clear();
    config.complete_run(run);
    assert_eq!((run.threads, run.memory), (Some(3), Some(1000)));
    assert_eq!(run.device, [crate::device::DeviceChoice::Gpu]);

    let Command::Node(mut args) = parsed(&["adsum", "node", "--name", "flag"]) else {
        panic!("a node")
    };
    config.complete_node(&mut args);
    assert_eq!(args.name.as_deref(), Some("flag"));
    assert_eq!(args.data.as_deref(), Some(Path::new("/etc/adsum/d")));
}

#[test]
fn names_of_clusters_stand_for_their_nodes() {
    let config = parse(
        "[cluster.lab]\nnodes = [\"lab1\", \"lab2:9\"]\ntoken = \"/t\"\n\
         [cluster.other]\nnodes = [\"o1\"]\ntoken = \"/o\"\n\
         [cluster.third]\nnodes = [\"third\"]",
    )
    .unwrap();
    let mut lab = via("lab");
    config.complete_via(&mut lab).unwrap();
    assert_eq!(hosts(&lab), ["lab1", "lab2:9"]);
    assert_eq!(lab.token.as_deref(), Some(Path::new("/t")));

    // With a port it is a host, and what is no name of a cluster too.
    let mut host = via("lab:7386,lab3");
    config.complete_via(&mut host).unwrap();
    assert_eq!((hosts(&host), host.token), (vec!["lab:7386".to_owned(), "lab3".to_owned()], None));

    let mut given = via("lab,third");
    given.token = Some(PathBuf::from("/mine"));
    config.complete_via(&mut given).unwrap();
    assert_eq!(hosts(&given), ["lab1", "lab2:9", "third"]);
    assert_eq!(given.token.as_deref(), Some(Path::new("/mine")));

    let mut both = via("lab,other");
    let refused = config.complete_via(&mut both).unwrap_err();
    assert_eq!(refused.blame, Blame::Usage);
    assert!(refused.message.contains("'/t' and '/o'"), "{}", refused.message);
    let mut both = via("lab,other");
    both.token = Some(PathBuf::from("/mine"));
    assert!(config.complete_via(&mut both).is_ok());
}
