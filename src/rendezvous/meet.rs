//! The meeting: until every rank is connected with every other.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint, Incoming, SendStream};
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::launch::wildcard;
use crate::os;
use crate::rendezvous::error::{MeetError, Refusal};
use crate::rendezvous::frames::Frames;
use crate::rendezvous::mesh::Joined;
use crate::rendezvous::reactor::Reactor;
use crate::rendezvous::word::{WORD_BYTES_MAX, Word};
use crate::rendezvous::{Config, Member};
use crate::transport::quic::{self, is_loopback};
use crate::transport::tls::{SERVER_NAME, Tls};
use crate::transport::{CloseCode, LinkError, Terms, socket};
use crate::wire::{WireError, frame};

/// How long the first try to reach a rank takes at most; each further one takes
/// twice as long, up to [`TRY_MAX`]. The other may not listen yet, and then a new
/// try is heard sooner than the repetition of an old one.
const TRY_FIRST: Duration = Duration::from_millis(400);
const TRY_MAX: Duration = Duration::from_millis(3200);

/// How long a name that is not known is left alone.
const NAME_PAUSE: Duration = Duration::from_millis(200);

/// How long rank 0 goes on to tell who comes that the meeting is called off.
const LINGER: Duration = Duration::from_secs(1);

/// How long a word of refusal is waited for to arrive.
const REFUSAL_MAX: Duration = Duration::from_millis(500);

/// How much longer than rank 0 the others wait, so as to hear its verdict.
const VERDICT_MAX: Duration = Duration::from_secs(5);

/// Meets all other ranks.
pub(super) async fn meet(
    member: &Member,
    tls: Tls,
    config: &Config,
    reactor: &Reactor,
) -> Result<(Endpoint, Vec<Joined>), MeetError> {
    let (member, config) = (Arc::new(member.clone()), Arc::new(config.clone()));
    let (terms, reactor) = (terms(&config), reactor.clone());
    let room = Room { terms, member, config, reactor, start: Instant::now() };
    let endpoint = match room.member.rank {
        0 => room.listen(tls).await?,
        _ => room.set_out(tls).await?,
    };
    let met = match room.member.rank {
        0 => room.gather(&endpoint).await,
        _ => room.attend(&endpoint).await,
    };
    match met {
        Ok(joined) => Ok((endpoint, joined)),
        Err(error) => {
            part(&endpoint).await;
            Err(error)
        }
    }
}

/// Closes all connections, and goes on for so long that the others hear of it.
pub(super) async fn part(endpoint: &Endpoint) {
    endpoint.close(CloseCode::Shutdown.into(), &[]);
    let _unheard = timeout(quic::FAREWELL, endpoint.wait_idle()).await;
}

/// Tells everybody who dials from now on that the group has met.
pub(super) async fn turn_away_all(endpoint: &Endpoint, config: &Config) {
    let mut arriving = JoinSet::new();
    while let Some(incoming) = endpoint.accept().await {
        while arriving.try_join_next().is_some() {}
        let Some(incoming) = quic::validated(incoming) else { continue };
        if arriving.len() >= config.transport.handshakes_max {
            incoming.refuse();
            continue;
        }
        let (terms, limit) = (terms(config), config.transport.handshake_timeout);
        arriving.spawn(async move {
            if let Ok(guest) = receive(incoming, terms, limit).await {
                let rank = guest.rank;
                refuse(guest, Refusal::Late { rank }).await;
            }
        });
    }
}

fn terms(config: &Config) -> Terms {
    // Versions are told apart by the application protocol.
    Terms { silent: config.transport.idle_timeout, version: 0 }
}

/// One rank's side of a meeting.
#[derive(Clone)]
struct Room {
    member: Arc<Member>,
    config: Arc<Config>,
    terms: Terms,
    /// What runs the connections.
    reactor: Reactor,
    start: Instant,
}

/// A rank that has said hello.
struct Guest {
    group: [u8; 16],
    rank: u32,
    size: u32,
    connection: Connection,
    send: SendStream,
    frames: Frames,
}

impl Guest {
    fn addr(&self) -> SocketAddr {
        canonical(self.connection.remote_address())
    }

    fn joined(self) -> Joined {
        let Guest { rank, connection, send, frames, .. } = self;
        Joined { rank, connection, send, frames }
    }
}

/// Somebody who dialled and is none of us.
type TurnedAway = (SocketAddr, LinkError);

impl Room {
    /// Rank 0's endpoint.
    async fn listen(&self, tls: Tls) -> Result<Endpoint, MeetError> {
        let root = &self.member.root;
        let handed = self.member.listener.and_then(|fd| os::take_udp(fd, root.port));
        if let Some(socket) = handed {
            let buffer_bytes = self.config.transport.socket_buffer_bytes;
            // Sizes that cannot be had are no reason not to listen.
            let _warnings = socket::resize((&socket).into(), buffer_bytes);
            return self.endpoint(tls, root.bind_addr(&[]), socket);
        }
        let found: Vec<SocketAddr> = match lookup_host((root.host.as_str(), root.port)).await {
            Ok(addrs) => addrs.collect(),
            // The others may know it.
            Err(_) => Vec::new(),
        };
        self.bind(tls, root.bind_addr(&found), self.member.listener)
    }

    /// An endpoint on this address; `handed` is the number under which its socket should be.
    fn bind(&self, tls: Tls, addr: SocketAddr, handed: Option<i32>) -> Result<Endpoint, MeetError> {
        let bound = socket::bind(addr, self.config.transport.socket_buffer_bytes);
        let bound = bound.map_err(|source| MeetError::bind(addr, source, handed))?;
        self.endpoint(tls, addr, bound.socket)
    }

    fn endpoint(
        &self,
        tls: Tls,
        addr: SocketAddr,
        socket: UdpSocket,
    ) -> Result<Endpoint, MeetError> {
        let runtime = Arc::new(self.reactor.clone());
        quic::endpoint(&self.config.transport, tls, socket, runtime)
            .map_err(|source| MeetError::Bind { addr, source })
    }

    /// Waits for all other ranks, and tells them where each is.
    async fn gather(&self, endpoint: &Endpoint) -> Result<Vec<Joined>, MeetError> {
        let size = self.member.size as usize;
        let mut guests: Vec<Option<Guest>> = (0..size).map(|_| None).collect();
        let mut arriving = JoinSet::new();
        let mut turned_away: Option<TurnedAway> = None;
        let deadline = self.deadline();
        let refusal = loop {
            forget_gone(&mut guests);
            if guests.iter().flatten().count() == size - 1 {
                return self.seat(guests).await;
            }
            let guest = match timeout_at(deadline, self.arrival(endpoint, &mut arriving)).await {
                Ok(Ok(guest)) => guest,
                Ok(Err(stranger)) => {
                    turned_away = Some(stranger);
                    continue;
                }
                Err(_) => break self.missing(&guests, turned_away),
            };
            if guest.group != self.member.group {
                turned_away = Some((guest.addr(), LinkError::Foreign));
                tokio::spawn(refuse(guest, Refusal::Group));
                continue;
            }
            forget_gone(&mut guests);
            match self.contradiction(&guest, &guests) {
                None => {
                    let rank = guest.rank as usize;
                    guests[rank] = Some(guest);
                }
                Some(refusal) => {
                    refuse(guest, refusal.clone()).await;
                    break refusal;
                }
            }
        };
        self.call_off(endpoint, guests, arriving, &refusal).await;
        Err(refusal.into())
    }

    /// The next who has said who it is, or is a stranger.
    async fn arrival(
        &self,
        endpoint: &Endpoint,
        arriving: &mut JoinSet<Result<Guest, TurnedAway>>,
    ) -> Result<Guest, TurnedAway> {
        loop {
            tokio::select! {
                incoming = endpoint.accept() => {
                    let Some(incoming) = incoming.and_then(quic::validated) else { continue };
                    if arriving.len() >= self.config.transport.handshakes_max {
                        incoming.refuse();
                        continue;
                    }
                    let (terms, limit) = (self.terms, self.config.transport.handshake_timeout);
                    arriving.spawn(receive(incoming, terms, limit));
                }
                Some(arrived) = arriving.join_next() => {
                    // A task that panicked was reported; the rank comes again.
                    if let Ok(arrived) = arrived {
                        return arrived;
                    }
                }
            }
        }
    }

    /// What is wrong with a guest.
    fn contradiction(&self, guest: &Guest, guests: &[Option<Guest>]) -> Option<Refusal> {
        let &Guest { rank, size: theirs, .. } = guest;
        let ours = self.member.size;
        let second = guest.addr();
        if theirs != ours {
            return Some(Refusal::Size { rank, theirs, ours });
        }
        if rank == 0 {
            let first = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), self.member.root.port);
            return Some(Refusal::Duplicate { rank, first, second });
        }
        match guests.get(rank as usize) {
            None => Some(Refusal::Rank { rank, size: ours, addr: second }),
            Some(None) => None,
            Some(Some(first)) => Some(Refusal::Duplicate { rank, first: first.addr(), second }),
        }
    }

    fn missing(&self, guests: &[Option<Guest>], turned_away: Option<TurnedAway>) -> Refusal {
        let hint = turned_away.map_or_else(String::new, |(addr, error)| {
            format!(", and somebody at {} was turned away: {error}", canonical(addr))
        });
        let absent = |&(_, guest): &(u32, &Option<Guest>)| guest.is_none();
        let missing = (0..).zip(guests).skip(1).filter(absent).map(|(rank, _)| rank).collect();
        Refusal::Missing { missing, after: self.config.meet_timeout, hint }
    }

    /// Gives everybody the table.
    async fn seat(&self, guests: Vec<Option<Guest>>) -> Result<Vec<Joined>, MeetError> {
        let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        let addr = |guest: &Option<Guest>| guest.as_ref().map_or(nowhere, Guest::addr);
        let table = Word::Table(guests.iter().map(addr).collect());
        let mut joined = Vec::new();
        for mut guest in guests.into_iter().flatten() {
            // Who is gone is lost to the group that begins now.
            let _lost = say(&mut guest.send, &table, self.terms).await;
            joined.push(guest.joined());
        }
        Ok(joined)
    }

    /// Tells all who are there, and who still come, that there is no meeting.
    async fn call_off(
        &self,
        endpoint: &Endpoint,
        guests: Vec<Option<Guest>>,
        mut arriving: JoinSet<Result<Guest, TurnedAway>>,
        refusal: &Refusal,
    ) {
        let mut refusing = JoinSet::new();
        let mut told = 1 + guests.iter().flatten().count();
        for guest in guests.into_iter().flatten() {
            refusing.spawn(refuse(guest, refusal.clone()));
        }
        let until = Instant::now() + LINGER;
        while told < self.member.size as usize {
            match timeout_at(until, self.arrival(endpoint, &mut arriving)).await {
                Ok(Ok(guest)) => {
                    told += 1;
                    refusing.spawn(refuse(guest, refusal.clone()));
                }
                Ok(Err(_)) => {}
                Err(_) => break,
            }
        }
        while refusing.join_next().await.is_some() {}
    }

    fn deadline(&self) -> Instant {
        self.start + self.config.meet_timeout
    }

    fn no_root(&self, error: String) -> MeetError {
        let (root, after) = (self.member.root.clone(), self.config.meet_timeout);
        MeetError::NoRoot { root, after, error }
    }

    /// The endpoint of another rank than 0.
    async fn set_out(&self, tls: Tls) -> Result<Endpoint, MeetError> {
        let addrs = self.look_up().await?;
        let bind = match addrs.iter().all(|addr| is_loopback(addr.ip())) {
            true if addrs.iter().all(SocketAddr::is_ipv4) => Ipv4Addr::LOCALHOST.into(),
            _ => wildcard(&addrs),
        };
        self.bind(tls, SocketAddr::new(bind, 0), None)
    }

    /// Goes to rank 0, says who this is, waits for the table, and connects.
    async fn attend(&self, endpoint: &Endpoint) -> Result<Vec<Joined>, MeetError> {
        let root = self.member.root.clone();
        let addrs = self.look_up().await?;
        let dialled = self.dial(endpoint, 0, &addrs, self.deadline()).await;
        let mut joined = dialled.map_err(|error| match error {
            LinkError::Identity => MeetError::Identity { root: root.clone() },
            error => self.no_root(error.to_string()),
        })?;
        let until = self.deadline() + VERDICT_MAX;
        let verdict = timeout_at(until, joined.frames.next(WORD_BYTES_MAX)).await;
        let lost = |error| MeetError::RootLost { root: root.clone(), error };
        let word = match verdict {
            Ok(Ok(Some(bytes))) => Word::decode(&bytes),
            Ok(Ok(None)) => return Err(lost(LinkError::Left)),
            // Only now does a client hear that its certificate was refused.
            Ok(Err(LinkError::Identity)) => return Err(MeetError::Identity { root }),
            Ok(Err(error)) => return Err(lost(error)),
            Err(_) => return Err(self.no_root("it did not say who has come".to_owned())),
        };
        match word {
            Some(Word::Table(table)) if table.len() == self.member.size as usize => {
                self.connect(endpoint, joined, &table).await
            }
            Some(Word::Refused(refusal)) => Err(refusal.into()),
            _ => Err(lost(LinkError::OutOfTurn { expected: "a table of all ranks" })),
        }
    }

    /// Rank 0's addresses; a name that is not known may be in a while.
    async fn look_up(&self) -> Result<Vec<SocketAddr>, MeetError> {
        let root = &self.member.root;
        loop {
            let error = match lookup_host((root.host.as_str(), root.port)).await {
                Ok(found) => {
                    let addrs: Vec<SocketAddr> = found.collect();
                    if !addrs.is_empty() {
                        return Ok(addrs);
                    }
                    "the name has no address".to_owned()
                }
                Err(error) => format!("the host '{}' is not known: {error}", root.host),
            };
            if Instant::now() + NAME_PAUSE >= self.deadline() {
                return Err(self.no_root(error));
            }
            sleep(NAME_PAUSE).await;
        }
    }

    /// Connects with another rank at one of `addrs`, and says hello.
    async fn dial(
        &self,
        endpoint: &Endpoint,
        rank: u32,
        addrs: &[SocketAddr],
        deadline: Instant,
    ) -> Result<Joined, LinkError> {
        let mut patience = TRY_FIRST;
        loop {
            let start = Instant::now();
            let mut last = LinkError::NoAnswer { after: patience };
            for &addr in addrs {
                let until = deadline.min(Instant::now() + patience);
                match timeout_at(until, self.try_dial(endpoint, rank, addr)).await {
                    Ok(Ok(joined)) => return Ok(joined),
                    // Trying again does not help.
                    Ok(Err(error @ (LinkError::Identity | LinkError::Foreign))) => {
                        return Err(error);
                    }
                    Ok(Err(error)) => last = error,
                    Err(_) => {}
                }
            }
            // An error may come at once, and would again.
            sleep_until(deadline.min(start + patience)).await;
            if Instant::now() >= deadline {
                return Err(last);
            }
            patience = (2 * patience).min(TRY_MAX);
        }
    }

    async fn try_dial(
        &self,
        endpoint: &Endpoint,
        rank: u32,
        addr: SocketAddr,
    ) -> Result<Joined, LinkError> {
        let network =
            |error: quinn::ConnectError| LinkError::Network { message: error.to_string() };
        let lost = |error| LinkError::from_connection(error, self.terms);
        let connecting = endpoint.connect(addr, SERVER_NAME).map_err(network)?;
        let connection = connecting.await.map_err(lost)?;
        let (mut send, recv) = connection.open_bi().await.map_err(lost)?;
        let &Member { group, rank: own, size, .. } = &*self.member;
        say(&mut send, &Word::Hello { group, rank: own, size }, self.terms).await?;
        Ok(Joined { rank, connection, send, frames: Frames::new(recv, self.terms) })
    }

    /// Dials all ranks below, except rank 0, and waits for those above.
    async fn connect(
        &self,
        endpoint: &Endpoint,
        root: Joined,
        table: &[SocketAddr],
    ) -> Result<Vec<Joined>, MeetError> {
        let own = self.member.rank;
        let deadline = Instant::now() + self.config.connect_timeout;
        let root_addr = root.connection.remote_address();
        let mut joined = vec![root];
        let mut missing: Vec<u32> = (1..self.member.size).filter(|&rank| rank != own).collect();
        let mut last_error = format!("they did not come within {:?}", self.config.connect_timeout);
        let mut dialling = JoinSet::new();
        for rank in 1..own {
            let (room, endpoint) = (self.clone(), endpoint.clone());
            let addr = reachable(table[rank as usize], root_addr);
            dialling.spawn(async move {
                (rank, room.meet_below(&endpoint, rank, addr, deadline).await)
            });
        }
        let below = async {
            let mut below = Vec::new();
            while let Some(met) = dialling.join_next().await {
                // A task that panicked was reported; its rank is missing.
                below.extend(met);
            }
            below
        };
        let above = async {
            let mut arriving = JoinSet::new();
            let mut above: Vec<Joined> = Vec::new();
            while above.len() < (self.member.size - 1 - own) as usize {
                let arrived = timeout_at(deadline, self.arrival(endpoint, &mut arriving)).await;
                let Ok(arrived) = arrived else { break };
                let Ok(mut guest) = arrived else { continue };
                let is_expected = guest.group == self.member.group
                    && guest.size == self.member.size
                    && (own + 1..self.member.size).contains(&guest.rank)
                    && above.iter().all(|known| known.rank != guest.rank);
                // Anybody else knows the secret and is confused.
                if is_expected && say(&mut guest.send, &Word::Welcome, self.terms).await.is_ok() {
                    above.push(guest.joined());
                }
            }
            above
        };
        let (below, above) = tokio::join!(below, above);
        for (rank, met) in below {
            match met {
                Ok(peer) => joined.push(peer),
                Err(error) => last_error = format!("rank {rank}: {error}"),
            }
        }
        joined.extend(above);
        missing.retain(|rank| joined.iter().all(|peer| peer.rank != *rank));
        match missing.is_empty() {
            true => Ok(joined),
            false => {
                Err(MeetError::Unreachable { rank: own, unreachable: missing, error: last_error })
            }
        }
    }

    /// Dials a rank below, and waits until it says welcome.
    async fn meet_below(
        &self,
        endpoint: &Endpoint,
        rank: u32,
        addr: SocketAddr,
        deadline: Instant,
    ) -> Result<Joined, LinkError> {
        let mut peer = self.dial(endpoint, rank, &[addr], deadline).await?;
        let silent = || LinkError::NoAnswer { after: self.config.connect_timeout };
        let word = timeout_at(deadline, peer.frames.next(WORD_BYTES_MAX)).await;
        let word = word.map_err(|_| silent())??.ok_or(LinkError::Left)?;
        match Word::decode(&word) {
            Some(Word::Welcome) => Ok(peer),
            _ => Err(LinkError::OutOfTurn { expected: "a welcome" }),
        }
    }
}

/// Who has gone again may come again.
fn forget_gone(guests: &mut [Option<Guest>]) {
    let is_gone = |guest: &Guest| guest.connection.close_reason().is_some();
    guests.iter_mut().for_each(|guest| drop(guest.take_if(|guest| is_gone(guest))));
}

/// Hears who dialled.
async fn receive(incoming: Incoming, terms: Terms, limit: Duration) -> Result<Guest, TurnedAway> {
    let addr = incoming.remote_address();
    let hear = async {
        let lost = |error| LinkError::from_connection(error, terms);
        let connection = incoming.accept().map_err(lost)?.await.map_err(lost)?;
        let (send, recv) = connection.accept_bi().await.map_err(lost)?;
        let mut frames = Frames::new(recv, terms);
        let bytes = frames.next(WORD_BYTES_MAX).await?.ok_or(LinkError::Left)?;
        match Word::decode(&bytes) {
            Some(Word::Hello { group, rank, size }) => {
                Ok(Guest { group, rank, size, connection, send, frames })
            }
            _ => Err(LinkError::OutOfTurn { expected: "a hello" }),
        }
    };
    let heard = timeout(limit, hear).await;
    heard.unwrap_or(Err(LinkError::NoAnswer { after: limit })).map_err(|error| (addr, error))
}

/// Tells a guest that there is no meeting, and waits a little until it knows.
async fn refuse(mut guest: Guest, refusal: Refusal) {
    let terms = Terms { silent: REFUSAL_MAX, version: 0 };
    let tell = async {
        if say(&mut guest.send, &Word::Refused(refusal), terms).await.is_ok()
            && guest.send.finish().is_ok()
        {
            let _gone = guest.send.stopped().await;
        }
    };
    let _unheard = timeout(REFUSAL_MAX, tell).await;
}

async fn say(send: &mut SendStream, word: &Word, terms: Terms) -> Result<(), LinkError> {
    let bytes = word.encode();
    if bytes.len() > WORD_BYTES_MAX {
        let (max, got) = (WORD_BYTES_MAX, bytes.len());
        return Err(LinkError::Misbehaved(WireError::FrameLength { max, got }));
    }
    let frame = [&frame::header(bytes.len())[..], &bytes].concat();
    send.write_all(&frame).await.map_err(|error| LinkError::from_write(error, terms))
}

/// Where a rank is that rank 0 sees at `addr`, for one who sees rank 0 at `root`.
fn reachable(addr: SocketAddr, root: SocketAddr) -> SocketAddr {
    match is_loopback(addr.ip()) && !is_loopback(root.ip()) {
        true => SocketAddr::new(root.ip(), addr.port()),
        false => addr,
    }
}

fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_rank_beside_rank_0_is_reached_where_rank_0_is() {
        let (here, there) = (addr("127.0.1.1:7400"), addr("10.0.0.1:7400"));
        for (seen, root, reached) in [
            ("10.0.0.2:5", there, "10.0.0.2:5"),
            ("127.0.0.1:5", there, "10.0.0.1:5"),
            ("127.0.0.1:5", here, "127.0.0.1:5"),
            ("10.0.0.2:5", here, "10.0.0.2:5"),
            ("[::1]:5", addr("[2001:db8::1]:7400"), "[2001:db8::1]:5"),
        ] {
            assert_eq!(reachable(addr(seen), root), addr(reached));
        }
    }
}
