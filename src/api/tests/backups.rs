//! Tests of the time of the last backup: only whole backups count, and all calls that give the time agree.

use super::*;

async fn last(fake: &Fake) -> (Option<String>, f64) {
    let cluster: Value = fake.get("/v1/cluster").await.json().await.unwrap();
    let metrics = fake.get("/metrics").await.text().await.unwrap();
    let sample = "forename_last_backup_timestamp_seconds ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(sample)).unwrap();
    (cluster["last_backup"].as_str().map(str::to_owned), value.parse().unwrap())
}

#[tokio::test]
async fn a_backup_counts_once_somebody_has_all_of_it() {
    let fake = Fake::start(|_| Ok(Answer::Cluster(cluster_view(true)))).await;
    assert_eq!(last(&fake).await, (None, 0.0));

    // The node stops in the middle of this one.
    fake.whole_backups.store(false, Ordering::Relaxed);
    assert!(fake.get("/v1/cluster/backup").await.bytes().await.is_err());
    assert_eq!(last(&fake).await, (None, 0.0));

    fake.whole_backups.store(true, Ordering::Relaxed);
    let bytes = fake.get("/v1/cluster/backup").await.bytes().await.unwrap();
    let (reader, head) = Reader::open(bytes.as_ref()).unwrap();
    reader.check().unwrap();
    // The record is written after the last bytes were taken.
    let told = (Some(Time(head.time).to_string()), 0.007);
    let seen = async { while last(&fake).await != told {} };
    tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap();
    let again = async { while LastBackup::open(fake.dir.path()).get() != Some(Time(head.time)) {} };
    tokio::time::timeout(Duration::from_secs(60), again).await.unwrap();
}
