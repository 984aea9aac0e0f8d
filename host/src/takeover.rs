//! One host takes the gateway's port over from another one on the same machine.
//!
//! ```text
//!   old host                    takeover_socket                    new host
//!   accepts      <-------------------- connects ------------------- starts
//!                --- the listening socket itself (SCM_RIGHTS) ---->
//!   accepts                                                        loads all services, subscribes
//!   accepts                                                        accepts
//!   drains, ends <-------------------- one byte -------------------
//! ```
//!
//! Both hold the same socket, so that its queue of new connections outlives the old host, and nothing is refused or reset. A new host that
//! gives up in between only closes the connection: the old one has never stopped.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use sendfd::{RecvWithFd, SendWithFd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// How long the host before may take to hand over.
const PATIENCE: Duration = Duration::from_secs(2);

/// The host that serves until it is told that it need not.
pub struct Predecessor(UnixStream);

impl Predecessor {
    /// Lets it end.
    pub async fn dismiss(mut self) {
        if let Err(error) = self.0.write_all(b"d").await {
            tracing::warn!(%error, "the host before could not be told to end; stop it");
        }
    }
}

/// The gateway's listener: that of the host that runs here already, or a new one.
pub async fn listen(address: &str, socket: &Path) -> anyhow::Result<(TcpListener, Option<Predecessor>)> {
    if let Some((listener, predecessor)) = ask(socket).await? {
        let wanted: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map(Iterator::collect).unwrap_or_default();
        let held = listener.local_addr()?;
        if wanted.contains(&held) {
            tracing::info!(address = %held, "taking the gateway over from the host that runs here");
            return Ok((listener, Some(predecessor)));
        }
        return Ok((bind(address).await?, Some(predecessor)));
    }
    Ok((bind(address).await?, None))
}

async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}: set gateway.listen (WARD_GATEWAY_LISTEN) to an address that is free, or \
             host.takeover_socket to take it over from the host that has it"
        )
    })
}

/// None when nobody is there.
async fn ask(socket: &Path) -> anyhow::Result<Option<(TcpListener, Predecessor)>> {
    if socket.as_os_str().is_empty() {
        return Ok(None);
    }
    // A file that nobody listens at any more was left by a host that was killed.
    let Ok(stream) = BlockingStream::connect(socket) else { return Ok(None) };
    let received = tokio::task::spawn_blocking(move || receive(stream)).await?;
    let (listener, stream) = received.with_context(|| {
        format!("the host at {} (host.takeover_socket) does not hand over; stop it, then start again", socket.display())
    })?;
    Ok(Some((TcpListener::from_std(listener)?, Predecessor(UnixStream::from_std(stream)?))))
}

fn receive(stream: BlockingStream) -> anyhow::Result<(std::net::TcpListener, BlockingStream)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (mut byte, mut descriptors) = ([0u8; 1], [-1; 1]);
    let (bytes, received) = stream.recv_with_fd(&mut byte, &mut descriptors)?;
    let [descriptor] = descriptors;
    if bytes != 1 || received != 1 {
        bail!("it sent no socket");
    }
    let listener = std::net::TcpListener::from(owned(descriptor));
    listener.set_nonblocking(true)?;
    stream.set_nonblocking(true)?;
    Ok((listener, stream))
}

#[expect(unsafe_code, reason = "the kernel has just made this descriptor for us, and nobody else knows its number")]
fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: received with SCM_RIGHTS a moment ago, open, and owned by nothing else.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

/// Hands `listener` to whoever asks at `socket`. Returns when a new host serves with it; never without a socket.
pub async fn offer(socket: &Path, listener: OwnedFd) -> anyhow::Result<()> {
    if socket.as_os_str().is_empty() {
        return std::future::pending().await;
    }
    let door = open(socket).with_context(|| format!("cannot listen on {} (host.takeover_socket)", socket.display()))?;
    loop {
        let (stream, _) = door.accept().await?;
        match hand_over(stream, &listener).await {
            Ok(true) => return Ok(()),
            Ok(false) => tracing::warn!("a host that wanted to take over gave up; this one goes on"),
            Err(error) => tracing::warn!(%error, "the gateway's socket could not be handed over"),
        }
    }
}

/// A path of our own, moved over that of the host before.
fn open(socket: &Path) -> std::io::Result<UnixListener> {
    let mut own = socket.as_os_str().to_owned();
    own.push(format!(".{}", std::process::id()));
    let own = Path::new(&own);
    let _ = std::fs::remove_file(own);
    let door = UnixListener::bind(own)?;
    // Who gets in here gets the gateway's requests.
    std::fs::set_permissions(own, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(own, socket)?;
    Ok(door)
}

/// True when the other side serves.
async fn hand_over(mut stream: UnixStream, listener: &OwnedFd) -> std::io::Result<bool> {
    let blocking = stream.into_std()?;
    blocking.set_nonblocking(false)?;
    blocking.set_write_timeout(Some(PATIENCE))?;
    blocking.send_with_fd(b"l", &[listener.as_raw_fd()])?;
    blocking.set_nonblocking(true)?;
    stream = UnixStream::from_std(blocking)?;
    let mut byte = [0u8; 1];
    Ok(stream.read(&mut byte).await? == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answer_of(address: SocketAddr) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn a_connection_that_nobody_accepted_yet_is_answered_by_the_new_host() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("takeover");
        let (old, none) = listen("127.0.0.1:0", &socket).await.unwrap();
        assert!(none.is_none());
        let address = old.local_addr().unwrap();
        let held = std::os::fd::AsFd::as_fd(&old).try_clone_to_owned().unwrap();
        let path = socket.clone();
        let offered = tokio::spawn(async move { offer(&path, held).await });
        while !socket.exists() {
            tokio::task::yield_now().await;
        }
        let client = tokio::spawn(answer_of(address));

        // One that gives up changes nothing.
        drop(listen(&address.to_string(), &socket).await.unwrap());
        let (new, predecessor) = listen(&address.to_string(), &socket).await.unwrap();
        predecessor.unwrap().dismiss().await;
        offered.await.unwrap().unwrap();
        drop(old);

        let (mut stream, _) = new.accept().await.unwrap();
        stream.write_all(b"new").await.unwrap();
        drop(stream);
        assert_eq!(client.await.unwrap(), "new");
    }

    #[tokio::test]
    async fn what_a_killed_host_left_is_no_host() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("takeover");
        drop(open(&socket).unwrap());
        assert!(socket.exists());
        assert!(ask(&socket).await.unwrap().is_none());
    }
}
