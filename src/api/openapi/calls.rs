//! Descriptions of all calls of the interface for the OpenAPI document. The table of routes names one for each call.

use utoipa::ToSchema;
use utoipa::openapi::Ref;
use utoipa::openapi::schema::Object;

use super::call::{CLUSTER, Call, DOCUMENTS, EVENTS, NAMES, NAMESPACES, PROBES, REGISTRATIONS, WEBHOOKS};
use crate::api::{cluster as members, events as feed, names, namespaces, reading, registrations};
use crate::model::ProblemType::{
    BodyTooLarge, CursorUnknown, Departed, DiskLow, EventsCompacted, IdReused, InvalidName, LastMember, Leaving,
    NameTaken, NamespaceInUse, NoMajority, NoMember, NoRegistration, NoWebhook, NotHeld, NotInContact, NotMember,
    NotOwner, Permanent, RegistrationRejected, RulesChanged, TooLate, TooManyExtensions, TooManyHeld, TooManyOpen,
    Unavailable,
};
use crate::model::limits::MAX_CHECKED;
use crate::model::{
    BatchLine, CheckedNames, Cluster, ClusterSettingsBody, Conflicts, Cursor, DeadLetters, Events, Explanation,
    ExtensionBody, History, NDJSON, Name, NameRef, Namespace, NamespaceBody, NamespacePatch, Namespaces, Registration,
    RegistrationBody, Registrations, Replayed, RotationBody, TakenNames, TokenBody, TokenIssued, Webhook, WebhookBody,
    WebhookPatch, WebhookTest, Webhooks,
};

pub(in crate::api) fn register() -> Call {
    let key = Object::builder().schema_type(utoipa::openapi::Type::String).pattern(Some("^[!-~]{1,256}$")).build();
    Call::new(REGISTRATIONS, "register", "Register names, all or none")
        .says(
            "Choose the `id` and write it down before you ask: with the same id the request may be sent again, to this node \
             or to another, and stays one registration.",
        )
        .header("Idempotency-Key", "Stands for the `id`: a UUID is the id, any other text makes one.", key)
        .takes::<RegistrationBody>()
        .gives::<Registration>(201, "Confirmed: the names are the owner's.")
        .gives::<Registration>(202, "Pending: accepted, and the outcome is open.")
        .located(201)
        .located(202)
        .refuses(&[NameTaken, RegistrationRejected, IdReused, BodyTooLarge, InvalidName, TooManyOpen, TooManyHeld, DiskLow])
}

pub(in crate::api) fn register_batch() -> Call {
    Call::new(REGISTRATIONS, "registerBatch", "Register many")
        .says("The answers come line by line, in the order of the lines and while you send: read them meanwhile.")
        .takes_lines::<RegistrationBody>(NDJSON)
        .gives_lines::<BatchLine>(NDJSON, "Lines of JSON, each a `BatchLine`.")
}

pub(in crate::api) fn registration() -> Call {
    Call::new(REGISTRATIONS, "getRegistration", "Tell what became of a registration")
        .query::<registrations::ShowParams>()
        .gives::<Registration>(200, "The registration as it stands.")
        .refuses(&[NoRegistration])
}

pub(in crate::api) fn release() -> Call {
    Call::new(REGISTRATIONS, "releaseRegistration", "Release all names of a registration")
        .query::<registrations::ReleaseParams>()
        .gives::<Registration>(200, "The registration, with `released` at each name that was given up.")
        .refuses(&[NoRegistration, NotOwner, TooLate])
}

pub(in crate::api) fn activate() -> Call {
    Call::new(REGISTRATIONS, "activate", "Make a reservation permanent")
        .query::<registrations::ForOwner>()
        .gives::<Registration>(200, "The registration.")
        .refuses(&[NoRegistration, NotOwner, TooLate])
}

pub(in crate::api) fn extend() -> Call {
    Call::new(REGISTRATIONS, "extend", "Have a reservation last longer")
        .query::<registrations::ForOwner>()
        .takes::<ExtensionBody>()
        .gives::<Registration>(200, "The registration.")
        .refuses(&[NoRegistration, NotOwner, TooLate, Permanent, TooManyExtensions])
}

pub(in crate::api) fn explain_registration() -> Call {
    Call::new(REGISTRATIONS, "explainRegistration", "Explain why a registration is where it is")
        .gives::<Explanation>(200, "Why, in words.")
        .refuses(&[NoRegistration])
}

pub(in crate::api) fn of_owner() -> Call {
    Call::new(REGISTRATIONS, "listRegistrationsOfOwner", "List an owner's registrations")
        .query::<registrations::OwnerParams>()
        .gives::<Registrations>(200, "A page of them, earliest first.")
}

pub(in crate::api) fn list_all() -> Call {
    Call::new(NAMES, "listNames", "List the taken names of all namespaces")
        .query::<reading::ListAllParams>()
        .gives::<TakenNames>(200, "A page of them; it may be short or empty although there is a `next`.")
}

pub(in crate::api) fn check() -> Call {
    Call::new(NAMES, "checkNames", "Tell which names can be had")
        .says("Do not check first: register, and look at the answer. A name that is free now may be gone then.")
        .takes_list::<NameRef>(MAX_CHECKED)
        .gives::<CheckedNames>(200, "Each of them, in the order asked for.")
}

pub(in crate::api) fn list() -> Call {
    Call::new(NAMES, "listNamesOfNamespace", "List the taken names of a namespace")
        .query::<reading::ListParams>()
        .gives::<TakenNames>(200, "A page of them; it may be short or empty although there is a `next`.")
}

pub(in crate::api) fn history() -> Call {
    Call::new(NAMES, "getHistory", "Tell who has held a name")
        .query::<reading::HistoryParams>()
        .gives::<History>(200, "A page of its tenures, earliest first.")
        .refuses(&[InvalidName])
}

pub(in crate::api) fn explain_name() -> Call {
    Call::new(NAMES, "explainName", "Explain why a name is taken, or free")
        .gives::<Explanation>(200, "Why, in words.")
        .refuses(&[InvalidName])
}

pub(in crate::api) fn name() -> Call {
    Call::new(NAMES, "getName", "Tell who holds a name")
        .query::<names::ShowParams>()
        .gives::<Name>(200, "The name, taken or free.")
        .refuses(&[InvalidName])
}

pub(in crate::api) fn release_name() -> Call {
    Call::new(NAMES, "releaseName", "Release one name")
        .query::<names::ReleaseParams>()
        .gives::<Registration>(200, "The registration that holds it, with `released` at the name.")
        .refuses(&[NotHeld, InvalidName])
}

pub(in crate::api) fn conflicts() -> Call {
    Call::new(NAMES, "listConflicts", "List the names that were claimed more than once")
        .query::<reading::ConflictParams>()
        .gives::<Conflicts>(200, "A page of them, each with all claims, the winner's first.")
}

pub(in crate::api) fn namespaces() -> Call {
    Call::new(NAMESPACES, "listNamespaces", "List the namespaces")
        .query::<namespaces::ListParams>()
        .gives::<Namespaces>(200, "A page of them, in the order of their names.")
}

pub(in crate::api) fn namespace() -> Call {
    Call::new(NAMESPACES, "getNamespace", "Show the rules of a namespace")
        .gives::<Namespace>(200, "The rules in force at this node.")
}

pub(in crate::api) fn set_namespace() -> Call {
    Call::new(NAMESPACES, "setNamespace", "Set the rules of a namespace whole")
        .takes::<NamespaceBody>()
        .gives::<Namespace>(200, "The rules as they are now.")
        .refuses(&[RulesChanged, NamespaceInUse])
}

pub(in crate::api) fn change_namespace() -> Call {
    Call::new(NAMESPACES, "changeNamespace", "Change some rules of a namespace")
        .takes::<NamespacePatch>()
        .gives::<Namespace>(200, "The rules as they are now.")
        .refuses(&[RulesChanged, NamespaceInUse])
}

pub(in crate::api) fn events() -> Call {
    Call::new(EVENTS, "listEvents", "Read the event feed of this node")
        .says(
            "A page of events, or, with `Accept: text/event-stream`, the feed as it grows: each message has the cursor as its \
             `id` and the event as its data; a message without data tells how far the reader has come.",
        )
        .query::<feed::FeedParams>()
        .header(
            "Last-Event-ID",
            "The cursor after which a stream that was cut off goes on.",
            Ref::from_schema_name(Cursor::name()),
        )
        .gives::<Events>(200, "A page of the feed, or the feed as a stream.")
        .gives_as(200, "text/event-stream", "")
        .refuses(&[CursorUnknown, EventsCompacted])
}

pub(in crate::api) fn cluster() -> Call {
    let what = "The cluster as this node sees it.";
    Call::new(CLUSTER, "getCluster", "Show the cluster").gives::<Cluster>(200, what)
}

pub(in crate::api) fn configure() -> Call {
    Call::new(CLUSTER, "changeSettings", "Change settings of the cluster")
        .takes::<ClusterSettingsBody>()
        .gives::<Cluster>(200, "The cluster with its settings.")
}

pub(in crate::api) fn evict() -> Call {
    Call::new(CLUSTER, "evict", "Evict a member that is out of reach for good")
        .query::<members::EvictParams>()
        .gives::<Cluster>(202, "The eviction is under way; it is done once all who stay have joined in.")
        .refuses(&[NoMember, NoMajority, NotInContact])
}

pub(in crate::api) fn ban() -> Call {
    Call::new(CLUSTER, "ban", "Keep a node's key out")
        .gives::<Cluster>(200, "The cluster, with the node among `banned`.")
        .refuses(&[NoMember])
}

pub(in crate::api) fn unban() -> Call {
    Call::new(CLUSTER, "unban", "Let a node's key in again")
        .gives::<Cluster>(200, "The cluster, without the node among `banned`.")
        .refuses(&[NoMember])
}

pub(in crate::api) fn rotate_secret() -> Call {
    Call::new(CLUSTER, "rotateSecret", "Give the cluster another secret")
        .gives::<Cluster>(200, "The cluster. Join tokens that were made before let nobody in any more.")
}

pub(in crate::api) fn leave() -> Call {
    Call::new(CLUSTER, "leave", "Have this node leave the cluster")
        .gives::<Cluster>(202, "The node is leaving; it stops once the others hold what it holds.")
        .refuses(&[LastMember, Departed])
}

pub(in crate::api) fn stay() -> Call {
    Call::new(CLUSTER, "stay", "Have this node stay after all")
        .gives::<Cluster>(200, "The node stays.")
        .refuses(&[Departed])
}

pub(in crate::api) fn backup() -> Call {
    Call::new(CLUSTER, "backup", "Take a backup of this node").gives_as(
        200,
        "application/octet-stream",
        "A file for `forename restore`. It ends whole, or the connection breaks.",
    )
}

pub(in crate::api) fn mint_token() -> Call {
    Call::new(CLUSTER, "makeJoinToken", "Make a join token")
        .may_take::<TokenBody>()
        .gives::<TokenIssued>(201, "A token for newcomers.")
}

pub(in crate::api) fn webhooks() -> Call {
    Call::new(WEBHOOKS, "listWebhooks", "List the webhooks")
        .says("`delivery` is how the node that answers stands; each node delivers on its own.")
        .gives::<Webhooks>(200, "All of them, without their secrets.")
}

pub(in crate::api) fn make_webhook() -> Call {
    Call::new(WEBHOOKS, "makeWebhook", "Make a webhook")
        .says("All nodes deliver events to it once they know of it. The answer alone has the secret.")
        .takes::<WebhookBody>()
        .gives::<Webhook>(201, "The webhook, with its secret.")
        .located(201)
        .refuses(&[Unavailable])
}

pub(in crate::api) fn webhook() -> Call {
    Call::new(WEBHOOKS, "getWebhook", "Show a webhook")
        .gives::<Webhook>(200, "The webhook, without its secret.")
        .refuses(&[NoWebhook])
}

pub(in crate::api) fn change_webhook() -> Call {
    Call::new(WEBHOOKS, "changeWebhook", "Change a webhook, stop it, or let it go on")
        .takes::<WebhookPatch>()
        .gives::<Webhook>(200, "The webhook as it is now.")
        .refuses(&[NoWebhook])
}

pub(in crate::api) fn remove_webhook() -> Call {
    Call::new(WEBHOOKS, "removeWebhook", "Remove a webhook, with what waits for it and its dead letters")
        .gives::<Webhook>(200, "The webhook as it was.")
        .refuses(&[NoWebhook])
}

pub(in crate::api) fn rotate_webhook() -> Call {
    Call::new(WEBHOOKS, "rotateWebhookSecret", "Give a webhook another secret")
        .says("Deliveries are signed with both for a while, so that the receiver can change over.")
        .takes::<RotationBody>()
        .gives::<Webhook>(200, "The webhook, with its new secret.")
        .refuses(&[NoWebhook])
}

pub(in crate::api) fn test_webhook() -> Call {
    Call::new(WEBHOOKS, "testWebhook", "Post a test event from the node that answers")
        .gives::<WebhookTest>(200, "Whether the receiver took it.")
        .refuses(&[NoWebhook, Unavailable])
}

pub(in crate::api) fn replay_webhook() -> Call {
    Call::new(WEBHOOKS, "replayWebhook", "Deliver the dead letters of the node that answers anew")
        .gives::<Replayed>(200, "How many.")
        .refuses(&[NoWebhook, Unavailable])
}

pub(in crate::api) fn dead_letters() -> Call {
    Call::new(WEBHOOKS, "listDeadLetters", "List the dead letters of the node that answers")
        .gives::<DeadLetters>(200, "All of them, with their events.")
        .refuses(&[NoWebhook, Unavailable])
}

pub(in crate::api) fn healthz() -> Call {
    let what = "The process lives; nothing else was asked.";
    Call::new(PROBES, "healthz", "Tell whether the process lives").gives_members(200, what, &["status"])
}

pub(in crate::api) fn readyz() -> Call {
    Call::new(PROBES, "readyz", "Tell whether the node takes registrations")
        .gives_members(200, "It does.", &["status", "node"])
        .refuses(&[NotMember, Leaving, Unavailable, DiskLow])
}

pub(in crate::api) fn metrics() -> Call {
    Call::new(PROBES, "getMetrics", "Show what the node counts and measures").gives_as(
        200,
        "text/plain",
        "The metrics, as Prometheus reads them.",
    )
}

pub(in crate::api) fn document() -> Call {
    Call::new(DOCUMENTS, "getOpenApi", "Show this document").gives_members(
        200,
        "The OpenAPI document of the interface.",
        &["openapi"],
    )
}

pub(in crate::api) fn page() -> Call {
    Call::new(DOCUMENTS, "getDocs", "Show this document as a page").gives_as(200, "text/html", "A page for people.")
}
