use std::sync::Arc;

use super::asks::ASKS_MAX;
use super::*;
use crate::catalogue::Array;
use crate::dtype::{ByteOrder, DType, Layout, MemoryOrder};
use crate::engine::{JobError, Outcome, SubmitError};
use crate::manifest::{Cut, Digest, ENTRIES_MAX, File, FileIdentity, Manifest};
use crate::op::Spec;
use crate::wire::{PATTERNS_MAX, PROTOCOL_VERSION, Question, Reply, TroubleKind};

const NOW: Now = Now::ZERO;

mod members;

fn node(number: u8) -> NodeId {
    NodeId([number; 16])
}

fn addr(number: u8) -> SocketAddr {
    ([192, 0, 2, number], 7386).into()
}

fn hello(number: u8, is_member: bool) -> Hello {
    Hello {
        version: PROTOCOL_VERSION,
        node: node(number),
        name: format!("node-{number}"),
        devices: Vec::new(),
        workers: 1,
        addrs: if is_member { vec![addr(number)] } else { Vec::new() },
    }
}

fn held(name: &str, contents: u8) -> Held {
    Held {
        name: name.into(),
        array: Array {
            layout: Layout { dtype: DType::U8, byte_order: ByteOrder::Little },
            memory_order: MemoryOrder::C,
            shape: vec![100],
        },
        digest: Some(Digest([contents; 32])),
        identity: FileIdentity {
            device: 1,
            inode: 1,
            size_bytes: 228,
            modified_ns: 0,
            changed_ns: 0,
        },
    }
}

/// The service of node 1, and what it wanted done.
struct Node {
    service: Service,
}

impl Node {
    fn new() -> Node {
        let config = membership::Config::default();
        Node { service: Service::new(hello(1, true), config, &Memory::default(), 1) }
    }

    fn connect(&mut self, number: u8, is_member: bool) -> Vec<Output> {
        self.service.handle_connected(NOW, &hello(number, is_member), addr(number));
        self.outputs()
    }

    fn hear(&mut self, from: u8, message: Message) -> Vec<Output> {
        self.service.handle_message(NOW, node(from), message);
        self.outputs()
    }

    fn ask(&mut self, from: u8, ask: u64, question: Question) -> Vec<Output> {
        self.hear(from, Message::Ask { ask, question: Box::new(question) })
    }

    /// Asks something that has one answer.
    #[track_caller]
    fn answer(&mut self, question: Question) -> Reply {
        let mut replies = replies(&self.ask(9, 77, question));
        assert_eq!(replies.len(), 1);
        let (to, ask, reply) = replies.remove(0);
        assert_eq!((to, ask), (node(9), 77));
        reply
    }

    #[track_caller]
    fn refusal(&mut self, question: Question) -> (TroubleKind, String) {
        match self.answer(question) {
            Reply::Refused(trouble) => (trouble.kind, trouble.message),
            other => panic!("{other:?}"),
        }
    }

    fn offer(&mut self, from: u8, files: Vec<Held>) -> Vec<Output> {
        self.hear(from, Message::Held { first: true, last: true, files })
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.service.poll_output()).collect()
    }

    fn names(&mut self) -> Vec<String> {
        match self.answer(Question::List) {
            Reply::Listed(names) => names.into_iter().map(|listed| listed.name).collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn replies(outputs: &[Output]) -> Vec<(NodeId, u64, Reply)> {
    let reply = |output: &Output| match output {
        Output::Send { to, message: Message::Reply { ask, reply } } => {
            Some((*to, *ask, (**reply).clone()))
        }
        _ => None,
    };
    outputs.iter().filter_map(reply).collect()
}

/// Who is told what is remembered.
fn told(outputs: &[Output]) -> Vec<NodeId> {
    let known = |output: &Output| match output {
        Output::Send { to, message: Message::Known(_) } => Some(*to),
        _ => None,
    };
    outputs.iter().filter_map(known).collect()
}

fn cancelled(outputs: &[Output]) -> Vec<RequestId> {
    let cancel = |output: &Output| match output {
        Output::Cancel(request) => Some(*request),
        _ => None,
    };
    outputs.iter().filter_map(cancel).collect()
}

/// A cluster of nodes 1 to 3, of which 2 and 3 hold a file, and an asker 9.
fn cluster() -> Node {
    let mut node = Node::new();
    node.connect(2, true);
    node.connect(3, true);
    node.connect(9, false);
    node.offer(2, vec![held("a/b.npy", 1)]);
    node.offer(3, vec![held("a/b.npy", 1)]);
    node
}

fn found(node: &mut Node, pattern: &str) -> Vec<File> {
    match node.answer(Question::Expand { patterns: vec![pattern.into()], each_node: false }) {
        Reply::Expanded(expansion) => expansion.files.into_iter().map(|f| f.file).collect(),
        other => panic!("{other:?}"),
    }
}

fn submit(files: Vec<File>) -> Question {
    let cut = Cut::Runs { entry_bytes: 10 };
    Question::Submit { spec: Spec::sum(DType::U8), files, cut, deadline: None }
}

fn request(outputs: &[Output]) -> &JobRequest {
    match outputs {
        [Output::Submit(request)] => request,
        other => panic!("{other:?}"),
    }
}

fn outcome(request: &JobRequest) -> Outcome {
    use crate::engine::{Config, Engine, Holders, NodeReport, Output as Wish};
    // An engine that works alone makes one.
    let mut engine = Engine::new(node(2), Config::default(), 1);
    let request = JobRequest { holders: Holders::Everyone, ..request.clone() };
    engine.submit(NOW, request.clone()).expect("a valid request");
    while let Some(wish) = engine.poll_output() {
        match wish {
            Wish::Compute { job, spec, manifest, position } => {
                let entry = manifest.entry(position).expect("its entry");
                let bytes = vec![1; entry.len() as usize];
                let partial =
                    crate::backend::reference::reduce_line(&spec, ByteOrder::Little, &bytes);
                let computed = crate::engine::Computed { partial, usage: Vec::new() };
                engine.handle_computed(NOW, job, position, Ok(computed));
            }
            Wish::Finished { result, .. } => {
                let mut outcome = result.expect("a result");
                outcome.nodes.push(NodeReport { id: node(77), entries: 0, lost: true });
                return outcome;
            }
            _ => {}
        }
    }
    panic!("no result")
}

#[test]
fn everything_that_is_asked_is_answered() {
    let mut node1 = cluster();
    match node1.answer(Question::Members) {
        Reply::Members(members) => assert_eq!(members[0].id, node(1)),
        other => panic!("{other:?}"),
    }
    match node1.answer(Question::Status) {
        Reply::Status(status) => {
            assert_eq!(status.connected, [node(2), node(3)]);
            assert_eq!((status.files, status.jobs.len()), (0, 0));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(node1.names(), ["a/b.npy"]);
    let files = found(&mut node1, "a/*");
    assert_eq!(files.len(), 1);
    let outputs = node1.ask(9, 5, submit(files));
    let request = request(&outputs).clone();
    assert_eq!(request.holders, Holders::PerFile(vec![[node(2), node(3)].into()]));
    assert_eq!(request.manifest.entries().len(), 10);
    node1.service.handle_progress(request.id, 3, 30);
    let progress = Reply::Progress { entries_done: 3, bytes_done: 30 };
    assert_eq!(replies(&node1.outputs()), [(node(9), 5, progress)]);
    match node1.answer(Question::Status) {
        Reply::Status(status) => {
            let job = &status.jobs[0];
            assert_eq!(
                (job.entries_done, job.entries, job.bytes_done, job.bytes),
                (3, 10, 30, 100)
            );
            assert_eq!(job.askers, [addr(9).to_string()]);
        }
        other => panic!("{other:?}"),
    }
    node1.service.handle_finished(request.id, Ok(outcome(&request)));
    match &replies(&node1.outputs())[..] {
        [(to, 5, Reply::Finished(finished))] => {
            assert_eq!((*to, finished.entries), (node(9), 10));
            // A name for who was met, none for who was not.
            let names = finished.nodes.iter().map(|n| (n.id, n.name.as_str(), n.addr));
            let expected = [(node(2), "node-2", Some(addr(2))), (node(77), "", None)];
            assert_eq!(names.collect::<Vec<_>>(), expected);
        }
        other => panic!("{other:?}"),
    }
    // It is over: nothing more is said about it.
    node1.service.handle_progress(request.id, 4, 40);
    node1.service.handle_finished(request.id, Err(JobError::Cancelled));
    assert!(node1.outputs().is_empty());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut node1 = cluster();
    let question = TroubleKind::Question;
    let patterns = vec!["x".to_owned(); PATTERNS_MAX + 1];
    let (kind, message) = node1.refusal(Question::Expand { patterns, each_node: false });
    assert!(kind == question && message.contains("the most is 4096"), "{message}");
    let most = vec!["a/b.npy".to_owned(); PATTERNS_MAX];
    assert!(matches!(
        node1.answer(Question::Expand { patterns: most, each_node: false }),
        Reply::Expanded(_)
    ));
    for name in ["nobody/knows.npy", "a/b.npy", ""] {
        let (kind, message) = node1.refusal(Question::Remove { name: name.into() });
        assert_eq!(kind, question, "{message}");
    }
    for job in ["", "00", "none"] {
        let (kind, message) = node1.refusal(Question::Cancel { job: job.into() });
        assert!(kind == question && message.contains("no job"), "{message}");
    }
    assert_eq!(node1.refusal(submit(Vec::new())).0, question);
    let files = found(&mut node1, "a/b.npy");
    let cut = Cut::Runs { entry_bytes: 10 };
    let (spec, deadline) = (Spec::sum(DType::F64), None);
    let other = Question::Submit { spec, files: files.clone(), cut, deadline };
    let (kind, message) = node1.refusal(other);
    assert!(kind == question && message.contains("cannot be carried out"), "{message}");
    // The engine has the last word.
    for (error, kind) in [
        (SubmitError::Busy { what: "jobs", max: 1 }, TroubleKind::Busy),
        (SubmitError::ManifestBytes { max: 1, got: 2 }, question),
    ] {
        let outputs = node1.ask(9, 3, submit(files.clone()));
        let id = request(&outputs).id;
        node1.service.handle_refused(id, &error);
        let refused = replies(&node1.outputs()).remove(0);
        assert!(matches!(refused.2, Reply::Refused(trouble) if trouble.kind == kind));
        node1.service.handle_refused(id, &error);
        assert!(node1.outputs().is_empty());
    }
}

/// Both are a few bytes of a message, and would take all memory.
#[test]
fn a_result_that_fits_into_no_answer_is_refused_before_it_takes_memory() {
    let mut node1 = cluster();
    let file = |shape: Vec<u64>| {
        let elements: u64 = shape.iter().product();
        let file = crate::manifest::imaginary_file("a", DType::U8, elements);
        File { shape, ..file }
    };
    let along = |file: File, outputs_max| Question::Submit {
        spec: Spec::sum(DType::U8),
        files: vec![file],
        cut: Cut::Axis { entry_bytes: 1 << 30, axis: 0, outputs: 0..u64::MAX, outputs_max },
        deadline: None,
    };
    let wide = ENTRIES_MAX as u64 * 1024;
    for file in [file(vec![0, 1 << 62]), file(vec![1, wide])] {
        let (kind, message) = node1.refusal(along(file, 1024));
        assert_eq!(kind, TroubleKind::Question);
        assert!(message.contains("results take"), "{message}");
    }
    let outputs = node1.ask(9, 1, along(file(vec![2, 100_000]), 1024));
    assert_eq!(request(&outputs).manifest.outputs(), 100_000);
}

#[test]
fn an_asker_has_so_many_requests_and_no_more() {
    let mut node1 = cluster();
    node1.connect(8, false);
    let files = found(&mut node1, "a/b.npy");
    for ask in 0..ASKS_MAX as u64 {
        let outputs = node1.ask(9, ask, submit(files.clone()));
        request(&outputs);
    }
    let (kind, message) = node1.refusal(submit(files.clone()));
    assert!(kind == TroubleKind::Busy && message.contains("64 requests"), "{message}");
    // What is answered at once, and other askers, are not concerned.
    assert_eq!(node1.names(), ["a/b.npy"]);
    let outputs = node1.ask(8, 0, submit(files.clone()));
    request(&outputs);
    // One question less, and there is room; its number is free again.
    assert_eq!(cancelled(&node1.hear(9, Message::Withdraw { ask: 5 })).len(), 1);
    let outputs = node1.ask(9, 5, submit(files.clone()));
    request(&outputs);
    node1.hear(9, Message::Withdraw { ask: 5 });
    let again = replies(&node1.ask(9, 6, submit(files)));
    assert!(matches!(&again[..], [(_, 6, Reply::Refused(_))]), "its number is taken");
}

#[test]
fn who_goes_takes_the_requests_along() {
    let mut node1 = cluster();
    node1.connect(8, false);
    let files = found(&mut node1, "a/b.npy");
    let mut ids = Vec::new();
    for (asker, ask) in [(9, 1), (8, 1), (9, 2)] {
        let outputs = node1.ask(asker, ask, submit(files.clone()));
        ids.push(request(&outputs).id);
    }
    node1.service.handle_lost(NOW, node(9));
    assert_eq!(cancelled(&node1.outputs()), [ids[0], ids[2]]);
    // The engine tells of their end, and nobody is told.
    node1.service.handle_finished(ids[0], Err(JobError::Cancelled));
    assert!(node1.outputs().is_empty());
    // What comes late from somebody who is gone does nothing, nor does a
    // withdrawal twice, or of another's question.
    assert!(node1.ask(9, 3, Question::List).is_empty());
    assert!(node1.hear(8, Message::Withdraw { ask: 2 }).is_empty());
    assert_eq!(cancelled(&node1.hear(8, Message::Withdraw { ask: 1 })), [ids[1]]);
    assert!(node1.hear(8, Message::Withdraw { ask: 1 }).is_empty());
}

#[test]
fn a_job_is_cancelled_by_the_beginning_of_its_name() {
    let mut node1 = cluster();
    let files = found(&mut node1, "a/b.npy");
    let other = |entry_bytes| Question::Submit {
        spec: Spec::sum(DType::U8),
        files: files.clone(),
        cut: Cut::Runs { entry_bytes },
        deadline: None,
    };
    // Two requests of a job, with one of another between them.
    let mut requests = Vec::new();
    for (ask, question) in
        [submit(files.clone()), other(20), submit(files.clone())].into_iter().enumerate()
    {
        let outputs = node1.ask(9, ask as u64, question);
        requests.push(request(&outputs).clone());
    }
    let job = requests[0].manifest.job_id(&requests[0].spec);
    let outputs = node1.ask(9, 50, Question::Cancel { job: job.to_string()[..8].to_owned() });
    assert_eq!(cancelled(&outputs), [requests[0].id, requests[2].id]);
    assert_eq!(replies(&outputs), [(node(9), 50, Reply::Cancelled(vec![job]))]);
    node1.service.handle_finished(requests[0].id, Err(JobError::Cancelled));
    let end = replies(&node1.outputs()).remove(0);
    assert!(matches!(end.2, Reply::Refused(trouble) if trouble.kind == TroubleKind::Cancelled));
}

#[test]
fn who_is_no_member_says_nothing_of_the_cluster() {
    let mut node1 = cluster();
    assert!(node1.offer(9, vec![held("forged.npy", 6)]).is_empty());
    let memory = {
        let mut other = Node::new();
        other.connect(2, true);
        other.offer(2, vec![held("forged.npy", 6)]);
        other.service.catalogue.memory()
    };
    assert!(node1.hear(9, Message::Known(memory)).is_empty());
    assert!(node1.hear(9, Message::Gossip(vec![0; 40])).is_empty());
    // Nor does who is not there at all.
    assert!(node1.offer(5, vec![held("forged.npy", 6)]).is_empty());
    assert_eq!(node1.names(), ["a/b.npy"]);
    // Of a member, only what is well formed counts, all of it or nothing.
    node1.offer(2, vec![held("a/b.npy", 1), held("../up.npy", 6)]);
    assert_eq!(node1.names(), ["a/b.npy"]);
}

#[test]
fn a_list_counts_when_it_is_complete() {
    let mut node1 = cluster();
    let part = |first, last, name: &str| Message::Held { first, last, files: vec![held(name, 7)] };
    node1.hear(2, part(true, false, "c.npy"));
    assert_eq!(node1.names(), ["a/b.npy"]);
    // Another list begins before the first has ended.
    node1.hear(2, part(true, false, "d.npy"));
    let outputs = node1.hear(2, part(false, true, "e.npy"));
    assert!(outputs.iter().any(|output| matches!(output, Output::Remember)));
    assert_eq!(node1.names(), ["a/b.npy", "d.npy", "e.npy"]);
}

#[test]
fn running_requests_hear_who_has_their_files() {
    let mut node1 = cluster();
    let files = found(&mut node1, "a/b.npy");
    let outputs = node1.ask(9, 1, submit(files));
    let id = request(&outputs).id;
    node1.connect(4, true);
    let outputs = node1.offer(4, vec![held("a/b.npy", 1)]);
    let holders = outputs.iter().find_map(|output| match output {
        Output::Holders { request, holders } => Some((*request, holders.clone())),
        _ => None,
    });
    let all = [node(2), node(3), node(4)].into();
    assert_eq!(holders, Some((id, Holders::PerFile(vec![all]))));
}

#[test]
fn what_is_remembered_is_passed_on_once() {
    let mut node1 = cluster();
    let memory = {
        let mut other = Node::new();
        other.connect(2, true);
        other.offer(2, vec![held("old.npy", 6)]);
        other.service.catalogue.memory()
    };
    let outputs = node1.hear(2, Message::Known(memory.clone()));
    assert_eq!(told(&outputs), [node(3)], "neither who told it, nor who only asks");
    assert!(outputs.iter().any(|output| matches!(output, Output::Remember)));
    // It goes round no more.
    assert!(node1.hear(3, Message::Known(memory.clone())).is_empty());
    assert!(node1.hear(2, Message::Known(memory)).is_empty());
    // Who comes hears all of it, and the files of this node.
    let outputs = node1.connect(4, true);
    assert_eq!(told(&outputs), [node(4)]);
    let lists = outputs.iter().filter(|output| {
        matches!(
            output,
            Output::Send { message: Message::Held { first: true, last: true, .. }, .. }
        )
    });
    assert_eq!(lists.count(), 1);
    assert!(told(&node1.connect(8, false)).is_empty());
}

#[test]
fn a_removal_is_told_to_all_members() {
    let mut node1 = cluster();
    node1.offer(2, Vec::new());
    let remove = || Question::Remove { name: "a/b.npy".into() };
    let (_, message) = node1.refusal(remove());
    assert!(message.contains("node-3"), "who holds it still: {message}");
    node1.offer(3, Vec::new());
    let outputs = node1.ask(9, 1, remove());
    assert_eq!(told(&outputs), [node(2), node(3)]);
    let removed = Reply::Removed(vec![Digest([1; 32])]);
    assert_eq!(replies(&outputs), [(node(9), 1, removed)]);
    assert!(node1.names().is_empty());
}

/// Its own part comes first, so that names are told apart soon.
fn long_name(number: usize) -> String {
    format!("{number:06}{}", "x".repeat(994))
}

#[test]
fn lists_are_sent_in_parts_that_fit() {
    let mut node1 = Node::new();
    // Long names of many files, which one message would not take.
    let files: Vec<Held> = (0..HELD_MAX).map(|n| held(&long_name(n), n as u8)).collect();
    let names: usize = files.iter().map(|file| file.name.len()).sum();
    assert!(names > FRAME_BYTES_MAX * 9 / 10);
    node1.service.set_held(files.clone(), Vec::new()).expect("valid files");
    node1.outputs();
    let mut arrived = Vec::new();
    let (mut known, mut lasts) = (0, 0);
    for output in node1.connect(2, true) {
        let Output::Send { message, .. } = output else { continue };
        assert!(crate::wire::encode(&message).len() <= FRAME_BYTES_MAX / 4 + 1024);
        match message {
            Message::Held { first, last, files } => {
                assert_eq!(first, arrived.is_empty());
                arrived.extend(files);
                lasts += usize::from(last);
            }
            Message::Known(memory) => known += memory.len(),
            _ => {}
        }
    }
    assert_eq!((arrived == files, lasts, known), (true, 1, HELD_MAX));
}

#[test]
fn an_answer_that_fits_into_no_message_is_refused() {
    let mut node1 = cluster();
    let files = (0..70_000).map(|n| held(&long_name(n), 1)).collect();
    node1.service.set_held(files, Vec::new()).expect("valid files");
    node1.outputs();
    let (kind, message) = node1.refusal(Question::List);
    assert!(kind == TroubleKind::Question && message.contains("the answer takes"), "{message}");
}

/// Names that look like ids of others, as only somebody who wants harm chooses.
#[test]
fn names_are_put_beside_ids_once() {
    let mut node1 = Node::new();
    for number in 2..6 {
        let next = node(number + 1).to_string();
        let name = next.repeat(400);
        let hello = Hello { name, ..hello(number, false) };
        node1.service.handle_connected(NOW, &hello, addr(number));
    }
    let named = node1.service.named(&format!("é {} was lost, {}", node(2), node(99)));
    let expected =
        format!("é {} ({}) was lost, {}", node(3).to_string().repeat(400), node(2), node(99));
    assert_eq!(named, expected);
}

#[test]
fn a_request_is_the_manifest_that_was_asked_for() {
    let mut node1 = cluster();
    let files = found(&mut node1, "a/b.npy");
    let outputs = node1.ask(9, 1, submit(files.clone()));
    let expected = Manifest::cut(files, Cut::Runs { entry_bytes: 10 }).expect("valid files");
    assert_eq!(request(&outputs).manifest, Arc::new(expected));
}

#[test]
fn a_node_that_is_about_to_leave_takes_nothing_new_and_ends_what_it_has() {
    let mut node1 = cluster();
    assert!(node1.service.is_idle());
    let files = found(&mut node1, "a/b.npy");
    let outputs = node1.ask(9, 1, submit(files.clone()));
    let asked = request(&outputs).clone();
    node1.service.retire();
    assert!(!node1.service.is_idle());
    let array = held("new.npy", 3).array;
    let place = Question::Place { name: "new.npy".into(), array, digest: Digest([3; 32]) };
    for question in [submit(files), place] {
        let (kind, message) = node1.refusal(question);
        assert!(kind == TroubleKind::Leaving && message.contains("another"), "{message}");
    }
    // What is answered at once still is.
    assert_eq!(node1.names(), ["a/b.npy"]);
    node1.service.handle_finished(asked.id, Ok(outcome(&asked)));
    let replies = replies(&node1.outputs());
    assert!(matches!(&replies[..], [(_, 1, Reply::Finished(_))]), "{replies:?}");
    assert!(node1.service.is_idle());
}
