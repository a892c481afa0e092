//! The nodes that a client asks, and their order.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Url;

use super::error::ClientError;

/// One or more nodes. It is cheap to clone, and all clones share which node answered last.
#[derive(Clone, Debug)]
pub(super) struct Nodes {
    /// This has at least one URL.
    urls: Arc<[Url]>,
    answered: Arc<AtomicUsize>,
}

impl Nodes {
    pub(super) fn new(addresses: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, ClientError> {
        let urls = addresses.into_iter().map(|address| parse(address.as_ref())).collect::<Result<Arc<[Url]>, _>>()?;
        if urls.is_empty() {
            return Err(ClientError::Address { address: String::new(), why: "there is none".to_owned() });
        }
        Ok(Self { urls, answered: Arc::default() })
    }

    /// Returns the node that URLs are made for.
    pub(super) fn first(&self) -> &Url {
        &self.urls[0]
    }

    pub(super) fn only_first(&self) -> Self {
        Self { urls: [self.first().clone()].into(), answered: Arc::default() }
    }

    pub(super) fn are_several(&self) -> bool {
        self.urls.len() > 1
    }

    /// Returns each node alone.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        self.urls.iter().map(|url| Self { urls: [url.clone()].into(), answered: Arc::default() })
    }

    pub(super) fn use_tls(&self) -> bool {
        self.urls.iter().any(|url| url.scheme() == "https")
    }

    /// Returns all nodes, beginning with the one that answered last.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = (usize, &Url)> {
        let from = self.answered.load(Ordering::Relaxed);
        (0..self.urls.len()).map(move |index| (from + index) % self.urls.len()).map(|index| (index, &self.urls[index]))
    }

    pub(super) fn answered(&self, index: usize) {
        self.answered.store(index, Ordering::Relaxed);
    }

    /// Returns the node to ask now.
    pub(super) fn present(&self) -> &Url {
        &self.urls[self.answered.load(Ordering::Relaxed) % self.urls.len()]
    }

    /// Makes the node after this one the next to be asked, because this one could not be reached or refused for now.
    pub(super) fn pass_over(&self, node: &Url) {
        if let Some(index) = self.urls.iter().position(|url| url == node) {
            self.answered((index + 1) % self.urls.len());
        }
    }

    /// Returns a URL that was made for the first node, as one of another node.
    pub(super) fn rebased(&self, url: &Url, node: &Url) -> Url {
        let before = self.first().path().trim_end_matches('/');
        let rest = url.path().strip_prefix(before).unwrap_or(url.path());
        let mut rebased = node.clone();
        rebased.set_path(&format!("{}{rest}", node.path().trim_end_matches('/')));
        rebased.set_query(url.query());
        rebased
    }
}

fn parse(address: &str) -> Result<Url, ClientError> {
    let bad = |why: String| ClientError::Address { address: address.to_owned(), why };
    let url = Url::parse(address).map_err(|error| bad(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(bad("it does not begin with http:// or https:// and a host".to_owned()));
    }
    Ok(url)
}

/// Returns a node's address as people write it.
pub(super) fn shown(node: &Url) -> &str {
    node.as_str().trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_that_answered_last_is_asked_first() {
        let nodes = Nodes::new(["http://a:1", "http://b:2", "https://c:3/forename"]).unwrap();
        let order = |nodes: &Nodes| nodes.in_turn().map(|(index, _)| index).collect::<Vec<_>>();
        assert_eq!(order(&nodes), [0, 1, 2]);
        nodes.clone().answered(1);
        assert_eq!(order(&nodes), [1, 2, 0]);
        nodes.pass_over(&nodes.present().clone());
        assert_eq!(order(&nodes), [2, 0, 1]);
        assert!(nodes.use_tls() && nodes.are_several() && !nodes.only_first().are_several());
        assert_eq!(
            nodes.each().map(|node| shown(node.first()).to_owned()).collect::<Vec<_>>()[1..],
            ["http://b:2", "https://c:3/forename"]
        );
        assert!(matches!(Nodes::new([""; 0]), Err(ClientError::Address { .. })));
    }

    #[test]
    fn an_address_is_carried_to_another_node_whole() {
        let nodes = Nodes::new(["http://a:1/", "https://b:2/under/"]).unwrap();
        let url = Url::parse("http://a:1/v1/names/org%2F42/a%20b?owner=a%26b").unwrap();
        let rebased = nodes.rebased(&url, &nodes.urls[1]);
        assert_eq!(rebased.as_str(), "https://b:2/under/v1/names/org%2F42/a%20b?owner=a%26b");
        assert_eq!(nodes.rebased(&url, nodes.first()), url);
    }
}
