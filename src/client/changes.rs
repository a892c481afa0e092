//! Calls that change registrations.

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use uuid::Uuid;

use super::{Client, Result};
use crate::model::{ExtensionBody, Registration, Span};

impl Client {
    /// Makes a reservation permanent. That may be repeated without harm. So with several nodes the next one is asked
    /// also where one may have done it and did not answer.
    ///
    /// # Errors
    /// [`TooLate`](crate::model::ProblemType::TooLate) where the reservation has ended or lost.
    pub async fn activate(&self, id: Uuid) -> Result<Registration> {
        let request = self.change(Method::POST, &["v1", "registrations", &id.to_string(), "activate"], &[])?;
        self.answer_of(request, true).await
    }

    /// Makes a reservation last for this long from now on. One that lasts longer anyway is not changed.
    ///
    /// # Errors
    /// [`TooLate`](crate::model::ProblemType::TooLate) where the reservation has ended or lost,
    /// [`Permanent`](crate::model::ProblemType::Permanent) where the registration is not a reservation.
    pub async fn extend(&self, id: Uuid, ttl: Duration) -> Result<Registration> {
        let request = self.change(Method::POST, &["v1", "registrations", &id.to_string(), "extend"], &[])?;
        self.answer(request.json(&ExtensionBody { ttl: Span(ttl) })).await
    }

    /// Releases all names of a registration.
    ///
    /// # Errors
    /// [`TooLate`](crate::model::ProblemType::TooLate) where the registration has ended or lost.
    pub async fn release(&self, id: Uuid) -> Result<Registration> {
        self.answer(self.change(Method::DELETE, &["v1", "registrations", &id.to_string()], &[])?).await
    }

    /// Releases all names of a registration, and has its owner, names and metadata erased at all nodes. They are erased
    /// once the release is final ([`Registration::erased`]). A registration that is over already can be erased too.
    ///
    /// # Errors
    /// The node cannot be reached or refuses.
    pub async fn erase(&self, id: Uuid) -> Result<Registration> {
        let query = [("erase", "true".to_owned())];
        self.answer(self.change(Method::DELETE, &["v1", "registrations", &id.to_string()], &query)?).await
    }

    /// Releases one name of an owner.
    ///
    /// # Errors
    /// [`NotHeld`](crate::model::ProblemType::NotHeld) where the owner does not hold the name.
    pub async fn release_name(&self, namespace: &str, name: &str, owner: &str) -> Result<Registration> {
        let query = [("owner", owner.to_owned())];
        self.answer(self.call(Method::DELETE, &["v1", "names", namespace, name], &query)?).await
    }

    /// Makes the request of a change, with the owner of [`Client::for_owner`] where there is one.
    fn change(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> Result<RequestBuilder> {
        let owner = self.owner.iter().map(|owner| ("owner", owner.clone()));
        self.call(method, path, &query.iter().cloned().chain(owner).collect::<Vec<_>>())
    }
}
