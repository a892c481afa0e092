//! Describes in plain words the requests of clients and their answers, faults, and what each check guards.

use forename::model::Registration;
use forename::replica::any::{Answer, Answered as Reply};

use crate::plan::{Ask, Book, CopyRun, Errand, Fault, Host, Pick, Trouble, Wish};

/// Describes a client's request.
pub(crate) fn ask(ask: &Ask) -> String {
    match ask {
        Ask::Register(wish) => self::wish(wish),
        Ask::Retry(slot) => format!("the same again as request {slot}"),
        Ask::Activate(slot) => format!("activate request {slot}"),
        Ask::Extend(slot, ttl) => format!("extend request {slot} by {ttl} ms"),
        Ask::Release(slot) => format!("release all names of request {slot}"),
        Ask::Erase(slot) => format!("release and erase request {slot}"),
        Ask::ReleaseName(slot, place) => format!("release name {place} of request {slot}"),
        Ask::Show(slot, None) => format!("what became of request {slot}"),
        Ask::Show(slot, Some(wait)) => format!("what becomes of request {slot}, within {wait} ms"),
        Ask::Look(name) => format!("who holds {name}"),
        Ask::Explain(slot) => format!("why request {slot} stands as it does"),
        Ask::ExplainName(name) => format!("why {name} is whose it is"),
        Ask::History(name) => format!("who ever held {name}"),
        Ask::Conflicts => "which names were claimed more than once".to_owned(),
        Ask::List => "which names are taken".to_owned(),
        Ask::Suggest(name) => format!("what is free like {name}"),
        Ask::Owner(owner) => format!("what became of the requests of {owner}"),
        Ask::Evict(host) => format!("evict host {host}"),
        Ask::Rules(Book { namespace, opaque, least, reserved, private }) => {
            let profile = if *opaque { "opaque, " } else { "" };
            let private = if *private { "private, " } else { "" };
            format!(
                "rules for {namespace}: {profile}{private}{least} characters at least, reserved {}",
                reserved.join("+")
            )
        }
        Ask::Webhook(Errand::Make(number)) => format!("make webhook {number}"),
        Ask::Webhook(Errand::Turn(number, on)) => {
            format!("let webhook {number} {}", if *on { "go on" } else { "stop" })
        }
        Ask::Webhook(Errand::Rotate(number, _)) => format!("give webhook {number} another secret"),
        Ask::Webhook(Errand::Remove(number)) => format!("remove webhook {number}"),
        Ask::Webhook(Errand::Stop(number)) => format!("stop the version of webhook {number} that was seen last"),
        Ask::Leave => "leave the cluster".to_owned(),
        Ask::Import(_, count, metadata) => format!("register {count} names at once, {metadata} bytes each"),
    }
}

fn wish(wish: &Wish) -> String {
    let Wish { slot, own_id, id_of, owner, names, ttl, replaces, respelt, wait, discreet, max_open } = wish;
    let mut text = format!("register {} for {owner} (request {slot}", names.join("+"));
    let more = [
        own_id.then(|| "with an id of its own".to_owned()),
        id_of.map(|other| format!("under the id of request {other}")),
        ttl.map(|ttl| format!("reserved for {ttl} ms")),
        replaces.map(|(other, place)| format!("in place of name {place} of request {other}")),
        respelt.then(|| "which it spells otherwise".to_owned()),
        wait.map(|wait| format!("waits {wait} ms for the outcome")),
        discreet.then(|| "is not to be told of private names".to_owned()),
        max_open.map(|max_open| format!("its token may have {max_open} open")),
    ];
    for part in more.into_iter().flatten() {
        text.push_str(", ");
        text.push_str(&part);
    }
    text + ")"
}

/// Describes a node's answer.
pub(crate) fn reply(reply: &Reply) -> String {
    match reply {
        Ok(Answer::Registration(view)) => registration(view),
        Ok(Answer::Name(view)) => format!("{} is {:?}", view.key, view.status).to_lowercase(),
        Ok(Answer::Namespace(view)) => format!("{} has the rules of {}", view.namespace, view.version),
        Ok(Answer::Registrations(page)) => format!("{} registrations", page.registrations.len()),
        Ok(_) => "an answer".to_owned(),
        Err(refusal) => format!("refused: {refusal}"),
    }
}

fn registration(view: &Registration) -> String {
    let names: Vec<_> = view.names.iter().map(|name| name.key.as_str()).collect();
    format!("{} is {}", names.join("+"), format!("{:?}", view.status).to_lowercase())
}

fn hosts(hosts: impl IntoIterator<Item = Host>) -> String {
    let hosts: Vec<_> = hosts.into_iter().map(|host| host.to_string()).collect();
    if hosts.is_empty() { "none".to_owned() } else { hosts.join(", ") }
}

fn copy_run(run: CopyRun) -> String {
    let clock = if run.clock { ", and its clock with it" } else { "" };
    let served = if run.served { "; clients reach it" } else { "" };
    format!("{clock}{served}")
}

/// Describes a fault in a cluster of `count` hosts.
pub(crate) fn fault(fault: &Fault, count: usize) -> String {
    let pairs = |pairs: &[(Host, Host)], arrow: &str| {
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| format!("{a}{arrow}{b}")).collect();
        pairs.join(", ")
    };
    match &fault.what {
        Trouble::Crash { host, kept } => format!("host {host} crashes; {kept} % of what was not synced is kept"),
        Trouble::CrashWithin { host, outputs } => {
            format!("host {host} is to crash within a step, after {outputs} outputs")
        }
        Trouble::Pause(host) => format!("host {host} stands still"),
        Trouble::DiskFails(host) => format!("an fsync of host {host} fails"),
        Trouble::DiskFull(host) => format!("the disk of host {host} is full"),
        Trouble::Cloned { host, alone, run } => {
            format!("host {host} is alone for {alone} ms, then a copy of it runs{}", copy_run(*run))
        }
        Trouble::OldDisk { host, back, run } => {
            format!("the disk of host {host} is put back by {back} ms{}", copy_run(*run))
        }
        Trouble::SlowDisk(host, factor) => format!("the disk of host {host} is {factor} times slower"),
        Trouble::Split(side) => {
            let others = (0..count).filter(|host| !side.contains(host));
            format!("partition: {} | {}", hosts(side.iter().copied()), hosts(others))
        }
        Trouble::Bridge { over, side } => {
            format!("{} and the rest see each other only over {over}", hosts(side.iter().copied()))
        }
        Trouble::Ring => "each sees only the hosts before and after it".to_owned(),
        Trouble::Flaps(a, b, period) => format!("link {a}–{b} is down and up in turn, {period} ms each"),
        Trouble::Narrow(a, b, rate) => format!("link {a}–{b} carries {rate} bytes a second"),
        Trouble::Picky(Pick { from, to, kind, lost, late }) => {
            format!("{kind:?} messages {from}→{to}: {lost} % are lost, the others {late} ms late")
        }
        Trouble::Cut(cut) => format!("cut: {}", pairs(cut, "–")),
        Trouble::OneWay(cut) => format!("cut one way: {}", pairs(cut, "→")),
        Trouble::SlowLink(a, b, factor) => format!("link {a}–{b} is {factor} times slower"),
        Trouble::Lossy(a, b, percent) => format!("link {a}–{b} loses {percent} %"),
        Trouble::Kill(a, b) => format!("connection {a}–{b} dies"),
        Trouble::ClockStep(host, by) => format!("clock of host {host} is set by {by:+} ms"),
        Trouble::ClockOff(host, by) => format!("clock of host {host} is off by {by:+} ms for a while"),
        Trouble::ClockStepDown(host, by) => format!("host {host} is down, and its clock is set by {by:+} ms"),
        Trouble::Frozen(host) => format!("the clock of host {host} stands still"),
        Trouble::Drift(host, ppm) => format!("the clock of host {host} drifts by {ppm} parts per million"),
    }
}

/// Says what a check guards.
pub(crate) fn check(check: &str) -> &'static str {
    match check {
        "durable" => {
            "A node must say nothing (send an op, an acknowledgement or a promise, answer a client, show an event) \
             before the fsync that covers it: a crash would make it untrue."
        }
        "watermark" => {
            "At its watermark a node has everything that was ever issued at or below it, and the watermark only rises: \
             what it confirmed by it would not be final otherwise."
        }
        "promise" => "A node that promised a timestamp must issue no op at or below it.",
        "cut" => "All members agree on who was evicted, and on how much of their logs counts.",
        "void" => "No member takes an op that an eviction has made void.",
        "chain" => "The hash of each op continues that of the op before it.",
        "log" => "A node's log has no gaps, its timestamps rise, and everyone holds the very same ops.",
        "final" => "What one node calls confirmed or rejected is so on every node and for ever.",
        "tenure" => "Of all claims to one name in one tenure at most one is ever confirmed.",
        "exclusive" => {
            "A name has one holder at any time: a claim is confirmed only once every earlier confirmed claim to the name \
             has ended."
        }
        "liar" => "Nothing that is said by somebody who is no member is believed.",
        "confidential" => "The cluster's secrets go to members alone.",
        "bounds" => "What a node keeps is bounded by what lives, not by all that ever happened.",
        "recovery" => "A cluster that is made of one directory goes on alone and decides what was open.",
        "held" => "A claim is confirmed only once more than half of the members have its op on their disks.",
        "events" => "Each node's feed tells each outcome of each registration, and each only once.",
        "feed" => "A feed, read again, says the same again and has no gaps.",
        "reply" => "Every request gets one reply, about what was asked.",
        "answered" => "A registration that a client was told of exists for good.",
        "erased" => "Once a registration is erased, no table but the logs has its text.",
        "reports" => "Histories, conflicts, explanations and lists say what an independent replay of all ops says.",
        "charges" => "An API token has no more open reservations at a node than it may have.",
        "oracle" => "At the end every node agrees with an independent replay of all ops in the order of their stamps.",
        "secret" => "A private name is seen by nobody but the node that was asked for it.",
        "undecided" => "A healed cluster decides everything within a bounded time.",
        "refused" => {
            "A member with a right clock, in contact with a majority, refuses nothing but what the rules refuse."
        }
        "suspect" => "A node whose clock is off takes no registrations until it is right.",
        "late" => {
            "While all are connected a new name is confirmed in the usual time, whatever the clocks of a minority do."
        }
        "bricked" => {
            "While more than half of the members are alive, in reach and asked by nobody to go, evicting the dead ends every \
             eviction, decides everything and lets a newcomer in."
        }
        "admitted" => "A member lets in only newcomers whose clocks are right, while it hears of all members.",
        "evicts" | "evicted" => {
            "A member begins and declares an eviction only with a majority that stays, which has frozen the evicted log."
        }
        "departs" => "A member leaves only once the others hold all that it holds.",
        "core" => "Those that live on after permanent losses agree, and decide no more and no less than they may.",
        "rejoin" => "A directory can be prepared to come back under another id.",
        "start" => "A process starts on whatever a crash left on its disk.",
        "halt" => "A node stops by itself only where its disk failed or its data is older than what others saw of it.",
        "panic" => "The replica does not panic.",
        _ => "A check of the simulator failed.",
    }
}
