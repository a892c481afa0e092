//! The read model: accounts, the position in the feed, and mails to people. `schema.sql` has the tables.

use std::time::Duration;

use forename::model::{Cursor, EndReason, Event, Registration, Status};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Config, NoTls, Row, Transaction};
use uuid::Uuid;

use crate::Failure;

/// The address of PostgreSQL.
pub(crate) struct Database(Config);

impl Database {
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        Ok(Self(url.parse()?))
    }

    /// Opens a connection. A busy application would take one from a pool, such as deadpool-postgres.
    pub(crate) async fn connect(&self) -> Result<Connection, Failure> {
        // No TLS is needed on the machine itself. For a database elsewhere use for example tokio-postgres-rustls.
        let (client, connection) = self.0.connect(NoTls).await?;
        // The task ends with the client, and errors reach the users of the client.
        tokio::spawn(connection);
        Ok(Connection(client))
    }
}

/// A sign-up as a visitor asked for it.
pub(crate) struct SignUp {
    pub(crate) owner: Uuid,
    pub(crate) registration: Uuid,
    pub(crate) display_name: String,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
}

/// The result of storing a sign-up.
pub(crate) enum Written {
    /// The sign-up is new, so forename is to be asked for it.
    New,
    /// The form was sent before; this is the registration that it made then.
    Again(Uuid),
    /// This person's earlier sign-up is under way or done.
    Other,
}

/// The state of a sign-up; see `schema.sql`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, strum::IntoStaticStr, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Standing {
    Requested,
    Pending,
    Reserved,
    Active,
    Unavailable,
    Ended,
}

impl Standing {
    /// Returns the standing that a registration leads to.
    fn of(registration: &Registration) -> Self {
        match registration.status {
            Status::Pending | Status::Contested => Self::Pending,
            Status::Rejected => Self::Unavailable,
            Status::Confirmed if registration.names.iter().any(|claim| claim.ended.is_some()) => Self::Ended,
            Status::Confirmed if registration.expires_at.is_some() && !registration.activated => Self::Reserved,
            Status::Confirmed => Self::Active,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        self.into()
    }

    fn from_text(text: &str) -> Result<Self, Failure> {
        text.parse().map_err(|_| format!("the database has a standing {text:?}").into())
    }
}

/// An account, for its page.
pub(crate) struct Account {
    pub(crate) sign_up: SignUp,
    pub(crate) standing: Standing,
    pub(crate) notices: Vec<Mail>,
}

/// A mail to somebody.
pub(crate) struct Mail {
    pub(crate) address: Option<String>,
    pub(crate) body: String,
    pub(crate) link: Option<String>,
}

pub(crate) struct Connection(Client);

const SIGN_UP: &str = "owner, registration, display_name, username, email";

fn sign_up(row: &Row) -> Result<SignUp, tokio_postgres::Error> {
    Ok(SignUp {
        owner: row.try_get("owner")?,
        registration: row.try_get("registration")?,
        display_name: row.try_get("display_name")?,
        username: row.try_get("username")?,
        email: row.try_get("email")?,
    })
}

fn mail(row: &Row) -> Result<Mail, Failure> {
    Ok(Mail { address: row.try_get("address")?, body: row.try_get("body")?, link: row.try_get("link")? })
}

/// The calls for visitors.
impl Connection {
    /// Stores a sign-up, before any node is asked for it. A person who got no name, or lost it, may sign up again with
    /// another one.
    pub(crate) async fn write(&mut self, sign_up: &SignUp) -> Result<Written, Failure> {
        let SignUp { owner, registration, display_name, username, email } = sign_up;
        let statement = "insert into account (owner, registration, display_name, username, email)
             values ($1, $2, $3, $4, $5)
             on conflict (owner) do update
             set registration = excluded.registration, display_name = excluded.display_name,
                 username = excluded.username, email = excluded.email,
                 standing = 'requested', secret = null, asked_at = now()
             where account.standing in ('unavailable', 'ended')";
        if self.0.execute(statement, &[owner, registration, display_name, username, email]).await? == 1 {
            return Ok(Written::New);
        }
        let statement = "select registration from account
             where owner = $1 and username = $2 and email is not distinct from $3";
        let same = self.0.query_opt(statement, &[owner, username, email]).await?;
        Ok(match same {
            Some(row) => Written::Again(row.try_get(0)?),
            None => Written::Other,
        })
    }

    /// Marks a sign-up as refused, where the visitor is told so on the same page. A mail about it, which the feed may
    /// have led to meanwhile, is not needed any more.
    pub(crate) async fn refused(&mut self, registration: Uuid) -> Result<(), Failure> {
        let transaction = self.0.transaction().await?;
        let statement = "update account set standing = 'unavailable'
             where registration = $1 and standing < 'reserved'";
        transaction.execute(statement, &[&registration]).await?;
        let statement = "delete from mail where registration = $1 and about = 'unavailable' and sent_at is null";
        transaction.execute(statement, &[&registration]).await?;
        Ok(transaction.commit().await?)
    }

    /// Marks a sign-up as refused where the visitor is gone, and queues a mail.
    pub(crate) async fn refused_unseen(&mut self, registration: Uuid, why: &str) -> Result<(), Failure> {
        let transaction = self.0.transaction().await?;
        let body = format!("Sorry, you did not get the name you asked for: {why}. Please choose another one.");
        advance(&transaction, registration, Standing::Unavailable, Some(&body)).await?;
        Ok(transaction.commit().await?)
    }

    pub(crate) async fn account(&self, owner: Uuid) -> Result<Option<Account>, Failure> {
        let statement = format!("select {SIGN_UP}, standing::text from account where owner = $1");
        let Some(row) = self.0.query_opt(&statement, &[&owner]).await? else { return Ok(None) };
        let (sign_up, standing) = (sign_up(&row)?, Standing::from_text(row.try_get("standing")?)?);
        let statement = "select address, body, link from mail where registration = $1 order by id";
        let rows = self.0.query(statement, &[&sign_up.registration]).await?;
        Ok(Some(Account { sign_up, standing, notices: rows.iter().map(mail).collect::<Result<_, _>>()? }))
    }

    /// Finds the sign-up whose address the link with this secret verifies.
    pub(crate) async fn by_secret(&self, secret: Uuid) -> Result<Option<SignUp>, Failure> {
        let statement = format!("select {SIGN_UP} from account where secret = $1");
        let row = self.0.query_opt(&statement, &[&secret]).await?;
        Ok(row.as_ref().map(sign_up).transpose()?)
    }

    /// Returns the latest mails, newest first.
    pub(crate) async fn outbox(&self) -> Result<Vec<Mail>, Failure> {
        let statement = "select address, body, link from mail where address is not null order by id desc limit 100";
        self.0.query(statement, &[]).await?.iter().map(mail).collect()
    }

    /// Returns sign-ups that are older than this and that no node is known to have accepted or refused.
    pub(crate) async fn unanswered(&self, older_than: Duration) -> Result<Vec<SignUp>, Failure> {
        let statement = format!(
            "select {SIGN_UP} from account
             where standing = 'requested' and asked_at <= now() - $1 * interval '1 second' order by asked_at"
        );
        let statement = self.0.prepare_typed(&statement, &[Type::FLOAT8]).await?;
        let rows = self.0.query(&statement, &[&older_than.as_secs_f64()]).await?;
        Ok(rows.iter().map(sign_up).collect::<Result<_, _>>()?)
    }
}

/// The calls for the feed.
impl Connection {
    /// Returns the cursor up to which a node's feed has been applied; none where it was never read.
    pub(crate) async fn cursor(&self, source: &str) -> Result<Option<Cursor>, Failure> {
        let row = self.0.query_opt("select cursor from feed where source = $1", &[&source]).await?;
        row.map(|row| row.try_get::<_, &str>(0)?.parse().map_err(Failure::from)).transpose()
    }

    /// Sets the cursor of a node's feed.
    pub(crate) async fn set_cursor(&self, source: &str, cursor: Cursor) -> Result<(), Failure> {
        let statement = "insert into feed (source, cursor) values ($1, $2)
             on conflict (source) do update set cursor = excluded.cursor";
        self.0.execute(statement, &[&source, &cursor.to_string()]).await?;
        Ok(())
    }

    /// Applies an event and moves the cursor in one transaction. Where the application is killed, it goes on with the
    /// first event whose transaction was not committed. An event that is applied again, by a second process or because
    /// a new feed repeats it, changes nothing, so the ids of events need not be stored.
    pub(crate) async fn apply(&mut self, source: &str, cursor: Cursor, event: &Event) -> Result<(), Failure> {
        let transaction = self.0.transaction().await?;
        let statement = "update feed set cursor = $2 where source = $1";
        transaction.execute(statement, &[&source, &cursor.to_string()]).await?;
        learn(&transaction, &event.data.registration).await?;
        Ok(transaction.commit().await?)
    }

    /// Applies the state of a registration that was read from a node and not from its feed.
    pub(crate) async fn learn(&mut self, registration: &Registration) -> Result<(), Failure> {
        let transaction = self.0.transaction().await?;
        learn(&transaction, registration).await?;
        Ok(transaction.commit().await?)
    }

    /// Ends a registration that a node had and does not know any more. It has been over for so long that the node
    /// forgot it.
    pub(crate) async fn forgotten(&mut self, registration: Uuid) -> Result<(), Failure> {
        let transaction = self.0.transaction().await?;
        let body = "Your names are no longer yours. Please choose others.";
        advance(&transaction, registration, Standing::Ended, Some(body)).await?;
        Ok(transaction.commit().await?)
    }

    /// Returns the registrations whose state may still change, and whether a node is known to have accepted them.
    pub(crate) async fn open(&self) -> Result<Vec<(Uuid, bool)>, Failure> {
        let statement = "select registration, standing > 'requested' from account where standing < 'unavailable'";
        let rows = self.0.query(statement, &[]).await?;
        Ok(rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, tokio_postgres::Error>>()?)
    }
}

/// The only place where a registration changes an account. An event contains the registration as it was when the event
/// was told, so the type of the event is not needed, and a registration that was read from a node is applied in the
/// same way.
async fn learn(transaction: &Transaction<'_>, registration: &Registration) -> Result<(), Failure> {
    let standing = Standing::of(registration);
    let typed = registration.names.first().map_or("your name", |claim| claim.name.as_str());
    let body = match standing {
        Standing::Requested | Standing::Pending | Standing::Active => None,
        Standing::Reserved => Some(format!("The name {typed} is yours once you have verified this address.")),
        Standing::Unavailable => {
            let lost = registration.rejected_by.as_ref().map_or(typed, |by| by.name.as_str());
            Some(format!(
                "Sorry, {lost} is not available after all: somebody else asked for it before you did. \
                 Please choose another one."
            ))
        }
        Standing::Ended if registration.names.iter().any(|claim| claim.ended == Some(EndReason::Expired)) => {
            Some(format!("This address was not verified in time, so the name {typed} is free again."))
        }
        Standing::Ended => Some(format!("The name {typed} is no longer yours.")),
    };
    advance(transaction, registration.id, standing, body.as_deref()).await
}

/// Moves an account to a later standing, never to an earlier one, and queues the mail about it in the same transaction,
/// so that it is sent once. Does nothing for a registration that belongs to no account: it belongs to another
/// application of the same cluster, or to an attempt that the visitor has replaced by another.
async fn advance(
    transaction: &Transaction<'_>,
    registration: Uuid,
    standing: Standing,
    body: Option<&str>,
) -> Result<(), Failure> {
    let statement = "update account
         set standing = $2::text::standing,
             secret = case when $2::text = 'reserved' then gen_random_uuid() else secret end
         where registration = $1 and standing < $2::text::standing
         returning owner, email, secret";
    let Some(row) = transaction.query_opt(statement, &[&registration, &standing.text()]).await? else {
        return Ok(());
    };
    let Some(body) = body else { return Ok(()) };
    let (owner, address): (Uuid, Option<String>) = (row.try_get("owner")?, row.try_get("email")?);
    let link = match (standing, row.try_get::<_, Option<Uuid>>("secret")?) {
        (Standing::Reserved, Some(secret)) => format!("/verify/{secret}"),
        _ => format!("/account/{owner}"),
    };
    let statement = "insert into mail (owner, registration, about, address, body, link)
         values ($1, $2, $3::text::standing, $4, $5, $6)";
    transaction.execute(statement, &[&owner, &registration, &standing.text(), &address, &body, &link]).await?;
    Ok(())
}
