//! A store of a follower's place in a file, for programs without a database.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::follow::{FeedStore, Restart};
use super::{Client, ClientError};
use crate::model::{Cursor, Event};

/// How long the ids of events are kept, in milliseconds: longer than a cluster keeps events by default.
const KEEP_IDS: u64 = 400 * 24 * 3_600_000;

/// Keeps cursors and the ids of known events in a file, a line for each event, which is written and synced after the event was
/// handled. So an event is handled once, and once more where the program dies in between: the handler has to bear that. Where
/// the handler writes to a database, a [`FeedStore`] that keeps both there in one transaction handles each event exactly once.
///
/// The file grows by some 150 bytes an event, and has the ids of the last 400 days, which may have names in them; what is older
/// is left out when it is opened. Only its owner can read it. One process at a time can use it. Each event costs a write and a
/// sync, on the thread that follows.
///
/// ```no_run
/// # async fn example(client: forename::Client) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use forename::client::FileStore;
/// use forename::model::{EventQuery, EventType};
///
/// type Failed = Box<dyn std::error::Error + Send + Sync>;
/// let handle = async |event: forename::model::Event| {
///     if event.event_type == EventType::Rejected {
///         println!("tell {}", event.data.registration.owner);
///     }
///     Ok::<_, Failed>(())
/// };
/// let gap = async |_node: forename::Client| Ok::<_, Failed>(println!("read anew what is followed"));
/// let mut store = FileStore::open("feed", handle, gap)?;
/// client.follow(&EventQuery::default(), &mut store).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FileStore<H, G> {
    /// None once a line could not be written: what follows it would be taken for a part of it.
    file: Option<File>,
    /// Locked as long as the store is used.
    _lock: File,
    cursors: BTreeMap<String, Cursor>,
    known: BTreeSet<String>,
    handle: H,
    gap: G,
}

/// A line of the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<Cursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// When the event with this id was handled, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
}

#[expect(clippy::disallowed_methods, reason = "ids are kept for some time from now on")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl<H, G> FileStore<H, G> {
    /// Opens or makes the file. `handle` gets each event; `gap` is called where the events that come next are no longer kept,
    /// and has to read anew from the node what is followed.
    ///
    /// # Errors
    /// The file cannot be read or written, is in use, or is not one of these. A last line that was cut off by a crash is left
    /// out.
    pub fn open(path: impl AsRef<Path>, handle: H, gap: G) -> io::Result<Self> {
        let path = path.as_ref();
        let lock = private(OpenOptions::new().create(true).append(true)).open(beside(path, ".lock"))?;
        lock.try_lock().map_err(|error| io::Error::other(format!("{} is in use: {error}", path.display())))?;
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        if whole == 0 && !bytes.is_empty() && !bytes.starts_with(b"{\"") {
            return Err(io::Error::other(format!("{} has something else in it; give another file", path.display())));
        }
        let oldest = now().saturating_sub(KEEP_IDS);
        let (mut cursors, mut known) = (BTreeMap::new(), BTreeMap::new());
        for line in bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Line { source, cursor, id, at } = serde_json::from_slice(line)?;
            cursors.extend(source.zip(cursor));
            known.extend(id.zip(at).filter(|(_, at)| *at >= oldest));
        }
        // It is written anew without what is too old.
        let anew = beside(path, ".new");
        let mut file = private(OpenOptions::new().create(true).truncate(true).write(true)).open(&anew)?;
        let ids = known.iter().map(|(id, at)| Line { id: Some(id.clone()), at: Some(*at), ..Line::default() });
        let places = cursors.iter().map(|(source, cursor)| Line {
            source: Some(source.clone()),
            cursor: Some(*cursor),
            ..Line::default()
        });
        file.write_all(&ids.chain(places).map(|line| text_of(&line)).collect::<Result<Vec<_>, _>>()?.concat())?;
        file.sync_all()?;
        fs::rename(&anew, path)?;
        #[cfg(unix)]
        File::open(path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?.sync_all()?;
        Ok(Self { file: Some(file), _lock: lock, cursors, known: known.into_keys().collect(), handle, gap })
    }

    /// Writes a line and waits for the disk.
    fn write(&mut self, source: &str, cursor: Cursor, id: Option<String>) -> io::Result<()> {
        let at = id.is_some().then(now);
        let line = text_of(&Line { source: Some(source.to_owned()), cursor: Some(cursor), id, at })?;
        let broken = || io::Error::other("a line could not be written before; open the file anew");
        let mut file = self.file.take().ok_or_else(broken)?;
        file.write_all(&line)?;
        file.sync_data()?;
        self.file = Some(file);
        self.cursors.insert(source.to_owned(), cursor);
        Ok(())
    }
}

/// Returns the path of a file beside another one.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Makes a file that is new readable for its owner alone.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

fn text_of(line: &Line) -> serde_json::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    Ok(text)
}

impl<H, G, E, Handled, Read> FeedStore for FileStore<H, G>
where
    H: FnMut(Event) -> Handled + Send,
    G: FnMut(Client) -> Read + Send,
    Handled: Future<Output = Result<(), E>> + Send,
    Read: Future<Output = Result<(), E>> + Send,
    E: From<ClientError> + From<io::Error> + Send,
{
    type Error = E;

    async fn cursor(&mut self, source: &str) -> Result<Option<Cursor>, E> {
        Ok(self.cursors.get(source).copied())
    }

    async fn apply(&mut self, source: &str, cursor: Cursor, event: &Event) -> Result<(), E> {
        if !self.known.contains(&event.id) {
            (self.handle)(event.clone()).await?;
        }
        self.write(source, cursor, Some(event.id.clone()))?;
        self.known.insert(event.id.clone());
        Ok(())
    }

    async fn restart(&mut self, source: &str, cursor: Cursor, why: Restart, node: &Client) -> Result<(), E> {
        if why == Restart::EventsCompacted {
            (self.gap)(node.clone()).await?;
        }
        Ok(self.write(source, cursor, None)?)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::{Arc, Mutex};

    use super::*;

    const SOURCE: &str = "/nodes/0b8326a221c00000";

    fn event(id: &str) -> Event {
        let registration = serde_json::json!({"id": "00000000-0000-0000-0000-000000000007", "status": "confirmed",
            "node": "0b8326a221c00000", "stamp": "1.0@0b8326a221c00000", "accepted_at": "2026-03-01T12:00:00.000Z"});
        serde_json::from_value(serde_json::json!({"specversion": "1.0", "id": id, "source": SOURCE,
            "type": "forename.registration.confirmed", "subject": "", "time": "2026-03-01T12:00:00.000Z",
            "datacontenttype": "application/json", "data": {"registration": registration}}))
        .unwrap()
    }

    #[derive(Debug)]
    enum Failed {
        Client,
        Disk,
        Handler,
    }

    impl From<ClientError> for Failed {
        fn from(_: ClientError) -> Self {
            Self::Client
        }
    }

    impl From<io::Error> for Failed {
        fn from(_: io::Error) -> Self {
            Self::Disk
        }
    }

    type Told = Arc<Mutex<Vec<String>>>;

    /// Opens the file, with a handler that fails at the event "bad".
    fn open(path: &Path, told: &Told) -> io::Result<impl FeedStore<Error = Failed> + use<>> {
        let (handled, gaps) = (Arc::clone(told), Arc::clone(told));
        let handle = move |event: Event| {
            handled.lock().unwrap().push(event.id.clone());
            ready(if event.id == "bad" { Err(Failed::Handler) } else { Ok(()) })
        };
        let gap = move |_: Client| {
            gaps.lock().unwrap().push("gap".to_owned());
            ready(Ok(()))
        };
        FileStore::open(path, handle, gap)
    }

    #[tokio::test]
    async fn an_event_is_handled_once_also_by_the_next_process_and_from_another_feed() {
        let dir = tempfile::tempdir().unwrap();
        let (path, told) = (dir.path().join("feed"), Told::default());
        let (node, cursor) = (Client::new("http://127.0.0.1:9").unwrap(), |text: &str| text.parse().unwrap());
        let mut store = open(&path, &told).unwrap();
        assert_eq!(store.cursor(SOURCE).await.unwrap(), None);
        store.restart(SOURCE, cursor("ff-0"), Restart::New, &node).await.unwrap();
        store.apply(SOURCE, cursor("ff-1"), &event("a")).await.unwrap();
        store.apply("/nodes/other", cursor("ee-9"), &event("a")).await.unwrap();
        assert!(matches!(store.apply(SOURCE, cursor("ff-2"), &event("bad")).await, Err(Failed::Handler)));
        drop(store);
        // A crash has cut off a line, in the middle of a character.
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"source\":\"/no\xc3").unwrap();

        let mut store = open(&path, &told).unwrap();
        assert_eq!(store.cursor(SOURCE).await.unwrap(), Some(cursor("ff-1")), "the one that failed comes again");
        assert_eq!(store.cursor("/nodes/other").await.unwrap(), Some(cursor("ee-9")));
        assert!(open(&path, &told).is_err_and(|error| error.to_string().contains("in use")), "one at a time");
        store.apply(SOURCE, cursor("ff-2"), &event("b")).await.unwrap();
        store.apply(SOURCE, cursor("ff-3"), &event("a")).await.unwrap();
        store.restart(SOURCE, cursor("dd-0"), Restart::EventsCompacted, &node).await.unwrap();
        assert_eq!(*told.lock().unwrap(), ["a", "bad", "b", "gap"]);
        drop(store);
        assert_eq!(open(&path, &told).unwrap().cursor(SOURCE).await.unwrap(), Some(cursor("dd-0")));
        for other in ["something else\n", "something else", "{\"a\": 1}\n"] {
            std::fs::write(&path, other).unwrap();
            assert!(open(&path, &told).is_err(), "a file of something else is left alone");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        }
    }
}
