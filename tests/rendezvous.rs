//! Ranks that meet, and the mesh that they have then.

#![cfg(feature = "net")]

#[cfg(all(feature = "cli", target_os = "linux"))]
#[expect(clippy::print_stdout, reason = "ranks tell what they have seen")]
#[path = "rendezvous/started.rs"]
mod started;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver as Inbox, Sender};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use adsum::communicator::{Frame, Link, Receiver};
use adsum::launch::{Environment, Given, Launch};
use adsum::rendezvous::{Config, MeetError, Mesh, Refusal, meet};
use adsum::transport::Secret;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A group of ranks in threads of this process.
struct Group {
    folder: tempfile::TempDir,
    root: String,
    /// Bound to rank 0's port until rank 0 takes it, so that nobody else does.
    listener: Mutex<Option<UdpSocket>>,
}

impl Group {
    fn new() -> Group {
        let folder = tempfile::tempdir().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let root = socket.local_addr().unwrap().to_string();
        let group = Group { folder, root, listener: Mutex::new(Some(socket)) };
        group.write_token("token");
        group
    }

    fn write_token(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path).unwrap();
        file.write_all(Secret::generate().unwrap().to_token().as_bytes()).unwrap();
        path
    }

    fn launch(&self, rank: u32, size: u32) -> Launch {
        let given = Given {
            rank: Some(rank),
            size: Some(size),
            root: Some(self.root.clone()),
            token_file: Some(self.folder.path().join("token")),
        };
        let mut launch = Launch::resolve(&given, &Environment::default()).unwrap();
        if rank == 0 {
            launch.listener = self.listener.lock().unwrap().take().and_then(handed);
        }
        launch
    }

    fn join(&self, rank: u32, size: u32) -> JoinHandle<Result<Mesh, MeetError>> {
        join(self.launch(rank, size), config())
    }

    fn all(&self, size: u32) -> Vec<Mesh> {
        // The highest first: nobody listens yet when it comes.
        let mut ranks: Vec<_> = (0..size).rev().map(|rank| self.join(rank, size)).collect();
        ranks.reverse();
        ranks.into_iter().map(|rank| rank.join().unwrap().unwrap()).collect()
    }
}

/// The number of a socket that nobody owns now, as a process finds it that was started with
/// it; it is closed where there is no such thing.
fn handed(socket: UdpSocket) -> Option<i32> {
    #[cfg(unix)]
    return Some(std::os::fd::IntoRawFd::into_raw_fd(socket));
    #[cfg(not(unix))]
    return drop(socket).into();
}

fn join(launch: Launch, config: Config) -> JoinHandle<Result<Mesh, MeetError>> {
    std::thread::spawn(move || meet(&launch, &config))
}

fn config() -> Config {
    Config { meet_timeout: Duration::from_secs(20), ..Config::default() }
}

fn hasty(meet_timeout: Duration) -> Config {
    Config { meet_timeout, ..Config::default() }
}

#[track_caller]
fn refused(rank: JoinHandle<Result<Mesh, MeetError>>) -> Refusal {
    match rank.join().unwrap().expect_err("there is no meeting") {
        MeetError::Refused(refusal) => refusal,
        error => panic!("{error}"),
    }
}

#[derive(Debug, PartialEq)]
enum News {
    Frame(usize, Vec<u8>),
    Lost(usize, String),
}

struct Ear(Mutex<Sender<News>>);

impl Receiver for Ear {
    fn frame(&self, from: usize, bytes: bytes::Bytes) {
        let _unheard = self.0.lock().unwrap().send(News::Frame(from, bytes.to_vec()));
    }

    fn lost(&self, peer: usize, reason: String) {
        let _unheard = self.0.lock().unwrap().send(News::Lost(peer, reason));
    }
}

fn listen(mesh: &Mesh) -> Inbox<News> {
    let (sender, inbox) = mpsc::channel();
    mesh.start(Arc::new(Ear(Mutex::new(sender))));
    inbox
}

fn frame(head: &[u8], body: &[u8]) -> Frame {
    Frame { head: head.to_vec().into(), body: body.to_vec().into() }
}

#[test]
fn every_rank_is_connected_with_every_other() {
    let group = Group::new();
    let meshes = group.all(5);
    let inboxes: Vec<_> = meshes.iter().map(listen).collect();
    for mesh in &meshes {
        assert_eq!(mesh.size(), 5);
        for to in (0..5).filter(|&to| to != mesh.rank()) {
            mesh.send(to, frame(&[mesh.rank() as u8], &[to as u8; 3]));
        }
    }
    for (rank, inbox) in inboxes.iter().enumerate() {
        let mut heard = BTreeMap::new();
        while heard.len() < 4 {
            match inbox.recv_timeout(PATIENCE).unwrap() {
                News::Frame(from, bytes) => heard.insert(from, bytes),
                News::Lost(peer, reason) => panic!("{rank} lost {peer}: {reason}"),
            };
        }
        for (from, bytes) in heard {
            assert_eq!(bytes, [from as u8, rank as u8, rank as u8, rank as u8]);
        }
    }
}

#[test]
fn frames_come_whole_in_order_and_before_the_end() {
    let group = Group::new();
    let mut meshes = group.all(2);
    let lengths: Vec<usize> = (0..300).map(|i| [0, 1, 7, 1500, 70_000][i % 5]).collect();
    let body = |i: usize| -> Vec<u8> { (0..lengths[i]).map(|k| (i * 31 + k * 7) as u8).collect() };
    let sender = meshes.remove(0);
    for i in 0..lengths.len() {
        sender.send(1, frame(&(i as u32).to_le_bytes(), &body(i)));
    }
    let long = vec![3; 20 << 20];
    sender.send(1, frame(b"long", &long));
    // What is queued still arrives, and what came before the start is kept.
    sender.close();
    let inbox = listen(&meshes[0]);
    for i in 0..lengths.len() {
        let News::Frame(0, bytes) = inbox.recv_timeout(PATIENCE).unwrap() else { panic!() };
        assert_eq!(bytes, [&(i as u32).to_le_bytes()[..], &body(i)].concat());
    }
    let News::Frame(0, bytes) = inbox.recv_timeout(PATIENCE).unwrap() else { panic!() };
    assert!(bytes[..4] == *b"long" && bytes[4..] == long);
    let lost = inbox.recv_timeout(PATIENCE).unwrap();
    assert_eq!(lost, News::Lost(0, "the peer shut down".to_owned()));
    assert!(inbox.try_recv().is_err());
}

#[test]
fn a_rank_that_is_given_up_hears_and_says_nothing_more() {
    let group = Group::new();
    let meshes = group.all(3);
    let inboxes: Vec<_> = meshes.iter().map(listen).collect();
    meshes[0].abandon(1);
    meshes[0].send(1, frame(b"late", b""));
    let News::Lost(0, _) = inboxes[1].recv_timeout(PATIENCE).unwrap() else { panic!() };
    meshes[1].send(0, frame(b"late", b""));
    // The others are not concerned.
    meshes[2].send(0, frame(b"fine", b""));
    assert_eq!(inboxes[0].recv_timeout(PATIENCE), Ok(News::Frame(2, b"fine".to_vec())));
    assert!(inboxes[0].try_recv().is_err());
}

/// Waits for `count` frames by driving the network on this thread.
fn drive(mesh: &Mesh, inbox: &Inbox<News>, count: usize) -> Vec<News> {
    let mut news = Vec::new();
    let mut is_done = || {
        news.extend(inbox.try_iter());
        news.len() >= count
    };
    assert_eq!(mesh.drive(&mut is_done, PATIENCE), Some(true));
    news
}

#[test]
fn a_caller_can_drive_the_network_itself() {
    const ROUNDS: usize = 2000;
    let group = Group::new();
    let play = |mesh: Mesh| {
        std::thread::spawn(move || {
            let inbox = listen(&mesh);
            let other = 1 - mesh.rank();
            for round in 0..ROUNDS {
                let word = (round as u32).to_le_bytes();
                if mesh.rank() == 0 {
                    mesh.send(other, frame(&word, b""));
                }
                assert_eq!(drive(&mesh, &inbox, 1), [News::Frame(other, word.to_vec())]);
                if mesh.rank() == 1 {
                    mesh.send(other, frame(&word, b""));
                }
                if round % 500 == 0 {
                    // Nobody drives for so long that the mesh's own thread does.
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            // The last word of rank 1 goes out although nobody drives any more.
            std::thread::sleep(Duration::from_millis(20));
        })
    };
    let players: Vec<_> = group.all(2).into_iter().map(play).collect();
    players.into_iter().for_each(|player| player.join().unwrap());
}

#[test]
fn what_a_driver_queued_goes_out_when_it_leaves() {
    let group = Group::new();
    let meshes = group.all(2);
    let inbox = listen(&meshes[1]);
    let _own = listen(&meshes[0]);
    for i in 0..100_u8 {
        // Done at once; without more of this thread's time the frame arrives.
        let body = vec![i; 10_000];
        meshes[0].send(1, frame(&[i], &body));
        assert_eq!(meshes[0].drive(&mut || true, PATIENCE), Some(true));
        let expected = News::Frame(0, [&[i][..], &body].concat());
        assert_eq!(inbox.recv_timeout(PATIENCE), Ok(expected));
    }
}

/// What lies in one packet is not copied where it arrives.
#[test]
fn a_segment_fits_into_a_packet_of_one_machine() {
    // The heads of the frame and of QUIC, and an acknowledgement.
    let around = 256;
    let lan = adsum::transport::Config::lan(([127, 0, 0, 1], 0).into());
    let packet = usize::from(lan.on_one_machine(1).payload_bytes_max);
    let segment = adsum::communicator::Config::default().segment_bytes;
    assert!((packet - 1024..=packet).contains(&(segment + around)), "{segment} of {packet}");
}

#[test]
fn drivers_end_in_time_and_can_be_several() {
    let group = Group::new();
    let meshes = group.all(2);
    let _ears = [listen(&meshes[0]), listen(&meshes[1])];
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let limit = Duration::from_millis(100);
                assert_eq!(meshes[0].drive(&mut || false, limit), Some(false));
            });
        }
    });
    assert!(start.elapsed() < PATIENCE);
    // A runtime's thread can drive, too.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let driven = runtime.block_on(async { meshes[0].drive(&mut || true, PATIENCE) });
    assert_eq!(driven, Some(true));
}

#[test]
fn a_group_of_one_needs_nobody() {
    let given = Given { rank: Some(0), size: Some(1), ..Given::default() };
    let launch = Launch::resolve(&given, &Environment::default()).unwrap();
    let mesh = meet(&launch, &Config::default()).unwrap();
    assert_eq!((mesh.rank(), mesh.size()), (0, 1));
    let _inbox = listen(&mesh);
    mesh.close();
}

#[test]
fn sizes_that_differ_are_told_to_all() {
    let group = Group::new();
    let odd = group.join(2, 4);
    let ranks = [group.join(0, 3), group.join(1, 3), odd];
    let expected = Refusal::Size { rank: 2, theirs: 4, ours: 3 };
    for rank in ranks {
        assert_eq!(refused(rank), expected);
    }
    let text = expected.to_string();
    assert!(text.contains("rank 2 was told of 4 ranks and rank 0 of 3"), "{text}");
}

#[test]
fn two_processes_of_one_rank_are_told_to_all() {
    let group = Group::new();
    let ranks = [group.join(0, 3), group.join(1, 3), group.join(1, 3)];
    let mut addrs = Vec::new();
    for rank in ranks {
        let Refusal::Duplicate { rank: 1, first, second } = refused(rank) else { panic!() };
        addrs.push((first, second));
    }
    assert!(addrs[0].0 != addrs[0].1 && addrs[1] == addrs[0] && addrs[2] == addrs[0]);
}

#[test]
fn a_second_rank_0_finds_the_port_taken() {
    let group = Group::new();
    let first = group.join(0, 2);
    // It is there when rank 1 has met it.
    let second = group.join(1, 2);
    let (first, second) = (first.join().unwrap().unwrap(), second.join().unwrap().unwrap());
    let error = group.join(0, 2).join().unwrap().expect_err("the port is taken");
    let text = error.to_string();
    assert!(text.contains(&group.root) && text.contains("ADSUM_ROOT"), "{text}");
    drop((first, second));
    // And free again.
    group.all(2);
}

#[cfg(unix)]
#[test]
fn a_socket_that_was_not_handed_over_is_bound() {
    use std::os::fd::AsRawFd;

    let group = Group::new();
    let mut launch = group.launch(0, 2);
    // Rank 0 takes what it was given, and then it is gone.
    let pair = |launch: &Launch| {
        let ranks = [join(launch.clone(), config()), group.join(1, 2)];
        drop(ranks.map(|rank| rank.join().unwrap().unwrap()));
    };
    pair(&launch);
    pair(&launch);
    // What is there is something else, and stays open.
    let file = std::fs::File::open(group.folder.path().join("token")).unwrap();
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    for fd in [file.as_raw_fd(), other.as_raw_fd()] {
        launch.listener = Some(fd);
        pair(&launch);
    }
    assert!(file.metadata().is_ok() && other.local_addr().is_ok());
}

#[test]
fn who_does_not_come_is_named_in_time() {
    let group = Group::new();
    let timeout = Duration::from_secs(3);
    let start = Instant::now();
    let ranks = [0, 2, 4].map(|rank| join(group.launch(rank, 5), hasty(timeout)));
    for rank in ranks {
        let refusal = refused(rank);
        let Refusal::Missing { missing, after, hint } = &refusal else { panic!("{refusal}") };
        assert_eq!((missing.as_slice(), *after, hint.as_str()), (&[1, 3][..], timeout, ""));
        assert!(refusal.to_string().contains("ranks 1, 3 did not come within 3s"));
    }
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

#[test]
fn a_rank_0_that_is_not_there_is_an_error_in_time() {
    let group = Group::new();
    let start = Instant::now();
    let error = join(group.launch(1, 2), hasty(Duration::from_millis(600))).join().unwrap();
    let text = error.expect_err("nobody is there").to_string();
    assert!(text.contains(&group.root) && text.contains("ADSUM_ROOT"), "{text}");
    assert!(start.elapsed() < PATIENCE);

    let mut launch = group.launch(1, 2);
    launch.root.host = "no-such-host.invalid".to_owned();
    let error = join(launch, hasty(Duration::from_millis(300))).join().unwrap();
    let text = error.expect_err("there is no such host").to_string();
    assert!(text.contains("no-such-host.invalid") && text.contains("not known"), "{text}");
}

#[test]
fn another_secret_is_an_error_at_once_and_named_to_rank_0() {
    let group = Group::new();
    let mut launch = group.launch(1, 2);
    launch.secret = Some(adsum::launch::SecretSource::File(group.write_token("other")));
    let root = join(group.launch(0, 2), hasty(Duration::from_secs(5)));
    let error = join(launch, config()).join().unwrap().expect_err("the secrets differ");
    assert!(matches!(error, MeetError::Identity { .. }), "{error}");
    assert!(!root.is_finished(), "at once is before rank 0 gives up");
    let Refusal::Missing { missing, hint, .. } = refused(root) else { panic!() };
    assert_eq!(missing, [1]);
    assert!(hint.contains("turned away"), "{hint}");
}

#[test]
fn another_job_with_the_same_secret_is_turned_away() {
    let group = Group::new();
    let mut stray = group.launch(1, 2);
    stray.job = "slurm 8.0".to_owned();
    let root = group.join(0, 2);
    let stray = join(stray, config());
    assert_eq!(refused(stray), Refusal::Group);
    // The group itself meets.
    let second = group.join(1, 2);
    let meshes = [root.join().unwrap().unwrap(), second.join().unwrap().unwrap()];
    assert_eq!(meshes[1].rank(), 1);
}

#[test]
fn a_rank_that_comes_again_takes_its_place() {
    let group = Group::new();
    let root = group.join(0, 3);
    // It gives up before rank 2 comes.
    let first = join(group.launch(1, 3), hasty(Duration::from_secs(3)));
    let text = first.join().unwrap().expect_err("rank 2 is missing").to_string();
    assert!(text.contains("who has come"), "{text}");
    let ranks = [root, group.join(2, 3), group.join(1, 3)];
    let meshes = ranks.map(|rank| rank.join().unwrap().unwrap());
    // Whoever comes now comes too late, and hears so at once.
    let start = Instant::now();
    assert_eq!(refused(group.join(1, 3)), Refusal::Late { rank: 1 });
    assert!(start.elapsed() < PATIENCE);
    drop(meshes);
}

#[cfg(unix)]
#[test]
fn token_files_are_private_and_tokens() {
    use std::os::unix::fs::PermissionsExt;
    let group = Group::new();
    let path = group.folder.path().join("token");
    let try_it = || group.join(1, 2).join().unwrap().expect_err("no secret").to_string();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(try_it().contains("chmod 600"));
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::write(&path, "c0ffee").unwrap();
    assert!(try_it().contains("6 characters"));
    std::fs::remove_file(&path).unwrap();
    let text = try_it();
    assert!(text.contains("adsum token new") && text.contains("ADSUM_TOKEN_FILE"), "{text}");
}
