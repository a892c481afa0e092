//! A PostgreSQL server for one test, with a directory of its own, a Unix socket in it, and no port.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use crate::support::{eventually, skipped};

/// The directory of the server in Debian's package, by version. On other systems the server is on the path.
const DEBIAN: &str = "/usr/lib/postgresql";
const SCHEMA: &str = include_str!("../../examples/signup/schema.sql");

pub(crate) struct Postgres {
    server: Child,
    dir: TempDir,
}

impl Postgres {
    /// Returns none where PostgreSQL is not installed, and prints that. On the CI machine that is a failure.
    pub(crate) async fn start() -> Option<Self> {
        match Self::try_start() {
            Ok(postgres) => {
                eventually("PostgreSQL is up", async || postgres.try_connect("postgres").await).await;
                Some(postgres)
            }
            Err(why) => {
                skipped(&format!("no PostgreSQL here: {why}"));
                None
            }
        }
    }

    fn try_start() -> Result<Self, String> {
        let said = |what: &str| {
            let what = what.to_owned();
            move |error: std::io::Error| format!("{what}: {error}")
        };
        let dir = tempfile::tempdir().map_err(said("no directory"))?;
        let program = |name: &str| {
            let mut command = Command::new(program(name));
            // The server refuses to run as root, so for root it runs as the user that Debian's package makes.
            if user_id() == Some(0) {
                let (user, group) = (number("-u")?, number("-g")?);
                chown(dir.path(), Some(user), Some(group)).map_err(said("the directory keeps its owner"))?;
                command.uid(user).gid(group);
            }
            command.current_dir(dir.path()).stdin(Stdio::null());
            Ok::<_, String>(command)
        };
        let data = dir.path().join("data");
        let arguments = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"];
        let made = program("initdb")?.arg("-D").arg(&data).args(arguments).output().map_err(said("initdb"))?;
        if !made.status.success() {
            return Err(format!("initdb: {}", String::from_utf8_lossy(&made.stderr)));
        }
        let log = std::fs::File::create(dir.path().join("log")).map_err(said("a log"))?;
        let mut server = program("postgres")?;
        // The machine does not lose power in a test, so nothing needs to be synced.
        server.arg("-D").arg(&data).arg("-k").arg(dir.path()).args(["-h", "", "-F"]);
        let server = server.stdout(Stdio::null()).stderr(log).spawn().map_err(said("postgres"))?;
        Ok(Self { server, dir })
    }

    /// Makes a database with the application's tables, and returns its address.
    pub(crate) async fn database(&self, name: &str) -> String {
        let statement = format!("create database {name}");
        self.connect("postgres").await.batch_execute(&statement).await.unwrap();
        self.connect(name).await.batch_execute(SCHEMA).await.unwrap();
        self.address(name)
    }

    pub(crate) async fn connect(&self, database: &str) -> Client {
        self.try_connect(database).await.unwrap()
    }

    async fn try_connect(&self, database: &str) -> Result<Client, String> {
        let connected = tokio_postgres::connect(&self.address(database), NoTls).await;
        let (client, connection) = connected.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        Ok(client)
    }

    fn address(&self, database: &str) -> String {
        format!("host={} user=postgres dbname={database}", self.dir.path().display())
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // This is the fast shutdown. A server that is killed would leave shared memory behind. It may have ended
        // already.
        let _ = Command::new("kill").args(["-s", "INT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

/// Finds a program of the latest installed version, or else on the path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let programs = versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.exists());
    let version = |path: &PathBuf| {
        let version = path.strip_prefix(DEBIAN).ok()?.iter().next()?.to_str()?;
        version.parse::<u32>().ok()
    };
    programs.max_by_key(version).unwrap_or_else(|| PathBuf::from(name))
}

fn user_id() -> Option<u32> {
    std::fs::metadata("/proc/self").ok().map(|process| process.uid())
}

fn number(option: &str) -> Result<u32, String> {
    let output = Command::new("id").args([option, "postgres"]).output().map_err(|error| format!("id: {error}"))?;
    let number = String::from_utf8_lossy(&output.stdout).trim().parse();
    number.map_err(|_| "there is no user 'postgres' to run it".to_owned())
}
