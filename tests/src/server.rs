//! A process that belongs to a test.
//!
//! It ends with its owner: `Drop` kills it, and if the test process itself is killed, the kernel does. That signal is
//! sent when the thread ends that started the process, so one thread that lives as long as the test process starts all.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::within;

/// What to run.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// For messages, and the name of its log.
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(String, String)>,
    /// Where it runs, and where its log is.
    pub directory: PathBuf,
    /// Another user to run as.
    pub user: Option<User>,
    /// Bytes of private memory that each of its processes may have.
    pub memory: Option<u64>,
    /// How it ends at once and leaves nothing behind.
    pub end: Signal,
}

#[derive(Debug, Clone)]
pub struct User {
    pub name: String,
    pub group: String,
}

impl Recipe {
    pub fn new(name: &str, program: PathBuf, directory: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program,
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: directory.to_owned(),
            user: None,
            memory: None,
            end: Signal::KILL,
        }
    }

    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub fn arguments<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub fn variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// The command, for a program that is run to its end.
    pub fn command(&self) -> Command {
        let mut command = Command::new("prlimit");
        if let Some(bytes) = self.memory {
            command.arg(format!("--data={bytes}"));
        }
        let end = match self.end {
            Signal::QUIT => "QUIT",
            _ => "KILL",
        };
        command.args(["--", "setpriv", "--pdeathsig", end]);
        if let Some(user) = &self.user {
            command.args(["--reuid", &user.name, "--regid", &user.group, "--clear-groups"]);
        }
        command
            .arg("--")
            .arg(&self.program)
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        command
    }

    fn log(&self) -> PathBuf {
        self.directory.join(format!("{}.log", self.name))
    }
}

/// A running process, or one that has ended and can be started again.
pub struct Server {
    recipe: Recipe,
    child: Option<Child>,
}

impl Server {
    pub fn start(recipe: Recipe) -> Self {
        let mut server = Self { recipe, child: None };
        server.start_again();
        server
    }

    /// With the same arguments, so on the same port and data.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.recipe.name);
        let log = File::options().create(true).append(true).open(self.recipe.log()).unwrap();
        let mut command = self.recipe.command();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(spawn(command));
    }

    pub fn id(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends it as a crash would: SIGKILL, no warning.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }

    /// Asks it to end, and waits.
    pub async fn stop(&mut self, signal: Signal, bound: Duration) -> ExitStatus {
        self.signal(signal);
        let name = self.recipe.name.clone();
        let mut child = self.child.take().unwrap_or_else(|| panic!("{name} does not run"));
        within(bound, &format!("{name} ends"), async || child.try_wait().unwrap()).await
    }

    /// Another process of the same recipe, beside this one.
    pub fn twin(&self) -> Self {
        Self::start(self.recipe.clone())
    }

    /// Waits for it to end by itself.
    pub async fn until_ended(&mut self, bound: Duration) -> ExitStatus {
        let name = self.recipe.name.clone();
        let mut child = self.child.take().unwrap_or_else(|| panic!("{name} does not run"));
        within(bound, &format!("{name} ends by itself"), async || child.try_wait().unwrap()).await
    }

    /// Stops it in the middle of what it does, as a machine that hangs.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Waits for `ready`. Panics with the log when the process ends instead, or takes too long.
    pub async fn until(&mut self, what: &str, mut ready: impl AsyncFnMut() -> bool) {
        let name = self.recipe.name.clone();
        let log = self.recipe.log();
        let child = self.child.as_mut().unwrap_or_else(|| panic!("{name} does not run"));
        crate::eventually(&format!("{name} {what}"), async || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("{name} ended ({status}) before it {what}\n{}", tail(&log));
            }
            ready().await.then_some(())
        })
        .await;
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.recipe.log()).unwrap_or_default()
    }

    /// Where it runs.
    pub fn directory(&self) -> &Path {
        &self.recipe.directory
    }

    fn signal(&self, signal: Signal) {
        let id = self.id().and_then(|id| Pid::from_raw(id as i32));
        let id = id.unwrap_or_else(|| panic!("{} does not run", self.recipe.name));
        kill_process(id, signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the end of the log of {}\n{}", self.recipe.name, tail(&self.recipe.log()));
        }
        let Some(mut child) = self.child.take() else {
            return;
        };
        if let Some(id) = Pid::from_raw(child.id() as i32) {
            // A paused process takes no other signal.
            let _ = kill_process(id, self.recipe.end);
            let _ = kill_process(id, Signal::CONT);
        }
        let _ = child.wait();
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

type Order = (Command, Sender<std::io::Result<Child>>);

/// Starts a command that may outlive the thread which asked for it.
pub fn spawn(command: Command) -> Child {
    static NURSERY: LazyLock<Sender<Order>> = LazyLock::new(|| {
        let (orders, inbox) = channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in inbox {
                let _ = reply.send(command.spawn());
            }
        });
        orders
    });
    let (reply, child) = channel();
    NURSERY.send((command, reply)).unwrap();
    child.recv().unwrap().unwrap()
}
