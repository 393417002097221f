//! One core and a call that blocks: everything else goes on.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use threadlet::runtime::Builder;
use threadlet::{threadlet, time};

#[test]
fn a_ticker_and_a_spawner_go_on_beside_a_blocked_pipe() {
    let runtime = Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let blocked = runtime.spawn(async move {
        let mut byte = [0; 1];
        threadlet!(reader.read_exact(&mut byte)).unwrap();
        byte[0]
    });
    let ticks = Arc::new(AtomicUsize::new(0));
    let ticker = {
        let ticks = ticks.clone();
        runtime.spawn(async move {
            for _ in 0..50 {
                time::sleep(Duration::from_millis(2)).await;
                ticks.fetch_add(1, Ordering::Relaxed);
                threadlet::spawn(async {}).await.unwrap();
            }
        })
    };
    runtime.block_on(async {
        time::timeout(Duration::from_secs(20), ticker).await.expect("the ticker goes on").unwrap();
    });
    assert!(!blocked.is_finished());
    println!("{:#?} {:?}", runtime.metrics(), runtime.handle().blocked());
    writer.write_all(&[7]).unwrap();
    assert_eq!(runtime.block_on(blocked).unwrap(), 7);
    println!("{:#?} {:?}", runtime.metrics(), runtime.handle().sites());
}
