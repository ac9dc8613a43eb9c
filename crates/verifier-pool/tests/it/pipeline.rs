//! Workers that die, hang, come late or are stopped: nothing is lost, and nothing has two results.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use runtime::clock::{Clock as _, Manual, System};
use serde_json::Value;
use tokio::sync::Semaphore;
use types::ports::ExecuteError;
use verifier_pool::Config;

use crate::lab::{Lab, until};
use crate::played::recording;

#[tokio::test]
async fn a_run_whose_worker_dies_is_tried_again_and_has_one_result() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let tries = Arc::new(AtomicUsize::new(0));
    lab.sandbox.play(move |execution, _| {
        let number = tries.fetch_add(1, Ordering::SeqCst);
        async move {
            match number {
                0 => panic!("the worker dies"),
                1 => Err(ExecuteError::Failed { reason: "the sandbox broke".to_owned() }),
                _ => Ok(recording(&execution.id)),
            }
        }
    });
    site.pool.start();
    let id = site.accepted("").await;
    let ended = site.ended(&id).await;
    assert_eq!((&ended["state"], &ended["attempts"]), (&"done".into(), &3.into()));
    assert_eq!(lab.sandbox.begun.load(Ordering::SeqCst), 3);
    assert_eq!(site.metric("retries_total"), 2.0);
    site.counted("runs_total{verdict=\"suspicious\"}", 1.0).await;
    assert_eq!(lab.history.observed.lock().unwrap().len(), 1);
    site.stop().await;
}

#[tokio::test]
async fn an_artifact_that_kills_its_worker_each_time_does_not_go_round_forever() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    lab.sandbox.play(async |_, _| panic!("the worker dies"));
    site.pool.start();
    let id = site.accepted("").await;
    let ended = site.ended(&id).await;
    assert_eq!((&ended["state"], &ended["attempts"]), (&"failed".into(), &3.into()));
    let failure = ended["failure"].as_str().unwrap();
    assert!(failure.contains("the worker dies") && failure.contains("attempt 3"), "{failure}");
    lab.sandbox.play(|execution, _| async move { Ok(recording(&execution.id)) });
    let next = site.accepted("file_name=b.py").await;
    assert_eq!(site.ended(&next).await["state"], "done", "the workers live on");
    site.stop().await;
}

#[tokio::test]
async fn an_artifact_that_kills_the_whole_process_each_time_is_given_up() {
    let lab = Lab::new();
    let config = Config { claims_max: 4, ..Config::default() };
    let site = lab.site(config);
    let id = site.accepted("").await;
    for _ in 0..4 {
        let lease = lab.verifications.claim(System.now_us(), i64::MAX).await.unwrap();
        assert_eq!(lease.unwrap().verification.id, id);
        assert_eq!(site.pool.recover().await.unwrap(), 1, "the process died and another starts");
    }
    site.pool.start();
    let ended = site.ended(&id).await;
    assert_eq!(ended["state"], "failed");
    assert!(ended["failure"].as_str().unwrap().contains("begun 4 times"), "{ended}");
    assert_eq!(lab.sandbox.begun.load(Ordering::SeqCst), 0);
    site.stop().await;
}

#[tokio::test]
async fn a_kill_with_work_queued_and_running_loses_and_doubles_nothing() {
    let lab = Lab::new();
    let site = lab.site(Config { workers: 4, ..Config::default() });
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(site.accepted(&format!("file_name={number}.py")).await);
    }
    for _ in 0..4 {
        // Claimed by a process that is then killed.
        lab.verifications.claim(System.now_us(), i64::MAX).await.unwrap().unwrap();
    }
    let depth = lab.verifications.depth().await.unwrap();
    assert_eq!((depth.queued, depth.running), (16, 4));
    drop(site);
    let next = lab.site(Config { workers: 4, ..Config::default() });
    assert_eq!(next.pool.recover().await.unwrap(), 4);
    next.pool.start();
    for id in &ids {
        assert_eq!(next.ended(id).await["state"], "done");
    }
    let ran: Vec<_> = lab.sandbox.seen.lock().unwrap().iter().map(|run| run.id.clone()).collect();
    assert_eq!(ran.len(), 20, "each ran once");
    assert_eq!(ran.into_iter().collect::<HashSet<_>>(), ids.into_iter().collect());
    next.counted("runs_total{verdict=\"suspicious\"}", 20.0).await;
    next.stop().await;
}

#[tokio::test]
async fn a_slow_worker_that_finishes_after_another_took_over_changes_nothing() {
    let lab = Lab::new();
    let clock = Arc::new(Manual::at(1_000_000_000));
    // Its lease ends in a minute of its clock; it would renew it in twenty seconds of ours.
    let slow = lab.site_at(Config { workers: 1, lease_ms: 60_000, ..Config::default() }, clock);
    let gate = Arc::new(Semaphore::new(0));
    let (at, number) = (Arc::clone(&gate), Arc::new(AtomicUsize::new(0)));
    lab.sandbox.play(move |execution, _| {
        let (gate, number) = (Arc::clone(&at), number.fetch_add(1, Ordering::SeqCst));
        async move {
            if number == 0 {
                gate.acquire().await.unwrap().forget();
            }
            let mut recording = recording(&execution.id);
            recording.run.id = format!("run {number}");
            Ok(recording)
        }
    });
    let id = slow.accepted("").await;
    slow.pool.start();
    until("the slow one runs", || lab.sandbox.running.load(Ordering::SeqCst) == 1).await;
    let later = Arc::new(Manual::at(1_000_000_000 + 3_600_000_000));
    let quick = lab.site_at(Config { workers: 1, lease_ms: 500, ..Config::default() }, later);
    quick.pool.start();
    let ended = quick.ended(&id).await;
    assert_eq!((&ended["state"], &ended["attempts"]), (&"done".into(), &2.into()));
    let path = format!("/v1/verifications/{id}/report");
    let report = quick.get(&path).await;
    assert_eq!(report.json()["run"], "run 1");
    gate.add_permits(1);
    until("the slow one came too late", || slow.metric("leases_lost_total") == 1.0).await;
    assert_eq!(slow.metric("runs_total{verdict=\"suspicious\"}"), 0.0);
    assert_eq!(quick.get(&path).await.body, report.body);
    assert_eq!(quick.get(&format!("/v1/verifications/{id}")).await.json(), ended);
    slow.stop().await;
    quick.stop().await;
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_ends_its_run() {
    let lab = Lab::new();
    let clock = Arc::new(Manual::at(1_000_000_000));
    let config = Config { workers: 1, lease_ms: 60, ..Config::default() };
    let site = lab.site_at(config, Arc::clone(&clock) as _);
    lab.sandbox.play(|_, _| std::future::pending());
    let id = site.accepted("").await;
    site.pool.start();
    until("it runs", || lab.sandbox.running.load(Ordering::SeqCst) == 1).await;
    // Another process takes it for dead and begins it anew.
    let now_us = clock.now_us() + 3_600_000_000;
    let lease = lab.verifications.claim(now_us, i64::MAX).await.unwrap().unwrap();
    assert_eq!(lease.verification.id, id);
    until("the first run is ended", || lab.sandbox.running.load(Ordering::SeqCst) == 0).await;
    site.counted("leases_lost_total", 1.0).await;
    assert_eq!(site.get(&format!("/v1/verifications/{id}")).await.text("state"), "running");
    site.stop().await;
}

#[tokio::test]
async fn shutdown_gives_back_what_runs_and_the_next_process_finishes_it() {
    let lab = Lab::new();
    let site = lab.site(Config { workers: 2, ..Config::default() });
    lab.sandbox.play(|_, _| std::future::pending());
    site.pool.start();
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(site.accepted(&format!("file_name={number}.py")).await);
    }
    until("two run", || lab.sandbox.running.load(Ordering::SeqCst) == 2).await;
    site.stop().await;
    assert_eq!(lab.sandbox.running.load(Ordering::SeqCst), 0, "the runs were ended");
    let depth = lab.verifications.depth().await.unwrap();
    assert_eq!((depth.queued, depth.running), (5, 0));

    lab.sandbox.play(|execution, _| async move { Ok(recording(&execution.id)) });
    let next = lab.site(Config::default());
    next.pool.start();
    for id in &ids {
        assert_eq!(next.ended(id).await["state"], "done");
    }
    next.stop().await;
}

#[tokio::test]
async fn runs_at_once_are_bounded_by_workers_and_by_memory() {
    const GIB: u64 = 1 << 30;
    for (workers, total, each, expected) in
        [(3, 100 * GIB, GIB, 3), (8, 2 * GIB, GIB, 2), (8, GIB, 4 * GIB, 1)]
    {
        let lab = Lab::new();
        let config = Config {
            workers,
            memory_total_bytes: total,
            run_memory_bytes: each,
            ..Config::default()
        };
        let site = lab.site(config);
        let gate = Arc::new(Semaphore::new(0));
        let at = Arc::clone(&gate);
        lab.sandbox.play(move |execution, _| {
            let gate = Arc::clone(&at);
            async move {
                let _permit = gate.acquire().await.unwrap();
                Ok(recording(&execution.id))
            }
        });
        site.pool.start();
        let mut ids = Vec::new();
        for number in 0..10 {
            ids.push(site.accepted(&format!("file_name={number}.py")).await);
        }
        until("all run that may", || lab.sandbox.running.load(Ordering::SeqCst) == expected).await;
        assert_eq!(site.metric("running"), expected as f64);
        gate.add_permits(10);
        for id in &ids {
            site.ended(id).await;
        }
        assert_eq!(lab.sandbox.running_max.load(Ordering::SeqCst), expected);
        let given = lab.sandbox.seen.lock().unwrap()[0].memory_bytes;
        assert_eq!(given, each.min(total));
        site.stop().await;
    }
}

#[tokio::test]
async fn without_ml_service_a_run_is_judged_without_an_anomaly() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    site.pool.start();
    let report = async |id: &str| {
        site.ended(id).await;
        site.get(&format!("/v1/verifications/{id}/report")).await.json()
    };
    lab.history.fails.store(true, Ordering::SeqCst);
    let without = site.accepted("file_name=a.sh").await;
    assert_eq!(report(&without).await["anomaly"], Value::Null);
    assert_eq!(site.metric("anomaly_failures_total"), 1.0);
    lab.history.fails.store(false, Ordering::SeqCst);
    let with = site.accepted("file_name=a.sh").await;
    let anomaly = &report(&with).await["anomaly"];
    assert_eq!((&anomaly["workload"], &anomaly["history_runs"]), (&"a.sh:sh".into(), &25.into()));
    site.stop().await;
}

#[tokio::test]
async fn a_judge_that_panics_fails_the_run_and_not_the_worker() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    site.pool.start();
    lab.judge.panics.store(true, Ordering::SeqCst);
    let id = site.accepted("").await;
    let ended = site.ended(&id).await;
    assert_eq!(ended["state"], "failed");
    assert!(ended["failure"].as_str().unwrap().contains("could not be judged"));
    lab.judge.panics.store(false, Ordering::SeqCst);
    let next = site.accepted("").await;
    assert_eq!(site.ended(&next).await["state"], "done");
    site.stop().await;
}

#[tokio::test]
async fn an_artifact_that_is_gone_fails_with_that_reason() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let answer = site.submit("", crate::lab::PYTHON).await;
    let (id, sha256) = (answer.text("id"), answer.text("sha256"));
    let path = lab.artifacts.path(&"acme".parse().unwrap(), &sha256).unwrap();
    std::fs::remove_file(path).unwrap();
    site.pool.start();
    assert!(site.ended(&id).await["failure"].as_str().unwrap().contains("gone"));
    site.stop().await;
}

#[tokio::test]
async fn every_metric_is_declared_and_moved_by_a_flow() {
    let lab = Lab::new();
    let site = lab.site(Config::default());
    let id = site.accepted("").await;
    site.accepted("").await;
    site.pool.start();
    site.ended(&id).await;
    until("the gauges were read", || site.metric("queue_depth") == 0.0).await;
    for phase in ["fetch", "run", "features", "anomaly", "assess", "finish"] {
        let line = format!("phase_duration_seconds_count{{phase=\"{phase}\"}}");
        until(phase, || site.metric(&line) >= 1.0).await;
    }
    assert!(site.metric("queue_wait_seconds_count") >= 1.0);
    assert!(site.metric("queue_oldest_age_seconds") >= 0.0);
    assert_eq!(site.metric("workers"), 2.0);
    let text = site.metrics.text();
    // Those of the pool are moved here and in `faults`, those of sandboxes in `sandboxes`.
    let declared = text.lines().filter(|line| line.starts_with("# TYPE ")).collect::<Vec<_>>();
    let of = |prefix: &str| {
        let prefix = format!("# TYPE {prefix}");
        declared.iter().filter(|line| line.starts_with(&prefix)).count()
    };
    assert_eq!((of("shieldx_verifier_pool_"), of("shieldx_sandbox_")), (18, 16), "{declared:#?}");
    for dependency in ["store", "ml-service"] {
        let line = format!(
            "dependency_duration_seconds_count{{dependency=\"{dependency}\",outcome=\"ok\"}}"
        );
        assert!(site.metric(&line) >= 1.0, "{dependency}");
    }
    site.stop().await;
}
