//! From what clients send to the replica's requests, and from the replica's answers to what clients are shown.

mod cluster;
mod namespace;
#[cfg(test)]
mod tests;

use crate::clock::NodeId;
use crate::model::{
    CheckedName, Conflict, ConflictStatus, Conflicts, Contender, Event, EventData, History, Metadata, Name, NameRef,
    NameStatus, Registration, RegistrationBody, Registrations, Span, TakenName, TakenNames, Tenure, Time,
};
use crate::replica::{
    self, AwaitFinal, HistoryPage, ListedName, NameRequest, NameView, Refusal, RegisterRequest, RegistrationView,
    TenureClaim, TenureView,
};

impl From<NameRef> for NameRequest {
    fn from(NameRef { namespace, name }: NameRef) -> Self {
        Self { namespace, name }
    }
}

impl RegistrationBody {
    /// The request to the replica; `wait` as the server caps it.
    pub(crate) fn into_request(self, wait: Option<AwaitFinal>) -> RegisterRequest {
        let replaces = self.replaces.map(|replaces| replica::Replaces {
            registration: replaces.registration,
            name: NameRequest { namespace: replaces.namespace, name: replaces.name },
        });
        RegisterRequest {
            id: self.id,
            owner: self.owner,
            names: self.names.into_iter().map(Into::into).collect(),
            ttl: self.ttl.map(Span::millis),
            replaces,
            metadata: self.metadata.map(|metadata| metadata.as_str().to_owned()),
            wait,
            ..RegisterRequest::default()
        }
    }
}

impl From<RegistrationView> for Registration {
    fn from(view: RegistrationView) -> Self {
        Self {
            id: view.id,
            owner: view.owner,
            status: view.status,
            names: if view.erased { Vec::new() } else { view.names },
            erased: view.erased,
            node: view.node,
            stamp: view.stamp,
            accepted_at: Time(view.stamp.hlc.millis()),
            expires_at: view.expires.map(Time),
            activated: view.activated,
            // It was checked when it came in; should a store hold anything else, the rest of the answer still counts.
            metadata: view.metadata.and_then(|text| Metadata::new(text).ok()),
            waiting_for: view.waiting_for,
            rejected_by: view.rejected_by,
        }
    }
}

impl Registrations {
    /// A page of at most so many rows.
    pub(crate) fn of(views: Vec<RegistrationView>, limit: usize) -> Self {
        let next = if views.len() < limit { None } else { views.last().map(|view| view.id) };
        Self { registrations: views.into_iter().map(Into::into).collect(), next }
    }
}

impl From<NameView> for Name {
    fn from(view: NameView) -> Self {
        Self {
            namespace: view.namespace,
            name: view.name,
            key: view.key,
            available: view.status == NameStatus::Available,
            status: view.status,
            registration: view.registration,
            since: view.since.map(Time),
            looks_like: view.looks_like,
            free_at: view.free_at.map(Time),
            suggestions: Vec::new(),
        }
    }
}

impl From<TenureClaim> for Contender {
    fn from(claim: TenureClaim) -> Self {
        Self {
            registration: claim.registration,
            owner: claim.owner,
            name: claim.name,
            node: claim.stamp.node,
            label: claim.label,
            stamp: claim.stamp,
            accepted_at: Time(claim.stamp.hlc.millis()),
            status: claim.status,
            twin: claim.twin,
            released: claim.released,
            ended: claim.ended,
            rejected_at: claim.rejected_at.map(Time),
        }
    }
}

impl Tenure {
    /// None for a tenure without claims, which no node has.
    fn new(view: TenureView) -> Option<Self> {
        let mut claims = view.claims.into_iter().map(Contender::from);
        let holder = claims.next()?;
        Some(Self { since: holder.accepted_at, until: view.until.map(Time), losers: claims.collect(), holder })
    }
}

impl From<HistoryPage> for History {
    fn from(page: HistoryPage) -> Self {
        let tenures = page.tenures.into_iter().filter_map(Tenure::new).collect();
        Self { namespace: page.namespace, name: page.name, key: page.key, tenures, next: page.next }
    }
}

impl Conflict {
    fn new(conflict: replica::Conflict) -> Option<Self> {
        let status = if conflict.is_final() { ConflictStatus::Final } else { ConflictStatus::Open };
        let winner = conflict.tenure.claims.first()?.registration;
        Some(Self {
            namespace: conflict.namespace,
            key: conflict.key,
            status,
            winner,
            why: conflict.precedence,
            claims: conflict.tenure.claims.into_iter().map(Into::into).collect(),
            final_at: conflict.final_at.map(Time),
        })
    }
}

impl From<replica::ConflictPage> for Conflicts {
    fn from(page: replica::ConflictPage) -> Self {
        let conflicts = page.conflicts.into_iter().filter_map(Conflict::new).collect();
        Self { conflicts, next: page.next }
    }
}

impl From<ListedName> for TakenName {
    fn from(name: ListedName) -> Self {
        Self {
            namespace: name.namespace,
            name: name.name,
            key: name.key,
            status: name.status,
            owner: name.owner,
            registration: name.registration,
            since: Time(name.since),
            expires_at: name.expires.map(Time),
            metadata: name.metadata.and_then(|text| Metadata::new(text).ok()),
        }
    }
}

impl From<replica::NamePage> for TakenNames {
    fn from(page: replica::NamePage) -> Self {
        Self { names: page.names.into_iter().map(Into::into).collect(), next: page.next }
    }
}

impl CheckedName {
    pub(crate) fn new(asked: NameRef, view: Result<NameView, Refusal>) -> Self {
        let NameRef { namespace, name } = asked;
        let (available, key, status, reason) = match view {
            Ok(view) => (view.status == NameStatus::Available, Some(view.key), Some(view.status), None),
            Err(Refusal::InvalidName { reason, .. }) => (false, None, None, Some(reason)),
            Err(refusal) => (false, None, None, Some(refusal.to_string())),
        };
        Self { namespace, name, available, key, status, reason }
    }
}

impl Event {
    /// An event of this node's feed; the cursor is shown.
    pub(crate) fn new(node: NodeId, event: replica::Event) -> Self {
        let id = event.id();
        let registration = Registration::from(event.registration);
        let (name, reason) = event.ended.map(|end| (end.name, end.reason)).unzip();
        let name = name.filter(|_| !registration.erased);
        let subject = match &name {
            // What a private name is called everywhere.
            Some(name) if name.name.is_empty() => format!("{}/{}", name.namespace, name.key),
            Some(name) => format!("{}/{}", name.namespace, name.name),
            None => registration.id.to_string(),
        };
        Self {
            specversion: "1.0".to_owned(),
            id,
            source: format!("/nodes/{node}"),
            event_type: event.event_type,
            subject,
            time: Time(event.time),
            datacontenttype: "application/json".to_owned(),
            cursor: Some(event.cursor),
            data: EventData { rejected_by: registration.rejected_by.clone(), registration, name, reason },
        }
    }
}
