//! A relay in front of a server that lets questions through by turns: of those that contain a certain text,
//! so many are answered and so many are cut off with their connection; all else passes. Must not know: what
//! is asked, or why.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::server::Server;
use super::wait::wait_for;

/// Bytes that are passed on at a time; a question is shorter.
const PIECE: usize = 16 * 1024;

/// The relay; it ends when the value is dropped, and with it every connection.
pub(crate) struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    server: (String, u16),
    question: &'static str,
    turns: Mutex<Turns>,
}

#[derive(Default)]
struct Turns {
    answered: u64,
    cut_off: u64,
    /// Questions since the turns were set.
    asked: u64,
}

impl Relay {
    /// Starts one that lets all questions through.
    pub(crate) async fn start(server: &Server, question: &'static str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { server: server.address()?, question, turns: Mutex::default() });
        let task = tokio::task::spawn(serve(listener, Arc::clone(&shared)));
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> (String, u16) {
        (self.address.ip().to_string(), self.address.port())
    }

    /// From now on so many questions in a row are answered, and then so many cut off.
    pub(crate) fn take_turns(&self, answered: u64, cut_off: u64) {
        *self.shared.turns() = Turns { answered, cut_off, asked: 0 };
    }

    /// Waits until so many questions were asked since the turns were set.
    pub(crate) async fn wait_for_questions(&self, count: u64, limit: Duration) -> Result<()> {
        let probe = async || {
            let asked = self.shared.turns().asked;
            Ok(if asked >= count { Ok(()) } else { Err(asked) })
        };
        wait_for("questions to be asked", limit, probe).await
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn turns(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lets_through(&self, bytes: &[u8]) -> bool {
        let question = self.question.as_bytes();
        if !bytes.windows(question.len()).any(|window| window == question) {
            return true;
        }
        let mut turns = self.turns();
        let turn = turns.asked.checked_rem(turns.answered + turns.cut_off).unwrap_or_default();
        turns.asked += 1;
        turns.cut_off == 0 || turn < turns.answered
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(relay(client, Arc::clone(&shared)));
    }
}

async fn relay(client: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let (host, port) = &shared.server;
    let server = TcpStream::connect((host.as_str(), *port)).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, mut to_client) = client.into_split();
    let (mut from_server, to_server) = server.into_split();
    tokio::select! {
        ended = copy(&mut from_server, &mut to_client) => ended.map(drop),
        ended = pass_questions(from_client, to_server, &shared) => ended,
    }
}

async fn pass_questions(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    shared: &Shared,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = client.read(&mut piece).await?;
        let bytes = piece.get(..length).unwrap_or_default();
        if bytes.is_empty() || !shared.lets_through(bytes) {
            return Ok(());
        }
        server.write_all(bytes).await?;
    }
}
