//! Who a process is in a group, with the variables as each launcher sets them.

use std::path::PathBuf;

use adsum::launch::{
    Environment, Given, Launch, LaunchError, Launcher, Local, PORT_FIRST, PORTS, Root,
    SecretSource, expand,
};

const TOKEN: (&str, &str) = ("ADSUM_TOKEN_FILE", "/run/group.token");

fn environment(variables: &[(&str, &str)]) -> Environment {
    variables.iter().chain([&TOKEN]).copied().collect()
}

fn resolve(variables: &[(&str, &str)]) -> Result<Launch, LaunchError> {
    Launch::resolve(&Given::default(), &environment(variables))
}

#[track_caller]
fn found(variables: &[(&str, &str)]) -> Launch {
    resolve(variables).unwrap_or_else(|error| panic!("{error}"))
}

/// What went wrong, which must name all of `words`.
#[track_caller]
fn refused(variables: &[(&str, &str)], words: &[&str]) -> LaunchError {
    let error = resolve(variables).expect_err("the variables make no sense");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "'{word}' is not in: {text}");
    }
    error
}

/// Rank, size, and rank and size on the machine.
fn place(launch: &Launch) -> (u32, u32, Option<u32>, Option<u32>) {
    let Local { rank, size } = match launch.place.local() {
        Some(local) => local,
        None => return (launch.place.rank(), launch.place.size(), None, None),
    };
    (launch.place.rank(), launch.place.size(), Some(rank), size)
}

/// As `adsum run -n 3` sets them.
const ADSUM: [(&str, &str); 5] = [
    ("ADSUM_RANK", "2"),
    ("ADSUM_SIZE", "3"),
    ("ADSUM_LOCAL_RANK", "2"),
    ("ADSUM_LOCAL_SIZE", "3"),
    ("ADSUM_ROOT", "127.0.0.1:40123"),
];

/// As `mpirun -n 4` of Open MPI 5 sets them on the second of two machines.
const OPEN_MPI: [(&str, &str); 9] = [
    ("OMPI_COMM_WORLD_RANK", "3"),
    ("OMPI_COMM_WORLD_SIZE", "4"),
    ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
    ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
    ("OMPI_COMM_WORLD_NODE_RANK", "1"),
    ("OMPI_UNIVERSE_SIZE", "4"),
    ("PMIX_RANK", "3"),
    ("PMIX_NAMESPACE", "prterun-a-1234@1"),
    ("PRTE_LAUNCHED", "1"),
];

/// As `mpiexec -n 4` of MPICH's Hydra sets them on one machine.
const HYDRA: [(&str, &str); 6] = [
    ("PMI_RANK", "1"),
    ("PMI_FD", "9"),
    ("PMI_SIZE", "4"),
    ("MPI_LOCALRANKID", "1"),
    ("MPI_LOCALNRANKS", "4"),
    ("HYDI_CONTROL_FD", "7"),
];

/// As `torchrun --nnodes 2 --nproc-per-node 4` sets them.
const TORCHRUN: [(&str, &str); 11] = [
    ("LOCAL_RANK", "1"),
    ("RANK", "5"),
    ("GROUP_RANK", "1"),
    ("ROLE_RANK", "5"),
    ("LOCAL_WORLD_SIZE", "4"),
    ("WORLD_SIZE", "8"),
    ("GROUP_WORLD_SIZE", "2"),
    ("MASTER_ADDR", "node1.example.org"),
    ("MASTER_PORT", "29500"),
    ("TORCHELASTIC_RUN_ID", "none"),
    ("TORCHELASTIC_RESTART_COUNT", "0"),
];

/// As `srun -n 5` sets them in a step of an allocation of 16 tasks.
const SLURM: [(&str, &str); 14] = [
    ("SLURM_JOB_ID", "4711"),
    ("SLURM_STEP_ID", "0"),
    ("SLURM_STEPID", "0"),
    ("SLURM_PROCID", "3"),
    ("SLURM_LOCALID", "1"),
    ("SLURM_NODEID", "1"),
    ("SLURM_NTASKS", "16"),
    ("SLURM_NPROCS", "16"),
    ("SLURM_STEP_NUM_TASKS", "5"),
    ("SLURM_STEP_NUM_NODES", "3"),
    ("SLURM_STEP_TASKS_PER_NODE", "2(x2),1"),
    ("SLURM_STEP_NODELIST", "n[07-08],x2"),
    ("SLURM_JOB_NODELIST", "n[01-08],x2"),
    ("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.1"),
];

/// As an indexed job sets it, and what its manifest must add.
const KUBERNETES: [(&str, &str); 4] = [
    ("JOB_COMPLETION_INDEX", "2"),
    ("ADSUM_SIZE", "3"),
    ("ADSUM_ROOT", "total-0.total"),
    ("KUBERNETES_SERVICE_HOST", "10.96.0.1"),
];

#[test]
fn adsum_run() {
    let launch = found(&ADSUM);
    assert_eq!(launch.launcher, Launcher::Adsum);
    assert_eq!(place(&launch), (2, 3, Some(2), Some(3)));
    assert_eq!(launch.root, Root { host: "127.0.0.1".to_owned(), port: 40123 });
    assert_eq!(launch.job, "");
}

#[test]
fn by_hand() {
    let launch =
        found(&[("ADSUM_RANK", "0"), ("ADSUM_SIZE", "2"), ("ADSUM_ROOT", "a.example.org")]);
    assert_eq!(place(&launch), (0, 2, None, None));
    assert_eq!(launch.root, Root { host: "a.example.org".to_owned(), port: PORT_FIRST });
}

#[test]
fn open_mpi() {
    let root = [("ADSUM_ROOT", "a")];
    let launch = found(&[&OPEN_MPI[..], &root].concat());
    assert_eq!(launch.launcher, Launcher::OpenMpi);
    assert_eq!(place(&launch), (3, 4, Some(1), Some(2)));
    assert_eq!(launch.job, "pmix prterun-a-1234@1");
    refused(&OPEN_MPI, &["Open MPI", "ADSUM_ROOT", "HOST:PORT"]);
}

#[test]
fn open_mpi_on_one_machine_needs_no_address() {
    let variables = [
        ("OMPI_COMM_WORLD_RANK", "1"),
        ("OMPI_COMM_WORLD_SIZE", "2"),
        ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
        ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
    ];
    let launch = found(&variables);
    assert_eq!(launch.root, Root { host: "127.0.0.1".to_owned(), port: PORT_FIRST });
    assert!(launch.place.is_all_local());
}

#[test]
fn hydra() {
    let launch = found(&HYDRA);
    assert_eq!(launch.launcher, Launcher::Pmi);
    assert_eq!(place(&launch), (1, 4, Some(1), Some(4)));
    assert_eq!(launch.root.host, "127.0.0.1");
}

#[test]
fn pmi_of_cray_and_slurm() {
    let local = [("PMI_RANK", "1"), ("PMI_SIZE", "2"), ("PMI_LOCAL_RANK", "1")];
    let size = [("PMI_LOCAL_SIZE", "2")];
    let launch = found(&[&local[..], &size].concat());
    assert_eq!(place(&launch), (1, 2, Some(1), Some(2)));
    // Slurm's PMI-2 tells rank and size; the step tells where rank 0 is.
    let launch = found(&[&SLURM[..], &[("PMI_RANK", "3"), ("PMI_SIZE", "5")]].concat());
    assert_eq!((launch.launcher, launch.root.host.as_str()), (Launcher::Pmi, "n07"));
}

#[test]
fn torchrun() {
    let launch = found(&TORCHRUN);
    assert_eq!(launch.launcher, Launcher::Torchrun);
    assert_eq!(place(&launch), (5, 8, Some(1), Some(4)));
    assert_eq!(launch.root.host, "node1.example.org");
    // torchrun's own port carries TCP of its own protocol.
    assert!((PORT_FIRST..PORT_FIRST + PORTS).contains(&launch.root.port));
}

#[test]
fn slurm() {
    let launch = found(&SLURM);
    assert_eq!(launch.launcher, Launcher::Slurm);
    assert_eq!(place(&launch), (3, 5, Some(1), Some(2)));
    assert_eq!(launch.root.host, "n07");
    assert_eq!(launch.job, "slurm 4711.0");
    let mut last = SLURM;
    last[3].1 = "4";
    last[4].1 = "0";
    last[5].1 = "2";
    assert_eq!(place(&found(&last)), (4, 5, Some(0), Some(1)));
}

#[test]
fn slurm_without_the_size_of_the_step_has_that_of_the_allocation() {
    let without = |name| SLURM.into_iter().filter(move |&(n, _)| n != name).collect::<Vec<_>>();
    let mut variables = without("SLURM_STEP_NUM_TASKS");
    variables.retain(|&(name, _)| name != "SLURM_STEP_TASKS_PER_NODE");
    assert_eq!(place(&found(&variables)), (3, 16, Some(1), None));
}

#[test]
fn slurm_outside_of_a_step_is_no_launcher() {
    // A batch script is one process, whatever its allocation has.
    let batch = [
        ("SLURM_JOB_ID", "4711"),
        ("SLURM_PROCID", "0"),
        ("SLURM_LOCALID", "0"),
        ("SLURM_NTASKS", "16"),
    ];
    refused(&batch, &["no step", "srun"]);
    // Neither is the shell of an allocation, which has an id of its own kind.
    let shell = [&batch[..], &[("SLURM_STEP_ID", "4294967290"), ("SLURM_STEP_NUM_TASKS", "1")]];
    refused(&shell.concat(), &["no step", "srun"]);
}

#[test]
fn two_jobs_of_one_machine_have_ports_of_their_own() {
    let port = |job: &str| {
        let mut variables = SLURM;
        variables[0].1 = job;
        let port = found(&variables).root.port;
        assert!((PORT_FIRST..PORT_FIRST + PORTS).contains(&port));
        port
    };
    assert_eq!(port("1"), port("1"));
    let distinct: std::collections::BTreeSet<u16> =
        ["1", "2", "3", "4", "5"].into_iter().map(port).collect();
    assert!(distinct.len() >= 4, "{distinct:?}");
}

#[test]
fn kubernetes() {
    let launch = found(&KUBERNETES);
    assert_eq!(launch.launcher, Launcher::Kubernetes);
    assert_eq!(place(&launch), (2, 3, None, None));
    assert_eq!(launch.root, Root { host: "total-0.total".to_owned(), port: PORT_FIRST });
    refused(&KUBERNETES[..1], &["JOB_COMPLETION_INDEX is 2", "ADSUM_SIZE", "completions"]);
    refused(&KUBERNETES[..2], &["Kubernetes", "ADSUM_ROOT"]);
}

#[test]
fn pmix_alone() {
    let variables = [("PMIX_RANK", "1"), ("PMIX_NAMESPACE", "job-7"), ("ADSUM_SIZE", "2")];
    let launch = found(&[&variables[..], &[("ADSUM_ROOT", "a")]].concat());
    assert_eq!((launch.launcher, launch.place.rank()), (Launcher::Pmix, 1));
    refused(&variables[..2], &["PMIX_RANK is 1", "ADSUM_SIZE is not set"]);
    // Under Slurm the step says the rest.
    let launch = found(&[&SLURM[..], &[("PMIX_RANK", "3")]].concat());
    assert_eq!((launch.launcher, launch.place.size()), (Launcher::Slurm, 5));
}

#[test]
fn the_first_that_holds_is_believed() {
    let all = [&SLURM[..], &TORCHRUN, &HYDRA, &OPEN_MPI, &ADSUM].concat();
    let steps: [(&[&str], Launcher); 5] = [
        (&[], Launcher::Adsum),
        (&["ADSUM_"], Launcher::OpenMpi),
        (&["ADSUM_", "OMPI_", "PMIX_"], Launcher::Pmi),
        (&["ADSUM_", "OMPI_", "PMIX_", "PMI_"], Launcher::Torchrun),
        (&["ADSUM_", "OMPI_", "PMIX_", "PMI_", "RANK"], Launcher::Slurm),
    ];
    for (without, launcher) in steps {
        let mut variables = all.clone();
        variables.retain(|(name, _)| !without.iter().any(|start| name.starts_with(start)));
        if launcher == Launcher::Slurm {
            variables.retain(|&(name, _)| name != "WORLD_SIZE");
        }
        assert_eq!(found(&variables).launcher, launcher);
    }
    let given = Given {
        rank: Some(1),
        size: Some(2),
        root: Some("[::1]:9000".to_owned()),
        token_file: Some(PathBuf::from("mine")),
    };
    let launch = Launch::resolve(&given, &environment(&all)).expect("what is given holds");
    assert_eq!((launch.launcher, place(&launch)), (Launcher::Given, (1, 2, None, None)));
    assert_eq!(launch.root, Root { host: "::1".to_owned(), port: 9000 });
    assert_eq!(launch.secret, Some(SecretSource::File("mine".into())));
}

#[test]
fn half_set_variables_are_errors() {
    for (set, missing) in [
        ("ADSUM_RANK", "ADSUM_SIZE"),
        ("ADSUM_SIZE", "ADSUM_RANK"),
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
        ("PMI_RANK", "PMI_SIZE"),
        ("PMI_SIZE", "PMI_RANK"),
        ("RANK", "WORLD_SIZE"),
        ("WORLD_SIZE", "RANK"),
    ] {
        refused(&[(set, "3")], &[&format!("{set} is 3"), &format!("{missing} is not set")]);
        // An empty variable is not set.
        refused(&[(set, "3"), (missing, "")], &[&format!("{missing} is not set")]);
    }
    let step = [("SLURM_STEP_ID", "1"), ("SLURM_PROCID", "0")];
    refused(&step, &["SLURM_PROCID is 0", "SLURM_STEP_NUM_TASKS"]);
    refused(&[step[0], ("SLURM_NTASKS", "2")], &["SLURM_NTASKS is 2", "SLURM_PROCID"]);
    for given in
        [Given { rank: Some(0), ..Given::default() }, Given { size: Some(2), ..Given::default() }]
    {
        let error = Launch::resolve(&given, &environment(&[])).expect_err("half given");
        assert!(error.to_string().contains("both or neither"), "{error}");
    }
}

#[test]
fn places_that_no_group_has_are_errors() {
    let root = ("ADSUM_ROOT", "a");
    let group = |rank, size| [("ADSUM_RANK", rank), ("ADSUM_SIZE", size), root];
    refused(&group("3", "3"), &["ADSUM_RANK is 3", "ADSUM_SIZE is 3"]);
    refused(&group("0", "0"), &["ADSUM_RANK is 0", "ADSUM_SIZE is 0"]);
    refused(&group("0", "1025"), &["ADSUM_SIZE is 1025", "1024"]);
    for bad in ["x", "-1", "1.5", "4294967296"] {
        refused(&group(bad, "3"), &["ADSUM_RANK", &format!("'{bad}'")]);
    }
    let local = |rank, size| {
        [&group("1", "4")[..], &[("ADSUM_LOCAL_RANK", rank), ("ADSUM_LOCAL_SIZE", size)]].concat()
    };
    refused(&local("2", "2"), &["ADSUM_LOCAL_RANK is 2", "ADSUM_LOCAL_SIZE is 2"]);
    refused(&local("2", "5"), &["ADSUM_LOCAL_SIZE is 5", "ADSUM_SIZE is 4"]);
    refused(
        &[&OPEN_MPI[..], &[("ADSUM_SIZE", "7"), root]].concat(),
        &["ADSUM_SIZE is 7", "OMPI_COMM_WORLD_SIZE is 4"],
    );
}

#[test]
fn nothing_at_all_is_an_error_with_the_way_out() {
    refused(&[], &["adsum run -n", "ADSUM_RANK", "ADSUM_SIZE"]);
}

#[test]
fn addresses_of_rank_0() {
    let at = |root| {
        let mut variables = ADSUM;
        variables[4].1 = root;
        resolve(&variables).map(|launch| launch.root.to_string())
    };
    for (text, read) in [
        ("a", "a:7400"),
        ("a-1.b_2:99", "a-1.b_2:99"),
        ("10.0.0.7", "10.0.0.7:7400"),
        ("10.0.0.7:1", "10.0.0.7:1"),
        ("::1", "[::1]:7400"),
        ("[fe80::1]", "[fe80::1]:7400"),
        ("[fe80::1]:65535", "[fe80::1]:65535"),
    ] {
        assert_eq!(at(text).as_deref(), Ok(read));
    }
    for bad in ["a:0", "a:65536", "a:b", ":1", "a b", "10.0.0.7:0", "user@a", "a,b"] {
        let error = at(bad).expect_err(bad).to_string();
        assert!(error.contains("ADSUM_ROOT") && error.contains(bad), "{error}");
    }
    // ADSUM_ROOT goes before MASTER_ADDR, and that before Slurm's list.
    let root = |variables: &[(&str, &str)]| found(variables).root.host;
    assert_eq!(root(&[&TORCHRUN[..], &[("ADSUM_ROOT", "b")]].concat()), "b");
    assert_eq!(root(&[&SLURM[..], &[("MASTER_ADDR", "c")]].concat()), "c");
    assert_eq!(root(&[&SLURM[..], &[("MASTER_ADDR", "")]].concat()), "n07");
    let mut broken = SLURM;
    broken[11].1 = "n[07-";
    refused(&broken, &["SLURM_STEP_NODELIST", "n[07-", "ADSUM_ROOT"]);
    let mut broken = SLURM;
    broken[10].1 = "2(x2";
    refused(&broken, &["SLURM_STEP_TASKS_PER_NODE", "2(x2"]);
}

#[test]
fn rank_0_may_be_handed_its_socket() {
    let fd = ("ADSUM_ROOT_FD", "7");
    let mut rank_0 = ADSUM;
    rank_0[0].1 = "0";
    rank_0[2].1 = "0";
    assert_eq!(found(&rank_0).listener, None);
    let rank_0 = [&rank_0[..], &[fd]].concat();
    assert_eq!(found(&rank_0).listener, Some(7));
    // It is no other rank's, nor for another address of rank 0.
    assert_eq!(found(&[&ADSUM[..], &[fd]].concat()).listener, None);
    let given = Given { root: Some("a:1".to_owned()), ..Given::default() };
    assert_eq!(Launch::resolve(&given, &environment(&rank_0)).unwrap().listener, None);
    for bad in ["2", "-1", "seven"] {
        let variables = [&rank_0[..6], &[("ADSUM_ROOT_FD", bad)]].concat();
        refused(&variables, &["ADSUM_ROOT_FD", bad, "rank 0 needs none"]);
    }
}

#[test]
fn secrets() {
    let at = |more: &[(&str, &str)]| {
        let variables: Environment = ADSUM.iter().chain(more).copied().collect();
        Launch::resolve(&Given::default(), &variables).map(|launch| launch.secret)
    };
    let file = SecretSource::File("/run/group.token".into());
    assert_eq!(at(&[TOKEN]), Ok(Some(file)));
    assert_eq!(at(&[TOKEN, ("ADSUM_TOKEN_FD", "5")]), Ok(Some(SecretSource::Pipe(5))));
    let error = at(&[]).expect_err("no secret").to_string();
    for word in ["3 ranks", "adsum token new", "ADSUM_TOKEN_FILE"] {
        assert!(error.contains(word), "{error}");
    }
    for bad in ["2", "-1", "five"] {
        let error = at(&[("ADSUM_TOKEN_FD", bad)]).expect_err(bad).to_string();
        assert!(error.contains("ADSUM_TOKEN_FD") && error.contains(bad), "{error}");
    }
    // Nobody else is there to know it.
    let alone: Environment = [("ADSUM_RANK", "0"), ("ADSUM_SIZE", "1")].into_iter().collect();
    let launch = Launch::resolve(&Given::default(), &alone).expect("a group of one");
    assert_eq!((launch.secret, launch.root.host.as_str()), (None, "127.0.0.1"));
}

#[test]
fn lists_of_hosts() {
    for (list, hosts) in [
        ("a", &["a"][..]),
        ("n[01-03,7],x2", &["n01", "n02", "n03", "n7", "x2"]),
        ("n[9-11]", &["n9", "n10", "n11"]),
        (
            "r[1-2]n[08-10]-ib",
            &["r1n08-ib", "r1n09-ib", "r1n10-ib", "r2n08-ib", "r2n09-ib", "r2n10-ib"],
        ),
        ("[1-2]", &["1", "2"]),
        ("a, b", &["a", "b"]),
    ] {
        assert_eq!(expand(list).expect(list), hosts);
    }
    for bad in [
        "",
        "a,",
        ",a",
        "n[1",
        "n1]",
        "n[[1]]",
        "n[]",
        "n[1-]",
        "n[-1]",
        "n[2-1]",
        "n[a-b]",
        "n[1-99999999]",
        "n[0-9999]m[0-9999]",
        "n[18446744073709551616]",
    ] {
        assert!(expand(bad).is_err(), "{bad}");
    }
}
