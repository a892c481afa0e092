//! Which request is answered where.

use super::Writer;
use super::answer::{Answer, Outcome};
use super::refusal::Refusal;
use super::request::{Request, Token};

impl Writer<'_> {
    /// What becomes of a request about names.
    pub(crate) fn outcome_of(&mut self, token: Token, request: Request) -> Outcome {
        if !self.log.may_answer() {
            return match request {
                // What was accepted before an eviction goes on to be pending.
                Request::Registration { id, wait } if self.reader().void_registration(id).is_some() => {
                    self.on_registration(token, id, wait)
                }
                _ => Err(Refusal::NotMember),
            };
        }
        match request {
            Request::Register(request) => self.on_register(token, request),
            Request::Activate { id } => self.on_activate(token, id),
            Request::Extend { id, ttl } => self.on_extend(token, id, ttl),
            Request::Release { id } => self.on_release(token, id),
            Request::Erase { id } => self.on_erase(token, id),
            Request::ReleaseName { owner, name } => self.on_release_name(token, owner, name),
            Request::Registration { id, wait } => self.on_registration(token, id, wait),
            Request::Name(name) => self.reader().name_view(name).map(|view| Some(Answer::Name(view))),
            Request::History { name, after, limit } => {
                self.reader().history(name, after, limit).map(|page| Some(Answer::History(page)))
            }
            Request::Conflicts { namespace, since, after, limit } => {
                let page = self.reader().conflict_page(namespace.as_deref(), since, after.as_ref(), limit);
                Ok(Some(Answer::Conflicts(page)))
            }
            Request::ExplainRegistration(id) => self
                .reader()
                .explain_registration(id)
                .map(|explained| Some(Answer::RegistrationExplanation(Box::new(explained)))),
            Request::ExplainName(name) => {
                self.reader().explain_name(name).map(|explained| Some(Answer::NameExplanation(Box::new(explained))))
            }
            Request::Names(names) => self.reader().checked(names).map(|views| Some(Answer::Names(views))),
            Request::Suggest { name, count } => {
                self.reader().suggestions(&name, count).map(|names| Some(Answer::Suggestions(names)))
            }
            Request::List { namespace, prefix, after, limit } => {
                let page = self.reader().name_page(namespace.as_deref(), &prefix, after.as_ref(), limit);
                Ok(Some(Answer::List(page)))
            }
            Request::Owner { owner, after, limit } => {
                Ok(Some(Answer::Registrations(self.reader().owner_views(&owner, after, limit))))
            }
            Request::Events { after, limit, filter } => {
                self.reader().event_page(after, limit, &filter).map(|page| Some(Answer::Events(page)))
            }
            Request::Namespace(namespace) => self.reader().on_namespace(namespace),
            Request::SetNamespace { namespace, rules, if_version } => {
                self.on_set_namespace(namespace, rules, if_version)
            }
            Request::Discreet(request) => self.on_discreet(token, *request),
            Request::OnBehalf { bearer, request } => self.on_behalf(token, &bearer, *request),
            Request::Ban { .. }
            | Request::RotateSecret(_)
            | Request::Evict { .. }
            | Request::Leave { .. }
            | Request::Configure(_)
            | Request::Cluster => Err(Refusal::NeedsRead("the cluster")),
        }
    }
}
