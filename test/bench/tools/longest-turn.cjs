// Preloaded into a proxy that is measured: notes the long turns of the main thread's loop, from the
// moment that it listens until WEFT_TURNS_SECONDS after its start, in WEFT_TURNS_FILE as JSON. What
// comes before (Node compiles our bundle) keeps nobody waiting. Wall clock says what a probe would
// wait; the time that the thread was on a core leaves out what other programs took.
'use strict';
const { readFileSync, writeFileSync } = require('node:fs');
const net = require('node:net');
const { isMainThread } = require('node:worker_threads');

function onCoreMs() {
  return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0]) / 1e6;
}

function measure(file, seconds) {
  const startedMs = performance.now();
  let lastMs = startedMs;
  let lastOnCoreMs = onCoreMs();
  const turns = [];
  let isListening = false;
  const listen = net.Server.prototype.listen;
  net.Server.prototype.listen = function (...args) {
    this.once('listening', () => (isListening = true));
    return listen.apply(this, args);
  };
  const look = () => {
    const nowMs = performance.now();
    const nowOnCoreMs = onCoreMs();
    const wallMs = nowMs - lastMs;
    if (isListening && wallMs > 5) {
      turns.push({ atMs: lastMs - startedMs, wallMs, onCoreMs: nowOnCoreMs - lastOnCoreMs });
    }
    lastMs = nowMs;
    lastOnCoreMs = nowOnCoreMs;
    if (nowMs - startedMs < seconds * 1000) setImmediate(look);
    else writeFileSync(file, JSON.stringify(turns));
  };
  setImmediate(look);
}

const file = process.env.WEFT_TURNS_FILE;
if (isMainThread && file) measure(file, Number(process.env.WEFT_TURNS_SECONDS ?? 5));
